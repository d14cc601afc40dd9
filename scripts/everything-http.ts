/**
 * The published reference server over streamable HTTP, as a child of `scripts/start.ts`. By itself it listens on all
 * addresses and on a fixed port; here it gets a free port of the loopback address, which it tells its parent.
 */
import { Server } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { listen } = Server.prototype;
Object.assign(Server.prototype, {
  listen(this: Server, _port: unknown, listening?: () => void): Server {
    this.once('listening', () => {
      const address = this.address();
      if (typeof address === 'object' && address !== null) process.send?.({ port: address.port });
    });
    return listen.call(this, { port: 0, host: '127.0.0.1' }, listening) as Server;
  },
});

process.once('disconnect', () => process.exit(0));

const server = join(import.meta.dirname, '../node_modules/@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js');
await import(pathToFileURL(server).href);
