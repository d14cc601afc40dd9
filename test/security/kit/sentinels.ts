import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Secrets that no other text holds, one for each place where a secret may stand. */
export class Sentinels {
  readonly #values = new Map<string, string>();

  /** The sentinel of a place; made at the first asking. Letters, digits and `-`, so that it fits everywhere, and looks like no known kind of token. */
  of(place: string): string {
    const known = this.#values.get(place);
    if (known !== undefined) return known;
    const value = `snt-${randomBytes(12).toString('hex')}`;
    this.#values.set(place, value);
    return value;
  }

  /** An own value for a place whose form is fixed. */
  set(place: string, value: string): string {
    this.#values.set(place, value);
    return value;
  }

  get places(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** The places whose secret stands in `bytes`, as it is or in a form that gives it away. */
  foundIn(bytes: Buffer | string): string[] {
    const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1');
    return [...this.#values].filter(([, value]) => forms(value).some((form) => text.includes(form))).map(([place]) => place);
  }
}

/** Plain, percent-encoded, hexadecimal, and in base64 at each of the three offsets. */
function forms(value: string): string[] {
  const bytes = Buffer.from(value);
  const shifted = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // Characters that mix with what stands before or after are left out.
    return text.slice(offset === 0 ? 0 : offset + 1, -2);
  });
  const escaped = JSON.stringify(value).slice(1, -1);
  return [
    value,
    encodeURIComponent(value),
    escaped,
    bytes.toString('hex'),
    ...shifted,
    ...shifted.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ];
}

/** Every regular file below a folder, by its path. */
export async function filesBelow(folder: string): Promise<ReadonlyMap<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path, await readFile(path));
  }
  return files;
}
