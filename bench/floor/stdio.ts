// The least that a Node gateway in front of one shared child can cost: ids are swapped in the bytes, the prefix of the name is cut out,
// lines are written once a turn of the event loop. Nothing is parsed whole.
//   --child PATH --prefix TEXT
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { bodyOf } from './body.ts';
import { scan } from './scan.ts';

interface Waiting {
  readonly response: ServerResponse;
  readonly id: string;
  readonly session: string | undefined;
}

const { values } = parseArgs({ options: { child: { type: 'string', default: '' }, prefix: { type: 'string', default: '' } } });
const { prefix } = values;
const child = spawn(process.execPath, [values.child], { stdio: ['pipe', 'pipe', 'inherit'] });
const waiting = new Map<number, Waiting>();
const END_OF_LINE = Buffer.from('\n');
let lastKey = 0;
let queued: Buffer[] = [];

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const { 'mcp-session-id': known, 'mcp-method': isModern } = request.headers;
  const session = known === undefined && isModern === undefined ? randomUUID() : undefined;
  bodyOf(request, (bytes) => forward(bytes, session, response));
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once('disconnect', () => {
  child.kill();
  process.exit(0);
});

function forward(bytes: Buffer, session: string | undefined, response: ServerResponse): void {
  const found = scan(bytes);
  if (found === undefined || bytes.includes(END_OF_LINE)) return void response.writeHead(400).end();
  if (found.id === undefined) return void response.writeHead(202).end();
  const key = ++lastKey;
  waiting.set(key, { response, id: found.text.slice(...found.id), session });
  const cuts: [number, number, string][] = [[...found.id, String(key)]];
  const name = found.name === undefined ? undefined : found.name[0] + 1;
  if (name !== undefined && found.text.startsWith(prefix, name)) cuts.push([name, name + prefix.length, '']);
  cuts.sort(([a], [b]) => a - b);
  if (queued.length === 0) setImmediate(flush);
  let from = 0;
  for (const [start, end, text] of cuts) {
    queued.push(bytes.subarray(from, start));
    if (text !== '') queued.push(Buffer.from(text, 'latin1'));
    from = end;
  }
  queued.push(bytes.subarray(from), END_OF_LINE);
}

function flush(): void {
  child.stdin.write(Buffer.concat(queued));
  queued = [];
}

let partial: Buffer[] = [];
child.stdout.on('data', (chunk: Buffer) => {
  let from = 0;
  for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
    const line = chunk.subarray(from, end);
    answer(partial.length === 0 ? line : Buffer.concat([...partial, line]));
    partial = [];
    from = end + 1;
  }
  if (from < chunk.length) partial.push(chunk.subarray(from));
});

function answer(line: Buffer): void {
  // The usual place of the id; a scan for any other.
  const usual = /^\{"jsonrpc":"2\.0","id":(\d+)/.exec(line.toString('latin1', 0, 48));
  const [at, end] = usual === null ? (scan(line)?.id ?? [0, 0]) : [usual[0].length - String(usual[1]).length, usual[0].length];
  const key = Number(line.toString('latin1', at, end));
  const whose = waiting.get(key);
  if (whose === undefined) return;
  waiting.delete(key);
  const id = Buffer.from(whose.id, 'latin1');
  whose.response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': line.length - (end - at) + id.length,
    ...(whose.session === undefined ? {} : { 'mcp-session-id': whose.session }),
  });
  whose.response.end(Buffer.concat([line.subarray(0, at), id, line.subarray(end)]));
}
