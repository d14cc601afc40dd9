import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const FOLDER = join(import.meta.dirname, '..');

/** Ways around the linter's rule, which knows imports by name and globals. */
const WAYS: readonly RegExp[] = [
  /import\s*\*\s*as\s+\w+\s+from\s*'(?:node:)?(?:https?|http2|net|tls|dgram)'/,
  /(?:globalThis|global|self)\s*(?:\.|\[)\s*['"]?(?:fetch|WebSocket|EventSource)/,
  /import\(\s*['"](?:node:)?(?:https?|http2|net|tls|undici)/,
  /\bcreateRequire\b|\bgetBuiltinModule\b/,
  /\.dispatcher\s*\.\s*(?:request|stream|pipeline|connect|upgrade|dispatch)\b/,
  /upstream\/http\/(?:http-client|origin-pools|flight)\.ts/,
];

/** Sources that go around it. */
function offenders(sources: readonly (readonly [name: string, text: string])[]): string[] {
  return sources.filter(([, text]) => WAYS.some((way) => way.test(text))).map(([name]) => name);
}

describe('HTTP in the sources of GitLab', () => {
  it('is spoken by the one file that the linter lets', () => {
    const names = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.ts') && !/\.test\.ts$|-fixture\.ts$/.test(name),
    );
    expect(names.length).toBeGreaterThan(10);
    expect(offenders(names.map((name) => [name, readFileSync(join(FOLDER, name), 'utf8')]))).toEqual([]);
  });

  it.each([
    "import * as http from 'node:http';",
    'globalThis.fetch(url)',
    "globalThis['fetch'](url)",
    "await import('node:https')",
    'lease.value.dispatcher.request(what)',
  ])('would be noticed: %s', (text) => {
    expect(offenders([['x.ts', text]])).toEqual(['x.ts']);
  });
});
