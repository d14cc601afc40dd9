import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What is read of a file that Node writes with --cpu-prof. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

type Frame = CpuProfile['nodes'][number]['callFrame'];

/** Shares of the busy time, largest first. */
export interface Summary {
  /** Seconds. */
  readonly busy: number;
  readonly kinds: readonly (readonly [name: string, share: number])[];
  readonly functions: readonly (readonly [name: string, share: number])[];
}

/** Time in functions themselves, by kind of code and by function. */
export function summaryOf({ nodes, samples, timeDeltas }: CpuProfile): Summary {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const kinds = new Map<string, number>();
  const functions = new Map<string, number>();
  let busy = 0;
  samples.forEach((id, index) => {
    const frame = frames.get(id);
    const time = timeDeltas[index] ?? 0;
    if (frame === undefined || frame.functionName === '(idle)') return;
    busy += time;
    add(kinds, kindOf(frame), time);
    add(functions, nameOf(frame), time);
  });
  const shares = (of: Map<string, number>) => [...of].map(([name, time]) => [name, time / busy] as const).sort(([, a], [, b]) => b - a);
  return { busy: busy / 1e6, kinds: shares(kinds), functions: shares(functions) };
}

function add(sums: Map<string, number>, name: string, time: number): void {
  sums.set(name, (sums.get(name) ?? 0) + time);
}

/** The first pattern that fits the address of the code names its kind. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/^wasm:/, 'undici: parser in wasm'],
  [/\/node_modules\/((?:@[^/]+\/)?[^/]+)\//, '$1'],
  [/\/(?:src|dist)\/([^/]+)\//, 'turnpike: $1'],
  [/\/(?:src|dist)\//, 'turnpike'],
  [/^node:(?:_http|http|internal\/http)/, 'node:http'],
  [/^node:(?:net|internal\/stream_base|internal\/net)/, 'node:net'],
  [/^node:(?:stream|internal\/streams|events)/, 'node: streams and events'],
  [/^node:/, 'node: other'],
  [/^$/, 'native functions called by JavaScript (writev, Buffer, JSON)'],
  [/^/, 'other'],
];

function kindOf({ functionName, url }: Frame): string {
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (functionName === '(program)') return 'native, outside JavaScript (libuv, system calls, V8)';
  for (const [pattern, kind] of KINDS) {
    const match = pattern.exec(url);
    if (match !== null) return kind.replace('$1', match[1] ?? '');
  }
  return 'other';
}

function nameOf({ functionName, url, lineNumber }: Frame): string {
  const place = url === '' ? '' : ` ${url.split('/').slice(-2).join('/')}:${lineNumber + 1}`;
  return `${functionName === '' ? '(anonymous)' : functionName}${place}`;
}

/** The profiles of a folder for people: the `top` functions of each. */
export async function profilesText(folder: string, top = 25): Promise<string> {
  const texts: string[] = [];
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile')).sort()) {
    const { busy, kinds, functions } = summaryOf(JSON.parse(await readFile(join(folder, file), 'utf8')) as CpuProfile);
    const lines = [...kinds, ['', 0] as const, ...functions.slice(0, top)].map(([name, share]) =>
      name === '' ? '' : `${(share * 100).toFixed(1).padStart(5)} %  ${name}`,
    );
    texts.push([`${file}: busy for ${busy.toFixed(1)} s`, '', ...lines].join('\n'));
  }
  return texts.join('\n\n');
}
