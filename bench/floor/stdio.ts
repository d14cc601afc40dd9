// The least that a Node gateway in front of children can cost, one for all or one for each session: ids are swapped in the bytes, the prefix of
// the name is cut out, lines are written once a turn of the event loop. Nothing is parsed whole.
//   --child PATH --prefix TEXT [--apart]
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { bodyOf } from './body.ts';
import { scan } from './scan.ts';

interface Waiting {
  readonly response: ServerResponse;
  readonly id: string;
  readonly session: string | undefined;
}

const { values } = parseArgs({
  options: { child: { type: 'string', default: '' }, prefix: { type: 'string', default: '' }, apart: { type: 'boolean', default: false } },
});
const { prefix } = values;
const END_OF_LINE = Buffer.from('\n');

/** One child and what waits for it. */
class Pipe {
  readonly #child: ChildProcessByStdio<Writable, Readable, null> = spawn(process.execPath, [values.child], { stdio: ['pipe', 'pipe', 'inherit'] });
  readonly #waiting = new Map<number, Waiting>();
  #lastKey = 0;
  #queued: Buffer[] = [];
  #partial: Buffer[] = [];

  constructor() {
    this.#child.stdout.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  end(): void {
    this.#child.kill();
  }

  forward(bytes: Buffer, session: string | undefined, response: ServerResponse): void {
    const found = scan(bytes);
    if (found === undefined || bytes.includes(END_OF_LINE)) return void response.writeHead(400).end();
    if (found.id === undefined) return void response.writeHead(202).end();
    const key = ++this.#lastKey;
    this.#waiting.set(key, { response, id: found.text.slice(...found.id), session });
    const cuts: [number, number, string][] = [[...found.id, String(key)]];
    const name = found.name === undefined ? undefined : found.name[0] + 1;
    if (name !== undefined && found.text.startsWith(prefix, name)) cuts.push([name, name + prefix.length, '']);
    cuts.sort(([a], [b]) => a - b);
    if (this.#queued.length === 0) setImmediate(() => this.#flush());
    let from = 0;
    for (const [start, end, text] of cuts) {
      this.#queued.push(bytes.subarray(from, start));
      if (text !== '') this.#queued.push(Buffer.from(text, 'latin1'));
      from = end;
    }
    this.#queued.push(bytes.subarray(from), END_OF_LINE);
  }

  #flush(): void {
    this.#child.stdin.write(Buffer.concat(this.#queued));
    this.#queued = [];
  }

  #read(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const line = chunk.subarray(from, end);
      this.#answer(this.#partial.length === 0 ? line : Buffer.concat([...this.#partial, line]));
      this.#partial = [];
      from = end + 1;
    }
    if (from < chunk.length) this.#partial.push(chunk.subarray(from));
  }

  #answer(line: Buffer): void {
    // The usual place of the id; a scan for any other.
    const usual = /^\{"jsonrpc":"2\.0","id":(\d+)/.exec(line.toString('latin1', 0, 48));
    const [at, end] = usual === null ? (scan(line)?.id ?? [0, 0]) : [usual[0].length - String(usual[1]).length, usual[0].length];
    const key = Number(line.toString('latin1', at, end));
    const whose = this.#waiting.get(key);
    if (whose === undefined) return;
    this.#waiting.delete(key);
    const id = Buffer.from(whose.id, 'latin1');
    whose.response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': line.length - (end - at) + id.length,
      ...(whose.session === undefined ? {} : { 'mcp-session-id': whose.session }),
    });
    whose.response.end(Buffer.concat([line.subarray(0, at), id, line.subarray(end)]));
  }
}

const shared = values.apart ? undefined : new Pipe();
const apart = new Map<string, Pipe>();

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const { 'mcp-session-id': known, 'mcp-method': isModern } = request.headers;
  const session = known === undefined && isModern === undefined ? randomUUID() : undefined;
  const pipe = shared ?? pipeOf(String(known ?? session));
  bodyOf(request, (bytes) => pipe.forward(bytes, session, response));
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once('disconnect', () => {
  shared?.end();
  for (const pipe of apart.values()) pipe.end();
  process.exit(0);
});

function pipeOf(session: string): Pipe {
  let pipe = apart.get(session);
  if (pipe === undefined) {
    pipe = new Pipe();
    apart.set(session, pipe);
  }
  return pipe;
}
