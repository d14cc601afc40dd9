/** Writes what is made from one declaration: `node scripts/generate.ts`. With `--check`: exits 1 and lists the stale files. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { jsonSchema, referencePage } from '../src/config/describe.ts';
import { exampleYaml } from '../src/config/example.ts';
import { errorsPage } from './errors-page.ts';

const root = join(import.meta.dirname, '..');
const files: Readonly<Record<string, string>> = {
  'turnpike.schema.json': `${JSON.stringify(jsonSchema(), null, 2)}\n`,
  'turnpike.example.yaml': exampleYaml(),
  'docs/reference/configuration.md': referencePage(),
  'docs/reference/errors.md': errorsPage(),
};

const check = process.argv.includes('--check');
const stale: string[] = [];
for (const [name, content] of Object.entries(files)) {
  const path = join(root, name);
  const current = await readFile(path, 'utf8').catch(() => undefined);
  if (current === content) continue;
  stale.push(name);
  if (check) continue;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}
if (check && stale.length > 0) {
  console.error(`Generated files are stale; run node scripts/generate.ts:\n${stale.map((name) => `  ${name}`).join('\n')}`);
  process.exitCode = 1;
} else if (stale.length > 0) console.log(`Written: ${stale.join(', ')}`);
