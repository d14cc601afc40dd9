import { randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { Credential } from './auth/credential.ts';
import { configFrom } from './config-from.ts';
import { ManualClock } from './core/manual-clock.ts';
import { Secret } from './core/secret.ts';
import { GitLabOnDemand } from './gitlab-on-demand.ts';
import { Sealer } from './store/seal.ts';
import { Instruments } from './telemetry/instruments.ts';
import { silentLogger } from './telemetry/log.ts';

const CONTEXT = { peer: '192.0.2.1', address: '192.0.2.1' };
const NEVER = new AbortController().signal;
const credential = new Credential('private-token', new Secret('glpat-aaaaaaaaaaaaaaaaaaaa'));
const without = await configFrom({});
const withLab = await configFrom({ upstreams: [{ name: 'lab', type: 'gitlab', gitlab: { url: 'http://127.0.0.1:9' } }] });

function onDemand(): GitLabOnDemand {
  const clock = new ManualClock();
  const sealer = new Sealer([{ id: 'k', key: randomBytes(32) }], 'gl1.', clock);
  return new GitLabOnDemand({
    ...{
      clock,
      sealer,
      version: '1',
      logger: silentLogger,
      instruments: new Instruments(clock),
      proxies: {},
      callOf: () => undefined,
      endSessions: () => {},
    },
  });
}

it('knows nobody while no upstream is configured', async () => {
  await using gitlab = onDemand();
  await gitlab.load(without);
  gitlab.reconfigure(without);
  gitlab.start(NEVER);
  expect(await gitlab.verify(credential, CONTEXT, NEVER)).toEqual({ kind: 'refused', reason: 'there is no upstream of type gitlab' });
  expect([gitlab.isPooled(credential, CONTEXT), gitlab.numbers(), gitlab.transport('lab'), gitlab.admits('http://127.0.0.1:9')]).toEqual([
    ...[false, undefined, undefined, false],
  ]);
});

it.each(['before', 'after'])('serves an upstream that is configured %s the start, and asks about its credentials until the end', async (when) => {
  await using gitlab = onDemand();
  const life = new AbortController();
  if (when === 'after') gitlab.start(life.signal);
  await gitlab.load(withLab);
  expect(gitlab.transport('lab')).toBeUndefined();
  gitlab.reconfigure(withLab);
  if (when === 'before') gitlab.start(life.signal);
  expect(gitlab.transport('lab')).toBeDefined();
  expect(gitlab.numbers()).toBeDefined();
  expect(getEventListeners(life.signal, 'abort')).toHaveLength(1);
  expect([gitlab.admits('http://127.0.0.1:9'), gitlab.admits('http://127.0.0.1:8')]).toEqual([true, false]);
  gitlab.reconfigure(without);
  expect([gitlab.transport('lab'), gitlab.admits('http://127.0.0.1:9')]).toEqual([undefined, false]);
});
