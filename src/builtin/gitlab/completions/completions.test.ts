import { describe, expect, it } from 'vitest';
import { bench } from '../tools/sample-api.ts';
import { completers, NOUNS, type Noun } from './completions.ts';

async function complete(noun: Noun, typed: string, replies: Parameters<typeof bench>[0], known: Record<string, string> = {}, settings = {}) {
  const { api, context, runner } = bench(replies, settings);
  const values = await completers(runner)[noun](typed, { context, signal: new AbortController().signal, known });
  return { api, values };
}

const project = { id: 'group/app' };
const P = 'GET /projects/group%2Fapp';

describe('completions', () => {
  it.each<[Noun, string, string, object[], string[]]>([
    [
      'project',
      'group/a',
      'GET /projects',
      [{ path_with_namespace: 'x/group/a' }, { path_with_namespace: 'group/app' }, { path_with_namespace: 'other' }],
      ['group/app', 'x/group/a'],
    ],
    ['group', 'gr', 'GET /groups', [{ full_path: 'group' }], ['group']],
    ['tag', 'v', `${P}/repository/tags`, [{ name: 'v1' }, { name: 'dev1' }, { name: 'x' }], ['v1', 'dev1']],
    ['label', 'BU', `${P}/labels`, [{ name: 'bug' }], ['bug']],
    ['milestone', '', `${P}/milestones`, [{ title: 'M1' }, { title: null }], ['M1']],
    ['user', 'an', 'GET /users', [{ username: 'ann' }], ['ann']],
    ['issue', '1', `${P}/issues`, [{ iid: 1 }, { iid: 12 }, { iid: 2 }, { iid: 21 }], ['1', '12', '21']],
    ['merge_request', '', `${P}/merge_requests`, [{ iid: 3 }], ['3']],
    ['pipeline', '10', `${P}/pipelines`, [{ id: 101 }, { id: 99 }], ['101']],
  ])('%s %j', async (noun, typed, key, reply, expected) => {
    expect((await complete(noun, typed, { [key]: reply }, project)).values).toEqual(expected);
  });

  it('refs are branches and tags, also where only one of them can be read', async () => {
    const branches = { [`${P}/repository/branches`]: [{ name: 'main' }] };
    const both = { ...branches, [`${P}/repository/tags`]: [{ name: 'maintenance' }] };
    expect((await complete('ref', 'mai', both, project)).values).toEqual(['main', 'maintenance']);
    expect((await complete('ref', 'mai', branches, project)).values).toEqual(['main']);
  });

  it('jobs are those of the pipeline that is known, else of the newest', async () => {
    const replies = { [`${P}/pipelines/latest`]: { id: 3 }, [`${P}/pipelines/3/jobs`]: [{ id: 8 }], [`${P}/pipelines/4/jobs`]: [{ id: 9 }] };
    expect((await complete('job', '', replies, project)).values).toEqual(['8']);
    expect((await complete('job', '', replies, { project_id: 'group/app', pipeline_id: '4' })).values).toEqual(['9']);
  });

  it('issues are found by words, too', async () => {
    const { api, values } = await complete('issue', 'crash', { [`${P}/issues`]: [{ iid: 7 }] }, project);
    expect([api.sent[0]?.query.search, values]).toEqual(['crash', ['7']]);
  });

  it('are at most 20', async () => {
    const many = Array.from({ length: 100 }, (_, at) => ({ name: `v${at}` }));
    for (const noun of ['tag', 'ref'] as const) {
      const { values } = await complete(noun, '', { [`${P}/repository/tags`]: many, [`${P}/repository/branches`]: many }, project);
      expect(values).toHaveLength(20);
    }
  });

  it('need a project where they are of one', async () => {
    for (const noun of NOUNS.filter((one) => !['project', 'group', 'user'].includes(one))) {
      const { api, values } = await complete(noun, '', {});
      expect([noun, values, api.sent]).toEqual([noun, [], []]);
    }
  });

  it('pass the rules: hidden tools and the fence', async () => {
    await expect(complete('label', '', { [`${P}/labels`]: [{ name: 'bug' }] }, project, { deniedTools: 'list_labels' })).rejects.toMatchObject({
      code: 'catalog/tool',
    });
    const listed = {
      'GET /projects': [
        { id: 1, path_with_namespace: 'a' },
        { id: 2, path_with_namespace: 'b' },
      ],
    };
    expect((await complete('project', '', listed, {}, { allowedProjects: ['2'] })).values).toEqual(['b']);
  });
});
