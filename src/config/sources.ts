import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

/** The surroundings of this process, for `loadConfig`. The only place of this folder that asks for them. */
export function processSources(): { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> } {
  return { cwd: process.cwd(), env: { ...process.env } };
}

/**
 * Reads a file of at most `maxBytes`. Rejects with the error of the file system, or with the code `EFBIG`. Pipes are
 * refused with `EINVAL`, since nobody may ever write to them, except those that are open already (`/dev/fd/63`).
 */
export async function readFileBounded(path: string, maxBytes: number): Promise<Uint8Array> {
  const facts = await stat(path);
  if (facts.isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' });
  if (!facts.isFile() && !/^\/(dev\/fd|proc\/self\/fd)\/\d+$/.test(path)) throw Object.assign(new Error('no file'), { code: 'EINVAL' });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of createReadStream(path, { end: maxBytes })) {
    const bytes: Buffer = chunk;
    chunks.push(bytes);
    size += bytes.length;
  }
  if (size > maxBytes) throw Object.assign(new Error('too large'), { code: 'EFBIG' });
  return Buffer.concat(chunks);
}
