import { describe, expect, it } from 'vitest';
import { bench } from './sample-api.ts';

const KEY = 'GET /projects/1/variables/K';
const args = { project_id: 1, key: 'K' };
const plain = { key: 'K', value: 'plain-value', masked: false, hidden: false };

describe('values of variables', () => {
  it('are withheld, also with detail full and in answers to writes', async () => {
    const { run } = bench({
      'GET /projects/1/variables': [{ ...plain, value: 'withheld' }],
      'POST /projects/1/variables': { ...plain, value: 'withheld' },
      'PUT /projects/1/variables/K': { ...plain, value: 'withheld' },
      [KEY]: { ...plain, value: 'withheld' },
    });
    const all = [
      await run('list_project_variables', { project_id: 1 }),
      await run('list_project_variables', { project_id: 1, detail: 'full' }),
      await run('get_project_variable', args),
      await run('create_project_variable', { ...args, value: 'x' }),
      await run('update_project_variable', { ...args, value: 'x' }),
    ];
    expect(all.every(({ isError }) => isError === undefined)).toBe(true);
    expect(JSON.stringify(all)).not.toContain('withheld');
  });

  it('are not revealed without the setting, which is named', async () => {
    const { api, run } = bench({ [KEY]: plain });
    await expect(run('get_project_variable', { ...args, reveal: true })).rejects.toThrow(/gitlab\.allowReveal/);
    expect(api.sent).toEqual([]);
  });

  it('are revealed with it, where GitLab neither masks nor hides them', async () => {
    const { run } = bench({ [KEY]: plain }, { allowReveal: true });
    expect((await run('get_project_variable', { ...args, reveal: true })).structuredContent).toMatchObject({ item: { value: 'plain-value' } });
    expect(JSON.stringify(await run('get_project_variable', args))).not.toContain('plain-value');
  });

  it.each([{ masked: true }, { hidden: true }, { masked: true, hidden: true }, { masked: undefined }])('stay hidden for %j', async (flags) => {
    const { run } = bench({ [KEY]: { ...plain, ...flags } }, { allowReveal: true });
    expect(JSON.stringify(await run('get_project_variable', { ...args, reveal: true }))).not.toContain('plain-value');
  });
});
