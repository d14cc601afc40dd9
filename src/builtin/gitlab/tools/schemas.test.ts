import { describe, expect, it } from 'vitest';
import { compileSchema } from '../../server/schema.ts';
import { ALL_TOOLS } from './all-tools.ts';
import { builtinTool } from './offer.ts';
import { bench } from './sample-api.ts';
import { inputSchemaOf, toolReference } from './schemas.ts';

const listed = (settings = {}) => {
  const { runner } = bench({}, { toolsets: ['default'], confirm: 'ask', ...settings });
  return runner.access.visible.map((declaration) => builtinTool(declaration, runner));
};

describe('the list of tools', () => {
  it('has the 60 of tier 1 and the two that wait, in at most 60 KB', () => {
    const tools = listed().map(({ run: _, ...tool }) => tool);
    expect(tools).toHaveLength(62);
    expect(Buffer.byteLength(JSON.stringify({ tools }))).toBeLessThanOrEqual(60_000);
  });

  it('has every tool once', () => {
    const names = ALL_TOOLS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(ALL_TOOLS.filter(({ tier }) => tier === 1)).toHaveLength(62);
    expect(ALL_TOOLS.filter(({ tier }) => tier === 2)).toHaveLength(23);
    expect(ALL_TOOLS.filter(({ tier }) => tier === 'named').map(({ name }) => name)).toEqual(['execute_graphql']);
  });

  it('says all four hints and a title of each tool', () => {
    for (const { name, title, description, annotations } of listed({ toolsets: ['all'], tools: ['execute_graphql'] })) {
      expect(
        Object.values(annotations).every((hint) => typeof hint === 'boolean'),
        name,
      ).toBe(true);
      expect(annotations.openWorldHint, name).toBe(true);
      expect(title.length * description.length, name).toBeGreaterThan(0);
      expect(annotations.readOnlyHint && annotations.destructiveHint, name).toBe(false);
    }
  });

  it('marks the destructive ones of the reference', () => {
    const destructive = ALL_TOOLS.filter(({ kind }) => kind === 'D').map(({ name }) => name);
    const expected = ['delete_branch', 'create_or_update_file', 'push_files', 'merge_merge_request', 'cancel_pipeline', 'delete_project_variable'];
    expect(destructive.toSorted()).toEqual(expected.toSorted());
  });

  it('is made of closed schemas that the server can check', () => {
    for (const { name, inputSchema, outputSchema } of listed({ toolsets: ['all'], tools: ['execute_graphql'] })) {
      const check = compileSchema(inputSchema);
      compileSchema(outputSchema);
      expect(inputSchema.additionalProperties, name).toBe(false);
      expect(outputSchema.additionalProperties, name).toBe(false);
      expect(
        check({ no_such_parameter: 1 }).some(({ path }) => path === 'no_such_parameter'),
        name,
      ).toBe(true);
    }
  });

  it('does not ask for a project where there is a default one', () => {
    for (const declaration of ALL_TOOLS) {
      const required = (hasDefault: boolean) => inputSchemaOf(declaration, hasDefault).required as readonly string[] | undefined;
      expect(required(true)?.includes('project_id') ?? false, declaration.name).toBe(false);
    }
  });

  it('makes a reference with a row for each tool', () => {
    const reference = toolReference(ALL_TOOLS);
    for (const { name } of ALL_TOOLS) expect(reference).toContain(`| \`${name}\` |`);
    expect(reference).toContain('`GET /projects/{project_id}/issues` or `GET /groups/{group_id}/issues` or `GET /issues`');
  });
});
