// What a call costs that goes straight to GitLab: one `GET /user` with undici for each that is asked for, in a process of its own.
//   --url URL. Over the channel of the parent: `{calls, width}` is answered with `{done: true}`, what probe.ts knows by that.
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import '../probe.ts';

const { values } = parseArgs({ options: { url: { type: 'string', default: '' } } });
const pool = new Pool(values.url, { connections: 32 });

process.on('message', async ({ calls, width, token }: { readonly calls?: number; readonly width?: number; readonly token?: string }) => {
  if (calls === undefined || width === undefined) return;
  let left = calls;
  const worker = async () => {
    while (left-- > 0) {
      const { body } = await pool.request({
        method: 'GET',
        path: '/api/v4/user',
        headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
      });
      await body.json();
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  process.send?.({ done: true });
});
process.send?.({ port: 0 });
process.once('disconnect', () => process.exit(0));
