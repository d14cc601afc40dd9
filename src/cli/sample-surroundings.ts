import { EventEmitter } from 'node:events';
import { Readable, Writable } from 'node:stream';
import type { Output, Surroundings } from './surroundings.ts';

/** Surroundings for tests: what was written is kept, signals are events, `exit` is recorded. */
export interface SampleSurroundings extends Surroundings {
  readonly events: EventEmitter;
  readonly out: () => string;
  readonly err: () => string;
  readonly exits: number[];
}

export interface SampleOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string | Buffer;
  readonly terminal?: boolean;
}

export function sampleSurroundings({ env = {}, cwd = '/', stdin = '', terminal = false }: SampleOptions = {}): SampleSurroundings {
  const stdout = recorder(terminal);
  const stderr = recorder(terminal);
  const exits: number[] = [];
  return {
    cwd,
    env,
    stdin: Readable.from(stdin === '' ? [] : [Buffer.from(stdin)]),
    stdout: stdout.output,
    stderr: stderr.output,
    events: new EventEmitter(),
    exit: (code) => void exits.push(code),
    out: stdout.text,
    err: stderr.text,
    exits,
  };
}

function recorder(terminal: boolean): { readonly output: Output; readonly text: () => string } {
  const chunks: Buffer[] = [];
  const output = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return { output: Object.assign(output, terminal ? { isTTY: true, columns: 40 } : {}), text: () => Buffer.concat(chunks).toString('utf8') };
}
