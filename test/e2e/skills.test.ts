import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { answerIn, modernRequest, post } from './raw-client.ts';
import { Rig } from './rig.ts';

interface Skill {
  readonly uri: string;
  readonly frontmatter: { readonly name: string };
  readonly resources: 'dynamic' | readonly { readonly uri: string; readonly digest: string; readonly size: number }[];
}

const SKILLS = 'io.modelcontextprotocol/skills';
const TRIP = 'skill://trip-report';

async function send(rig: Rig, method: string, params: JsonObject = {}) {
  const { body, headers } = modernRequest(1, method, params);
  const reply = await post(rig.endpoint, body, { headers });
  return { status: reply.status, ...answerIn(reply) } as { status: number; result: JsonObject; error?: { code: number; message: string } };
}

async function bytesAt(rig: Rig, uri: string): Promise<Buffer> {
  const { result } = await send(rig, 'resources/read', { uri });
  const [{ text, blob } = {}] = result.contents as { text?: string; blob?: string }[];
  return text === undefined ? Buffer.from(blob ?? '', 'base64') : Buffer.from(text);
}

/** What a host does before it uses a file. */
async function verify(rig: Rig, skills: readonly Skill[]): Promise<number> {
  let verified = 0;
  for (const { resources } of skills) {
    for (const { uri, digest, size } of resources === 'dynamic' ? [] : resources) {
      const bytes = await bytesAt(rig, uri);
      expect([uri, `sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes.length]).toEqual([uri, digest, size]);
      verified++;
    }
  }
  return verified;
}

const skillsOf = ({ result }: { readonly result: JsonObject }) => result.skills as readonly Skill[];

describe('one upstream with skills, and one without', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.make();
    const modern = await rig.serve('modern');
    await rig.start({ upstreams: [{ name: 'sk', type: 'streamable-http', url: modern.url() }, rig.stdio('old', 'legacy')] });
  });
  afterAll(() => rig?.[Symbol.asyncDispose]());

  it('is as if there were no gateway: same URIs, digests, sizes and bytes', async () => {
    const { result } = await send(rig, 'server/discover');
    expect(result.capabilities).toMatchObject({ resources: {}, extensions: { [SKILLS]: { directoryRead: true } } });
    const skills = skillsOf(await send(rig, 'skills/list'));
    expect(skills.map(({ uri }) => uri)).toEqual(
      ['trip-report', 'acme/travel/refunds', 'acme/travel/today'].map((path) => `skill://${path}/SKILL.md`),
    );
    expect(await verify(rig, skills)).toBe(5);
    expect((await send(rig, 'skills/get', { uri: skills[0]?.uri })).result).toMatchObject({ skill: skills[0], ttlMs: 30_000, cacheScope: 'public' });
  });

  it('has skills that are in no list, and directories in pages', async () => {
    const quiet = await send(rig, 'skills/get', { uri: 'skill://acme/quiet/SKILL.md' });
    expect(await verify(rig, [quiet.result.skill as Skill])).toBe(1);
    const first = await send(rig, 'resources/directory/read', { uri: TRIP });
    const second = await send(rig, 'resources/directory/read', { uri: TRIP, cursor: first.result.nextCursor });
    expect([first, second].flatMap(({ result }) => result.resources)).toEqual([
      { uri: `${TRIP}/SKILL.md`, name: 'SKILL.md', mimeType: 'text/markdown' },
      { uri: `${TRIP}/templates`, name: 'templates', mimeType: 'inode/directory' },
      { uri: `${TRIP}/assets`, name: 'assets', mimeType: 'inode/directory' },
    ]);
    const below = await send(rig, 'resources/directory/read', { uri: `${TRIP}/templates/regional` });
    expect(below.result.resources).toMatchObject([{ uri: `${TRIP}/templates/regional/eu.md` }]);
  });

  it('refuses what is no skill and no directory', async () => {
    expect(await send(rig, 'skills/get', { uri: 'skill://none/SKILL.md' })).toMatchObject({ status: 200, error: { code: -32602 } });
    expect(await send(rig, 'resources/directory/read', { uri: `${TRIP}/SKILL.md` })).toMatchObject({ status: 200, error: { code: -32602 } });
    expect(await send(rig, 'resources/read', { uri: `${TRIP}/none.md` })).toMatchObject({
      status: 200,
      error: { code: -32602, message: `resource not found: ${TRIP}/none.md` },
    });
  });
});

describe('two upstreams with the same skills', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.make();
    const modern = await rig.serve('modern');
    await rig.start({ upstreams: [rig.stdio('pipe', 'modern'), { name: 'http', type: 'streamable-http', url: modern.url() }] });
  });
  afterAll(() => rig?.[Symbol.asyncDispose]());

  it('are told apart by URI, and every file of both can be verified', async () => {
    const skills = skillsOf(await send(rig, 'skills/list'));
    const paths = ['trip-report', 'acme/travel/refunds', 'acme/travel/today'];
    expect(skills.map(({ uri }) => uri)).toEqual(
      ['http', 'pipe'].flatMap((upstream) => paths.map((path) => `turnpike://${upstream}/skill://${path}/SKILL.md`)),
    );
    for (const { uri, frontmatter, resources } of skills) {
      // Hosts take name and root from the path.
      expect(uri.split('/').at(-2)).toBe(frontmatter.name);
      const root = uri.slice(0, -'SKILL.md'.length);
      for (const one of resources === 'dynamic' ? [] : resources) expect(one.uri.startsWith(root)).toBe(true);
      expect((await send(rig, 'skills/get', { uri })).result.skill).toEqual({ uri, frontmatter, resources });
    }
    expect(await verify(rig, skills)).toBe(10);
    const { result } = await send(rig, 'resources/directory/read', { uri: `turnpike://pipe/${TRIP}/assets` });
    expect(result.resources).toMatchObject([{ uri: `turnpike://pipe/${TRIP}/assets/map.png` }]);
  });

  it('answer to nobody who does not say which', async () => {
    expect(await send(rig, 'skills/get', { uri: `${TRIP}/SKILL.md` })).toMatchObject({ status: 200, error: { code: -32602 } });
    expect(await send(rig, 'resources/read', { uri: `${TRIP}/templates/short.md` })).toMatchObject({ status: 200, error: { code: -32602 } });
  });
});

describe('nobody with skills', () => {
  it('has no such methods', async () => {
    await using rig = await Rig.make();
    await rig.start({ upstreams: [rig.stdio('old', 'legacy')] });
    expect(JSON.stringify((await send(rig, 'server/discover')).result)).not.toContain(SKILLS);
    for (const method of ['skills/list', 'skills/get', 'resources/directory/read']) {
      expect(await send(rig, method, { uri: `${TRIP}/SKILL.md` })).toMatchObject({
        status: 404,
        error: { code: -32601, message: `Method not found: ${method}` },
      });
    }
  });
});
