// biome-ignore-all lint/suspicious/noTemplateCurlyInString: clients and our own file write their placeholders so.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CURSOR, imported, upstreamsOf, VSCODE } from './sample-import.ts';

describe('any file of a client', () => {
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '${',
      '${env:A}',
      '${input:x}',
      '$A',
      '${A:-b}',
      'x: Bearer y',
      '--token=abc',
      'https://u:p@h/?key=1',
      '# no: [comment',
      '\u2028',
      '}}',
      'true',
      '007',
      '~',
    ),
  );
  const values = fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('API_KEY', 'Authorization', 'X-A', '__proto__', 'LD_PRELOAD')), value, {
    maxKeys: 4,
  });
  const entry = fc.record(
    {
      command: fc.oneof(value, fc.record({ path: value, args: fc.array(value, { maxLength: 2 }) })),
      args: fc.oneof(fc.array(value, { maxLength: 4 }), value),
      env: fc.oneof(values, value),
      cwd: value,
      url: fc.oneof(value, fc.constantFrom('https://a.example.com/mcp', 'http://[::1]/sse?token=x')),
      headers: fc.oneof(values, value),
      type: fc.oneof(value, fc.constantFrom('stdio', 'http', 'sse')),
      description: value,
      includeTools: fc.array(value, { maxLength: 2 }),
      excludeTools: fc.oneof(value, fc.array(value, { maxLength: 2 })),
      disabled: fc.boolean(),
      more: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );

  it('becomes a file that check accepts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.oneof(entry, fc.jsonValue()), { maxKeys: 4 }), fc.boolean(), async (servers, isProject) => {
        const { draft, loaded } = await imported([isProject ? VSCODE : CURSOR, { mcpServers: servers }]);
        expect(loaded.config.upstreams).toHaveLength(draft.upstreams.length);
      }),
      { numRuns: 150 },
    );
  });

  it('texts without placeholders come through as they are', async () => {
    const piece = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string(),
      fc.constantFrom('${', '$${', '$', '}', ': ', ' #', '- ', '\n', '\u0085', 'eyJ', 'token=', '--key', '='),
    );
    const plain = fc
      .array(piece, { maxLength: 4 })
      .map((pieces) => pieces.join(''))
      .filter((text) => !/\$\{[^}]*\}|^\$[A-Z_]/.test(text) && !text.includes('\0'));
    const env = fc.dictionary(
      fc.stringMatching(/^[A-Z][A-Z_]{0,8}$/).filter((name) => !/^(LD_|DYLD_|NODE_OPTIONS|BASH_ENV)/.test(name)),
      plain,
      { maxKeys: 4 },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(plain, { maxLength: 4 }), env, async (args, variables) => {
        const { loaded } = await imported([CURSOR, { mcpServers: { one: { command: 'node', args, env: variables } } }]);
        expect(upstreamsOf(loaded)).toMatchObject([{ args, env: variables }]);
      }),
      { numRuns: 150 },
    );
  });

  it('loses no secret into the file or the notes', async () => {
    const secret = 'ghp_SentinelSentinel0123456789abcd';
    const places = fc.constantFrom<(text: string) => object>(
      (text) => ({ command: 'a', env: { TOKEN: text } }),
      (text) => ({ command: 'a', env: { ANYTHING: text } }),
      (text) => ({ command: 'a', env: { 'weird name': `prefix ${text}` } }),
      (text) => ({ command: 'a', args: ['--x', text] }),
      (text) => ({ command: 'a', args: [`--x=${text}`] }),
      (text) => ({ command: 'a', args: [text] }),
      (text) => ({ command: 'a', args: ['--header', `X-Key: ${text}`] }),
      (text) => ({ url: `https://h.example.com/mcp?q=${text}` }),
      (text) => ({ url: `https://u:${text}@h.example.com/mcp` }),
      (text) => ({ url: 'https://h.example.com/mcp', headers: { Authorization: `Bearer ${text}` } }),
      (text) => ({ url: 'https://h.example.com/mcp', headers: { Authorization: 'Bearer other', 'X-Own': text } }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(places, { minLength: 1, maxLength: 4 }), async (made) => {
        const servers = Object.fromEntries(made.map((make, index) => [`s${index}`, make(secret)]));
        const { draft, text } = await imported([CURSOR, { mcpServers: servers }]);
        expect(draft.upstreams).toHaveLength(new Set(made.map((make) => JSON.stringify(make('')))).size);
        expect(text + draft.notes.join('\n')).not.toContain('Sentinel');
      }),
      { numRuns: 60 },
    );
  });
});
