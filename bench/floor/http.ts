// The least that a Node gateway in front of an HTTP upstream can cost: `node:http` in front, `Pool.dispatch` behind, the prefix cut out of
// the name in header and bytes, answers as they come. No checks, no identity, no records.
//   --upstream URL --prefix TEXT
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { bodyOf } from './body.ts';
import { scan } from './scan.ts';

const { values } = parseArgs({ options: { upstream: { type: 'string', default: '' }, prefix: { type: 'string', default: '' } } });
const { origin, pathname } = new URL(values.upstream);
const { prefix } = values;
const pool = new Pool(origin, { connections: 64, pipelining: 1, keepAliveTimeout: 600_000, bodyTimeout: 0, headersTimeout: 0 });

const FORWARDED = ['content-type', 'accept', 'mcp-protocol-version', 'mcp-session-id', 'mcp-method', 'mcp-name'];
const OWN = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date']);

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  bodyOf(request, (bytes) => forward(headersOf(request.headers), withoutPrefix(bytes), response));
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once('disconnect', () => process.exit(0));

function forward(headers: Record<string, string>, body: Buffer, response: ServerResponse): void {
  pool.dispatch(
    { path: pathname, method: 'POST', headers, body },
    {
      onRequestStart(controller) {
        response.once('close', () => {
          if (!response.writableFinished) controller.abort(new Error('the client has gone'));
        });
      },
      onResponseStart(_controller, status, given) {
        const sent: Record<string, string | string[]> = {};
        for (const name in given) if (!OWN.has(name)) sent[name] = given[name] as string | string[];
        response.writeHead(status, sent);
        if (sent['content-length'] === undefined) response.flushHeaders();
      },
      onResponseData(controller, chunk) {
        if (response.write(chunk)) return;
        controller.pause();
        response.once('drain', () => controller.resume());
      },
      onResponseEnd: () => void response.end(),
      onResponseError(_controller, error) {
        if (response.headersSent) response.destroy(error);
        else response.writeHead(502).end();
      },
    },
  );
}

function headersOf(given: IncomingHttpHeaders): Record<string, string> {
  const sent: Record<string, string> = {};
  for (const name of FORWARDED) {
    const value = given[name];
    if (typeof value === 'string') sent[name] = value;
  }
  const name = sent['mcp-name'];
  if (name?.startsWith(prefix)) sent['mcp-name'] = name.slice(prefix.length);
  return sent;
}

function withoutPrefix(bytes: Buffer): Buffer {
  const found = scan(bytes);
  if (found?.name === undefined) return bytes;
  const at = found.name[0] + 1;
  if (!found.text.startsWith(prefix, at)) return bytes;
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + prefix.length)], bytes.length - prefix.length);
}
