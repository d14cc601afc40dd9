import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MARK, until } from '../fixtures/processes.ts';
import { FEATURES } from './bridge-features.ts';
import { leftIn, MAIN } from './cli-rig.ts';
import { ALL_CAPABILITIES, type Kind, Party } from './interop-clients.ts';
import { Rig, type STDIO } from './rig.ts';

/** All four cells with a pipe in them: upstreams that are children of the gateway, and a gateway that is a child of its client. */
let rig: Rig;

const KINDS = ['SDK 1.32', 'SDK 2.4 session', 'SDK 2.4 stateless'] as const satisfies Kind[];

beforeAll(async () => {
  rig = await Rig.make();
});
afterAll(() => rig?.[Symbol.asyncDispose]());

describe('upstreams over stdio', () => {
  beforeAll(async () => {
    /** Each client has a child of its own; a change of what is offered is known to the gateway's child as well. */
    const child = async (name: string, server: keyof typeof STDIO, more: object = {}) => {
      const state = join(rig.folder, name);
      await mkdir(state);
      return rig.stdio(name, server, { ...more, env: { [MARK]: rig.mark, FIXTURE_STATE: state } });
    };
    await rig.start({
      upstreams: [
        await child('modern', 'workshop'),
        await child('sessions', 'workshop', { protocol: '2025-11-25' }),
        await child('v1', 'workshopV1'),
      ],
    });
  });

  describe.each(KINDS)('%s', (kind) => {
    let party: Party;
    beforeAll(async () => {
      party = await Party.overHttp(kind, rig.endpoint, { capabilities: ALL_CAPABILITIES });
    });
    afterAll(() => party?.[Symbol.asyncDispose]());

    describe.each(['modern', 'sessions', 'v1'])('→ %s', (upstream) => {
      it.each(Object.keys(FEATURES))('%s', (feature) => FEATURES[feature]?.({ party, upstream }));
    });
  });
});

describe('turnpike serve --stdio', () => {
  let file: string;
  beforeAll(async () => {
    const [modern, v1] = await Promise.all([rig.serve('workshop'), rig.serve('workshopV1')]);
    const upstreams = [
      { name: 'modern', type: 'streamable-http', url: modern.url() },
      { name: 'v1', type: 'streamable-http', url: v1.url() },
    ];
    file = join(rig.folder, 'stdio.json');
    await writeFile(file, JSON.stringify(rig.configuration({ upstreams, listen: {} })));
  });

  it.each(KINDS)('%s: everything, in both cells, and nothing is left', async (kind) => {
    const home = join(rig.folder, `home of ${kind}`);
    await mkdir(home);
    const environment = { PATH: rig.environment.PATH ?? '', HOME: home };
    const args = [MAIN, 'serve', '--stdio', '--config', file];
    {
      await using party = await Party.overStdio(kind, process.execPath, args, environment, rig.folder, ALL_CAPABILITIES);
      await until(
        async () => (await party.client.listTools()).tools.map(({ name }) => name),
        (names) => ['x_modern_book', 'x_v1_book'].every((name) => names.includes(name)),
        15_000,
      );
      for (const upstream of ['modern', 'v1']) {
        for (const [feature, show] of Object.entries(FEATURES)) {
          await expect(show({ party, upstream }), `${upstream} ${feature}`).resolves.toBeUndefined();
        }
      }
    }
    await leftIn(home);
  });
});
