import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ModernClient } from '../security/kit/clients.ts';
import { Rig } from './cli-rig.ts';
import { child, Served } from './reload-rig.ts';

/** What a gateway holds in memory that nobody calls: the code of what is not configured is not there (performance.md, "Memory"). */

const PRELOAD = new URL('../fixtures/loaded-files.mjs', import.meta.url).href;
/** What a credential of GitLab looks like may be known to everybody: two small files. */
const GITLAB = /\/src\/(builtin\/(?!gitlab\/pool\/(credential|errors)\.)|gitlab-upstreams|standalone-|cli\/gitlab\/(gitlab|document)\.)/;
/** Of other commands and of settings that nobody made. */
const OTHERS =
  /\/src\/(aggregator|launcher|testing|gitlab|cli\/(init|explain|top|completion))\/|\/src\/cli\/(call|list|check|client)\.|\/(@clack|pino-pretty)\/|\/undici\/index\.js/;
/** An upstream over HTTP, which needs a part of undici, and one over stdio. */
const UPSTREAMS = `upstreams:\n${child('up', 'modern')}  - {name: far, type: streamable-http, url: "http://127.0.0.1:9/mcp"}\n`;
const LAB = '  - {name: lab, type: gitlab, gitlab: {url: "http://127.0.0.1:9"}}\n';

let rig: Rig;
let loaded: () => Promise<readonly string[]>;
let served: Served;

beforeAll(async () => {
  rig = await Rig.make();
  const file = join(rig.folder, 'loaded.txt');
  loaded = async () => (await readFile(file, 'utf8')).split('\n');
  const env = { NODE_OPTIONS: `--import ${PRELOAD}`, LOADED_FILES: file };
  served = await Served.start(rig, UPSTREAMS, { env });
});
afterAll(() => rig[Symbol.asyncDispose]());

it('a gateway without GitLab loads none of its code, a reload that adds one does, and it serves', async () => {
  const before = await loaded();
  for (const part of ['/src/router/', '/undici/lib/dispatcher/pool.js'])
    expect(
      before.some((url) => url.includes(part)),
      part,
    ).toBe(true);
  expect(before.filter((url) => GITLAB.test(url) || OTHERS.test(url))).toEqual([]);

  await served.reload(`${UPSTREAMS}${LAB}`);
  expect((await loaded()).some((url) => url.includes('/src/builtin/gitlab/tools/all-tools'))).toBe(true);
  const client = new ModernClient(served.url.href);
  await expect.poll(() => client.toolNames(), { timeout: 10_000 }).toContain('x_lab_whoami');
});
