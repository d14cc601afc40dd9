import { isAbsolute } from 'node:path';
import { err, ok, type Result } from '../core/result.ts';

/** Reads a file that the configuration names; rejects when it cannot be read. */
export type ReadFile = (path: string) => Promise<Uint8Array>;

export interface Expanded {
  readonly text: string;
  /** Whether any of it came from a variable or a file. */
  readonly referenced: boolean;
}

/**
 * Replaces `${env:NAME}` and `${file:/abs/path}` (last newline cut) and takes `$${` for a literal `${`
 * (aggregator.md 1, "References"). What comes from outside is not searched for references again.
 */
export async function expandReferences(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
  readFile: ReadFile,
): Promise<Result<Expanded, string>> {
  let result = '';
  let rest = text;
  let referenced = false;
  for (;;) {
    const at = rest.indexOf('${');
    if (at === -1) return ok({ text: result + rest, referenced });
    if (rest[at - 1] === '$') {
      result += `${rest.slice(0, at - 1)}\${`;
      rest = rest.slice(at + 2);
      continue;
    }
    const end = rest.indexOf('}', at);
    if (end === -1) return err(`has a \${ without its } (expected \${env:NAME}, \${file:/path}, or $\${ for the characters themselves)`);
    const value = await resolve(rest.slice(at + 2, end), env, readFile);
    if (!value.ok) return value;
    referenced = true;
    result += rest.slice(0, at) + value.value;
    rest = rest.slice(end + 1);
  }
}

async function resolve(reference: string, env: Readonly<Record<string, string | undefined>>, readFile: ReadFile): Promise<Result<string, string>> {
  if (reference.startsWith('env:')) {
    const name = reference.slice(4);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return err(`refers to a variable by no valid name (expected \${env:NAME})`);
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    return value === undefined ? err(`refers to the variable ${name}, which is not set`) : ok(value);
  }
  if (!reference.startsWith('file:'))
    return err(`has a reference of no known kind (expected \${env:NAME}, \${file:/path}, or $\${ for the characters themselves)`);
  const path = reference.slice(5);
  if (!isAbsolute(path) || path.includes('\0')) return err(`refers to a file by no absolute path (expected \${file:/path})`);
  const content = await readSecretFile(path, readFile);
  return content.ok ? content : err(`refers to the file ${path}, which ${content.error}`);
}

/** Largest file that a setting may come from, in bytes. */
const MAX_BYTES = 64 * 1024;

/** The content of a file as text, its last newline cut. */
export async function readSecretFile(path: string, readFile: ReadFile): Promise<Result<string, string>> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    return err(readProblem(error));
  }
  if (bytes.length > MAX_BYTES) return err(`is larger than ${MAX_BYTES / 1024} KiB`);
  try {
    return ok(new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, ''));
  } catch {
    return err('is not valid UTF-8');
  }
}

/** Why a file could not be read, in words. */
export function readProblem(error: unknown): string {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user';
  if (code === 'EISDIR') return 'is a folder';
  return code === 'EFBIG' ? 'is too large' : `cannot be read (${typeof code === 'string' ? code : 'unknown reason'})`;
}
