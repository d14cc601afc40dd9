// A server that answers every request with the same bytes, all but the id: what a list can cost at least.
//   --answer FILE   the answer to repeat
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { bodyOf } from './body.ts';
import { scan } from './scan.ts';

const { values } = parseArgs({ options: { answer: { type: 'string', default: '' } } });
const sample = readFileSync(values.answer);
const idAt = scan(sample)?.id;
if (idAt === undefined) throw new Error('the answer has no id');
const before = sample.subarray(0, idAt[0]);
const after = sample.subarray(idAt[1]);

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  bodyOf(request, (bytes) => {
    const found = scan(bytes);
    if (found?.id === undefined) return void response.writeHead(202).end();
    const id = Buffer.from(found.text.slice(...found.id), 'latin1');
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': before.length + id.length + after.length });
    response.write(before);
    response.write(id);
    response.end(after);
  });
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once('disconnect', () => process.exit(0));
