import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { until } from '../fixtures/processes.ts';
import { ModernClient } from '../security/kit/clients.ts';
import { get } from '../security/kit/http.ts';
import { GitLabRig } from './rig.ts';

const OURS = 'sk-ours-0123456789-abcdefgh';

it.each<[string, JsonObject | undefined]>([
  ['of a caller', undefined],
  ['beside a Bearer of ours', { modes: ['static'], static: [{ name: 'ann', token: OURS }] }],
])('no token of GitLab %s, nor its end, is in a log line, an audit record, a number or an answer (acceptance 6)', async (_, auth) => {
  const lines: string[] = [];
  let records = '';
  const auditStream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      records += chunk.toString();
      done();
    },
  });
  const logger = createLogger({ level: 'debug', sink: { write: (line: string) => void lines.push(line) } });
  const more = { telemetry: { log: { level: 'debug' }, audit: { file: '-' } }, ...(auth === undefined ? {} : { auth }) };
  await using gitlab = await GitLabRig.start({}, more, { logger, auditStream });
  const people = ['alice', 'bob', 'mallory'].map((name) => gitlab.com.person(name));
  const [alice, bob, mallory] = people.map(({ token }) => token.value) as [string, string, string];
  const said: string[] = [];
  const call = async (token: string, name: string, args = {}) => {
    const own = auth === undefined ? new ModernClient(gitlab.url, token) : new ModernClient(gitlab.url, OURS);
    const headers: Record<string, string> = auth === undefined ? {} : { 'private-token': token };
    said.push((await own.call(name, { instance: 'com', ...args }, { headers })).text);
  };
  await call(alice, 'x_gitlab_whoami');
  await call(bob, 'x_gitlab_create_issue', { project_id: alice, title: bob });
  const owner = people[1] as (typeof people)[number];
  const { id } = gitlab.com.world.addProject(owner.user, 'app', { files: { 'notes.txt': `use ${bob}\n` } });
  // GitLab says it again: in a result, in a file, in what it refuses.
  await call(bob, 'x_gitlab_create_issue', { project_id: id, title: bob, description: `also ${alice}` });
  await call(bob, 'x_gitlab_get_file_contents', { project_id: id, file_path: 'notes.txt' });
  gitlab.com.faults.add({ path: /issues$/, fault: { kind: 'status', status: 422, body: { message: `${bob} is taken` } } });
  await call(bob, 'x_gitlab_list_issues', { project_id: id });
  expect(said.slice(-3).map((text) => text.includes('[MASKED]'))).toEqual([true, true, true]);
  (people[2] as (typeof people)[number]).token.revoked = true;
  await call(mallory, 'x_gitlab_whoami');
  gitlab.com.faults.add({ path: '/user', fault: { kind: 'status', status: 502 } });
  await call(alice, 'x_gitlab_whoami');
  await call(`${alice.slice(0, -1)}x`, 'x_gitlab_whoami');
  said.push((await get(gitlab.url.replace('/mcp', '/metrics'))).text);
  await until(
    () => records.split('\n').length,
    (count) => count > 3,
    5_000,
  );
  expect(lines.length).toBeGreaterThan(3);
  // What the caller wrote into its own call comes back masked, too.
  for (const text of [...lines, ...said, records]) for (const token of [alice, bob, mallory, OURS]) expect(text).not.toContain(token.slice(-8));
});
