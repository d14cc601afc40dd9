import { link, rename, rm, writeFile } from 'node:fs/promises';

/**
 * Writes a file that only its owner can read, whole or not at all. Without `replace` a file that is there already stays, and the answer
 * is false.
 */
export async function writeFileOnce(path: string, text: string, { replace }: { readonly replace: boolean }): Promise<boolean> {
  const next = `${path}.${process.pid}.new`;
  await writeFile(next, text, { mode: 0o600, flag: 'wx' });
  try {
    if (replace) await rename(next, path);
    else await link(next, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(next, { force: true });
  }
}
