import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../fixtures/free-port.ts';
import { until } from '../fixtures/processes.ts';
import type { Rig, Started } from './cli-rig.ts';
import { answerIn, modernRequest, post } from './raw-client.ts';
import { STDIO } from './rig.ts';

/** An upstream as a line of YAML: a child of ours, marked by what `variant` says. */
export function child(name: string, server: keyof typeof STDIO, more = '', variant = '1'): string {
  return `  - {name: ${name}, type: stdio, command: ${process.execPath}, args: ${JSON.stringify(STDIO[server])}, env: {VARIANT: "${variant}"}${more}}\n`;
}

/** The command line serving a file that tests rewrite. */
export class Served {
  readonly port: number;
  readonly file: string;
  readonly started: Started;
  readonly #folder: string;

  private constructor(folder: string, file: string, port: number, started: Started) {
    this.#folder = folder;
    this.file = file;
    this.port = port;
    this.started = started;
  }

  /** Starts it with `text` after what every test needs; waits until all upstreams had their first attempt. */
  static async start(rig: Rig, text: string, { file, env = {} }: { file?: string; env?: Record<string, string> } = {}): Promise<Served> {
    const folder = await rig.home();
    const port = await freePort();
    const path = file ?? join(folder, 'turnpike.yaml');
    const head = headOf(folder, port);
    if (file === undefined) await writeFile(path, head + text);
    const started = rig.start(['serve', '--config', path, ...(file === undefined ? [] : ['--listen-port', String(port)])], {
      env: { HOME: folder, ...env },
    });
    const served = new Served(folder, path, port, started);
    await started.until(/lists every setting/);
    return served;
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.port}/mcp`);
  }

  /** What `write` puts before its text; texts begin at line 6. */
  get head(): string {
    return headOf(this.#folder, this.port);
  }

  async write(text: string): Promise<void> {
    await writeFile(this.file, this.head + text);
  }

  hangUp(): void {
    this.started.child.kill('SIGHUP');
  }

  /** Waits until `count` reloads were told, well or not. */
  async reloaded(count: number): Promise<void> {
    await until(
      () => this.started.err().match(/the configuration was (re|not re)(loaded|ad)|needs a restart/g)?.length ?? 0,
      (seen) => seen >= count,
      20_000,
    );
  }

  /** Writes, asks for a reload, and waits until it is done. */
  async reload(text: string): Promise<void> {
    const before = this.reloads;
    await this.write(text);
    this.hangUp();
    await until(
      () => this.reloads,
      (seen) => seen > before,
      20_000,
    );
  }

  /** Reloads that changed something. */
  get reloads(): number {
    return this.logged('the configuration was reloaded').length;
  }

  /** Log lines with this message. */
  logged(message: string): Record<string, unknown>[] {
    const lines = this.started.err().split('\n');
    return lines.flatMap((line) => {
      if (!line.startsWith('{')) return [];
      try {
        const parsed = JSON.parse(line) as Record<string, unknown>;
        return String(parsed.message).startsWith(message) ? [parsed] : [];
      } catch {
        return [];
      }
    });
  }

  /** The text of a tool's result; throws what went wrong. */
  async call(tool: string, args: object = {}, headers: Record<string, string> = {}): Promise<string> {
    const request = modernRequest(1, 'tools/call', { name: tool, arguments: args });
    const reply = await post(this.url, request.body, { headers: { ...request.headers, ...headers } });
    return textOf(reply.status, answerIn(reply));
  }

  /** Exposed names of all tools. */
  async tools(): Promise<string[]> {
    const request = modernRequest(1, 'tools/list');
    const answer = answerIn(await post(this.url, request.body, { headers: request.headers }));
    const { tools } = (answer?.result ?? {}) as { tools?: { name: string }[] };
    return (tools ?? []).map(({ name }) => name);
  }

  /** Upstreams that list tools now. */
  async listed(): Promise<string[]> {
    return [...new Set((await this.tools()).map((name) => name.split('_')[1] ?? ''))].sort();
  }

  async health(): Promise<Record<string, unknown>> {
    return (await (await fetch(new URL('/health', this.url))).json()) as Record<string, unknown>;
  }

  async stop(): Promise<number | string> {
    this.started.child.kill('SIGTERM');
    return this.started.ended;
  }
}

/** The text of a result; throws for everything else. */
export function textOf(status: number, answer: Record<string, unknown> | undefined): string {
  const { content, isError } = (answer?.result ?? {}) as { content?: { text?: string }[]; isError?: boolean };
  if (status !== 200 || content === undefined || isError === true) throw new Error(`${status} ${JSON.stringify(answer)}`);
  return content.map(({ text }) => text ?? '').join('');
}

function headOf(folder: string, port: number): string {
  return [
    `listen: {port: ${port}}`,
    `store: {type: memory, dir: ${folder}/state}`,
    'telemetry: {log: {format: json}}',
    'limits: {ip: 10000, ipBurst: 10000, user: 10000, userBurst: 10000}',
    '# what tests change',
    '',
  ].join('\n');
}
