import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namedCallers } from '../../src/cli/explain/callers.ts';
import { explanationOf } from '../../src/cli/explain/explanation.ts';
import { survey } from '../../src/cli/explain/survey.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/core/clock.ts';
import { freePort } from '../fixtures/free-port.ts';
import { leftIn, Rig, ROOT } from './cli-rig.ts';

const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
const CHILD = `type: stdio, command: ${process.execPath}, args: [${EVERYTHING}, stdio]`;

let rig: Rig;
let home: string;
let url: string;
beforeAll(async () => {
  rig = await Rig.make();
  home = await rig.home();
  const port = await freePort();
  await writeFile(
    join(rig.folder, 'turnpike.yaml'),
    `listen: {port: ${port}}
auth:
  modes: [static]
  static:
    - {name: reader, token: reader-secret, scopes: [turnpike:read]}
    - {name: dev, token: dev-secret, tenant: platform}
policy: {denylist: {extra: [get-env]}}
upstreams:
  - {name: one, ${CHILD}, tools: {readOnly: [echo], deny: [get-sum]}}
  - {name: two, ${CHILD}, tenants: [platform], toolPrefix: one, tools: {allow: [get-tiny-image, echo]}}
  - {name: away, type: streamable-http, url: "http://127.0.0.1:9/mcp"}
`,
  );
  url = `http://127.0.0.1:${port}/mcp`;
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const explain = (...args: string[]) => rig.run(['explain', ...args], { env: { HOME: home } });

describe('explain', () => {
  it('says what the gateway then does, for each caller', async () => {
    const gateway = rig.start(['serve']);
    await gateway.until(/lists every setting/);
    const cases: readonly (readonly [caller: string, tool: string])[] = [
      ['reader', 'x_one_echo'],
      ['dev', 'x_one_echo'],
      ['reader', 'x_one_get-tiny-image'],
      ['reader', 'x_one_get-env'],
      ['reader', 'x_one_get-sum'],
      ['dev', 'x_one_get-structured-content'],
      ['reader', 'x_one_get-structured-content'],
      ['dev', 'x_one_nothing'],
    ];
    const answers = await Promise.all(
      cases.map(async ([caller, tool]) => {
        const args = tool.endsWith('echo') ? '{"message":"hi"}' : tool.endsWith('content') ? '{"location":"New York"}' : '{}';
        return rig.run(['call', tool, args, '--url', url], { env: { TURNPIKE_TOKEN: `${caller}-secret` } });
      }),
    );
    gateway.child.kill('SIGTERM');
    await gateway.ended;
    // All of them by one survey: the processes that each would start are looked at below.
    const environment = { HOME: home, PATH: process.env.PATH };
    const loaded = await loadConfig({ cwd: rig.folder, env: environment });
    const everybody = namedCallers(loaded.config, false);
    const around = { environment, clock: systemClock, timeout: 15_000, signal: AbortSignal.timeout(20_000) };
    const explanations = await survey(loaded.config, around, (found) =>
      cases.map(([caller, tool]) =>
        explanationOf(
          tool,
          everybody.find(({ name }) => name === caller),
          everybody,
          loaded,
          found,
        ),
      ),
    );
    const codes: number[] = [];
    for (const [index, [caller, tool]] of cases.entries()) {
      const { code = -1, blocks = [], problems = [] } = explanations[index] ?? {};
      codes.push(code);
      const answer = answers[index];
      const told = answer?.err.replace(/^turnpike: /, '').split('\n', 1)[0] ?? '';
      expect([tool, caller, code === 0]).toEqual([tool, caller, answer?.code === 0]);
      // The words of a refusal are the gateway's own; a lack of scope is told in ours.
      if (code !== 0)
        expect([...blocks.flatMap(({ rows }) => rows.flat()), ...problems].join('\n')).toContain(
          told.includes('scope') ? 'insufficient_scope' : told,
        );
    }
    expect(codes).toEqual([0, 1, 3, 3, 3, 0, 3, 1]);
  });

  it('leaves no process behind, and shows no secret', async () => {
    const { code, out, err } = await explain('echo');
    // dev meets a collision, reader none.
    expect(code).toBe(1);
    expect(out).toContain('is ambiguous: provided by one, two');
    expect(out + err).not.toMatch(/-secret/);
    await leftIn(home);
  });

  it('flags and files as for serve', async () => {
    const lifted = await explain('x_one_get-env', '--as', 'dev', '--yolo');
    expect([lifted.code, lifted.out]).toEqual([
      0,
      expect.stringContaining('the denylist would refuse it, but policy.yolo is on [policy.yolo: --yolo]'),
    ]);
    await writeFile(join(rig.folder, 'bad.yaml'), 'upstream: []\n');
    expect(await explain('x', '--config', 'bad.yaml')).toEqual({
      code: 1,
      out: '',
      err: 'bad.yaml:1:1 upstream: unknown key; did you mean "upstreams"?\n',
    });
    await writeFile(join(rig.folder, 'empty.yaml'), '{}\n');
    expect(await explain('x', '--config', 'empty.yaml')).toEqual({ code: 1, out: '', err: 'turnpike: no upstreams are configured in empty.yaml\n' });
    expect(await explain('x', '--as', 'raeder')).toEqual({
      code: 2,
      out: '',
      err: 'turnpike: no caller is called raeder; there are reader, dev\n(Did you mean reader?)\n',
    });
  });

  it('an upstream that never answers ends with the time that was given', async () => {
    await writeFile(join(rig.folder, 'slow.yaml'), 'upstreams: [{name: slow, type: stdio, command: sleep, args: ["100"]}]\n');
    const { code, err } = await explain('x_slow_tool', '--config', 'slow.yaml', '--timeout', '1s');
    expect([code, err]).toEqual([
      1,
      'turnpike: tool not found: x_slow_tool\nturnpike: upstream slow could not be asked, and by its name the tool is one of its own: starting\n',
    ]);
    await leftIn(home);
  });
});
