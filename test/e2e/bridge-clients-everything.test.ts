import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asking } from './bridge-features.ts';
import { ALL_CAPABILITIES, type Kind, Party, textOf } from './interop-clients.ts';
import { Rig } from './rig.ts';

/** What the published reference server asks of its client, through the gateway, by every client and over every transport. */
let rig: Rig;

const UPSTREAMS = ['pipe', 'http', 'sse'] as const;
const URL = 'https://example.com/sign-in?step=2';
const PREREQUISITE = 'https://modelcontextprotocol.io';

beforeAll(async () => {
  rig = await Rig.make();
  const [http, sse] = await Promise.all([rig.serve('everything'), rig.serve('sse')]);
  await rig.start({
    upstreams: [
      rig.stdio('pipe', 'everything'),
      { name: 'http', type: 'streamable-http', url: http.url() },
      { name: 'sse', type: 'sse', url: sse.url('/sse') },
    ],
  });
});
afterAll(() => rig?.[Symbol.asyncDispose]());

describe.each(['SDK 1.32', 'SDK 2.4 session', 'SDK 2.4 stateless'] as const satisfies Kind[])('%s', (kind) => {
  const hasSession = kind !== 'SDK 2.4 stateless';
  let party: Party;
  beforeAll(async () => {
    party = await Party.overHttp(kind, rig.endpoint, { capabilities: ALL_CAPABILITIES });
  });
  afterAll(() => party?.[Symbol.asyncDispose]());

  describe.each(UPSTREAMS)('→ server-everything as %s', (upstream) => {
    const ask = (name: string, args = {}) => asking({ party, upstream }, name, args);

    it('asks for roots outside any request of its own', async () => {
      const { result, asked } = await ask('get-roots-list');
      expect(textOf(result)).toContain('URI: file:///srv/work');
      expect(asked.map(({ method }) => method)).toEqual(['roots/list']);
    });

    it('asks a model', async () => {
      const { result, asked } = await ask('trigger-sampling-request', { prompt: 'a prompt' });
      expect(textOf(result)).toContain('a sampled answer');
      expect(JSON.stringify(asked.map(({ params }) => params))).toContain('a prompt');
    });

    it('asks by a form with every kind of field', async () => {
      const { result, asked } = await ask('trigger-elicitation-request');
      expect(JSON.stringify(result.content)).toContain('- Name: Anna');
      expect(asked).toHaveLength(1);
      const { requestedSchema } = (asked[0]?.params ?? {}) as { requestedSchema: { properties: object } };
      expect(Object.keys(requestedSchema.properties)).toEqual(
        expect.arrayContaining(['name', 'check', 'titledMultipleSelectEnum', 'legacyTitledEnum']),
      );
    });

    it('sends its user to a URL, and waits', async () => {
      const { result, asked } = await ask('trigger-url-elicitation', { url: URL });
      expect(textOf(result)).toContain('User completed the URL elicitation flow');
      expect(asked.map(({ params }) => params)).toEqual([expect.objectContaining({ mode: 'url', url: URL })]);
    });

    it(
      hasSession
        ? 'sends its user to a URL by an error, which a session client gets as it is'
        : 'sends its user to a URL by an error: asked for, then called afresh',
      async () => {
        const called = ask('trigger-url-elicitation', { url: URL, elicitationId: kind, errorPath: true });
        if (hasSession) {
          await expect(called).rejects.toMatchObject({ code: -32042, data: { elicitations: [{ mode: 'url', url: PREREQUISITE }] } });
          return;
        }
        const { result, asked } = await called;
        expect(asked.map(({ params }) => params.url)).toEqual([PREREQUISITE, URL]);
        expect(textOf(result)).toContain('User completed the URL elicitation flow');
      },
    );
  });
});
