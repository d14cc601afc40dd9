import { Session } from 'node:inspector';
import { parentPort } from 'node:worker_threads';
import { nextInput } from './made-input.ts';
import { Random } from './random.ts';

/**
 * A thread that counts which blocks of the scanner an input runs, and how often, and keeps inputs that do something new. V8 counts
 * blocks only in code that it compiles afterwards, and does not optimize that code: so it happens here, and the many are run elsewhere.
 */

export interface Order {
  readonly seed: number;
  readonly inputs: number;
  readonly known: readonly Uint8Array[];
}

export interface Finding {
  readonly kept: readonly Uint8Array[];
  /** Pairs of a block and how often an input ran it, in powers of two. */
  readonly reached: number;
  /** Blocks that no kept input runs, as file and offsets. */
  readonly unreached: readonly string[];
}

const FILES = ['scan.ts', 'json-grammar.ts', 'json-walk.ts'].map((file) => `/src/core/${file}`);

const session = new Session();
session.connect();

function ask<T>(method: string, params: object = {}): T {
  let answer: unknown;
  session.post(method, params, (error, result) => {
    if (error) throw error;
    answer = result;
  });
  return answer as T;
}

interface Coverage {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[];
    }[];
  }[];
}

/** Each block of the scanner with how often it ran since the last time. */
function blocks(): [block: string, count: number][] {
  const found: [string, number][] = [];
  for (const { url, functions } of ask<Coverage>('Profiler.takePreciseCoverage').result) {
    const file = FILES.find((name) => url.endsWith(name));
    if (file === undefined) continue;
    for (const { ranges } of functions)
      for (const { startOffset, endOffset, count } of ranges) found.push([`${file}:${startOffset}-${endOffset}`, count]);
  }
  return found;
}

ask('Profiler.enable');
ask('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
const { scanIncoming, scanRequest } = await import('../../src/core/scan.ts');

const reached = new Set<string>();
const corpus: Buffer[] = [];

function run(bytes: Buffer): void {
  scanRequest(bytes);
  scanIncoming(bytes);
}

function isNew(bytes: Buffer): boolean {
  run(bytes);
  const before = reached.size;
  for (const [block, count] of blocks()) reached.add(`${block}*${count === 0 ? 0 : 32 - Math.clz32(count)}`);
  return reached.size > before;
}

function explore({ seed, inputs, known }: Order): Finding {
  const random = new Random(seed);
  const kept: Buffer[] = [];
  blocks();
  for (const bytes of known) if (isNew(Buffer.from(bytes))) corpus.push(Buffer.from(bytes));
  for (let left = inputs; left > 0; left--) {
    const bytes = nextInput(random, corpus);
    if (!isNew(bytes)) continue;
    corpus.push(bytes);
    kept.push(bytes);
  }
  for (const bytes of corpus) run(bytes);
  const unreached = blocks().filter(([, count]) => count === 0);
  return { kept, reached: reached.size, unreached: unreached.map(([block]) => block) };
}

parentPort?.on('message', (order: Order) => parentPort?.postMessage(explore(order)));
