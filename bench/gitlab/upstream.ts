// The GitLab of the bench: `GET /api/v4/user` of as many people as there are tokens, from a bare server, since the server is not what is
// measured. `bench-NNNNNNNN-…` is person NNNNNNNN; every other token is unknown. Tells its port over the channel of the parent.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const TOKEN = /^Bearer bench-(\d{8})-/;

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const [, number] = TOKEN.exec(request.headers.authorization ?? '') ?? [];
  request.resume();
  const body = JSON.stringify(
    number === undefined
      ? { message: '401 Unauthorized' }
      : { id: Number(number) + 1, username: `person${number}`, name: 'A person of the bench', state: 'active', web_url: 'http://127.0.0.1/person' },
  );
  response.writeHead(number === undefined ? 401 : 200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body);
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once('disconnect', () => process.exit(0));
