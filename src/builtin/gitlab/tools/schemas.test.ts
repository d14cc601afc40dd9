import { describe, expect, it } from 'vitest';
import { compileSchema } from '../../server/schema.ts';
import { ALL_TOOLS } from './all-tools.ts';
import { bench } from './fake-api.ts';
import { builtinTool, inputSchemaOf, toolReference } from './schemas.ts';

const listed = (settings = {}) => {
  const { runner } = bench({}, { toolsets: ['default'], confirm: 'ask', ...settings });
  return runner.access.visible.map((declaration) => builtinTool(declaration, runner));
};

describe('the list of tools', () => {
  it('takes at most 60 KB by default', () => {
    const tools = listed().map(({ run: _, ...tool }) => tool);
    const bytes = Buffer.byteLength(JSON.stringify({ tools }));
    console.log(
      tools.length,
      bytes,
      tools
        .map((t) => [t.name, JSON.stringify(t).length])
        .sort((a, b) => Number(b[1]) - Number(a[1]))
        .slice(0, 6),
    );
    expect(bytes).toBeLessThanOrEqual(60_000);
  });
});
