import { Catalog } from '../catalog/catalog.ts';
import { type SampleLists, SampleSource, sampleSet, sampleSettings, sampleUpstream } from '../catalog/sample-source.ts';
import { asTurnpikeError } from '../core/errors.ts';
import { type Answer, type Era, type JsonObject, SKILLS_EXTENSION } from '../core/mcp.ts';
import type { ConnectionLease, ConnectionSource, UpstreamCall } from '../core/ports.ts';
import { dispatch } from './dispatch.ts';
import { type Answering, resultOf, SampleConnection, sampleExchange, sampleServices } from './sample-services.ts';

export const root = (name: string) => `skill://${name}`;
export const file = (name: string, path = 'SKILL.md') => `${root(name)}/${path}`;
export const named = (upstream: string, uri: string) => `turnpike://${upstream}/${uri}`;
export const entry = (name: string, ...paths: string[]) => ({
  uri: file(name),
  frontmatter: { name },
  resources: ['SKILL.md', ...paths].map((path) => ({ uri: file(name, path), digest: `sha256:${path}`, size: 1 })),
});

export interface SkillServer {
  readonly answer?: Answering;
  /** What it declares under the extension; `null`: nothing. */
  readonly settings?: object | null;
  readonly lists?: SampleLists;
  readonly credentialMode?: string;
  readonly era?: Era;
}

/** Several modern upstreams; each has a connection of its own. */
export function gateway(servers: Readonly<Record<string, SkillServer>>, unknown: readonly string[] = []) {
  const connections = new Map(Object.keys(servers).map((name) => [name, new SampleConnection('modern')]));
  const byName: ConnectionSource = {
    async lease(upstream, _caller, _profile, signal): Promise<ConnectionLease> {
      signal.throwIfAborted();
      const connection = connections.get(upstream);
      if (connection === undefined) throw new Error(`nobody called ${upstream} was expected to be asked`);
      return { connection, ended: new AbortController().signal, release() {} };
    },
    eraOf: (upstream) => connections.get(upstream)?.era,
    async notifySession() {},
    async endSession() {},
  };
  const { services: sample, clock, audited } = sampleServices();
  const source = new SampleSource();
  const names = [...Object.keys(servers), ...unknown];
  const settingsOf = (name: string) => ({
    ...[...sample.settings.upstreams.values()][0],
    timeouts: { call: 60_000, callMax: 3_600_000 },
    naming: 'prefixed' as const,
    credentialMode: servers[name]?.credentialMode ?? 'none',
    configHash: name,
  });
  for (const [name, { answer, settings = {}, lists = {}, era = 'modern' }] of Object.entries(servers)) {
    const connection = connections.get(name);
    if (connection !== undefined && answer !== undefined) connection.answer = answer;
    const extensions = settings === null ? {} : { extensions: { [SKILLS_EXTENSION]: settings } };
    const caching = { resources: { ttlMs: 60_000, cacheScope: 'public' as const } };
    source.set(name, sampleSet({ tools: ['t'], ...lists }, { capabilities: { tools: {}, resources: {}, ...extensions }, caching, era }));
  }
  for (const name of unknown) source.set(name, undefined, 'stopped');
  const services = {
    ...sample,
    catalog: new Catalog(sampleSettings(names.map((name) => sampleUpstream(name))), source, { clock }),
    upstreams: source,
    connections: byName,
    settings: { ...sample.settings, upstreams: new Map(names.map((name) => [name, settingsOf(name)])) },
  };
  const asked = (name: string): UpstreamCall[] => [...(connections.get(name)?.calls ?? [])];
  const send = async (method: string, body: JsonObject | string = {}, more: Parameters<typeof sampleExchange>[0] = {}): Promise<Answer> =>
    dispatch(services, sampleExchange({ ...more, method, body }).exchange);
  const result = async (method: string, body: JsonObject | string = {}, more: Parameters<typeof sampleExchange>[0] = {}): Promise<JsonObject> =>
    resultIn(await send(method, body, more));
  const fault = (method: string, body: JsonObject = {}, more: Parameters<typeof sampleExchange>[0] = {}) =>
    send(method, body, more).then(
      (answer) => Promise.reject(new Error(`answered ${answer.kind}`)),
      (error: unknown) => asTurnpikeError(error).code,
    );
  return { services, source, clock, audited, asked, send, result, fault, connections };
}

export function resultIn(answer: Answer): JsonObject {
  if (answer.kind === 'error') throw new Error(answer.error.toString());
  return JSON.parse(answer.result.toString()) as JsonObject;
}

export const paramsOf = ({ params }: UpstreamCall) => JSON.parse(params.toString()) as JsonObject;
export const urisOf = ({ skills }: JsonObject) => (skills as JsonObject[]).map(({ uri }) => uri);
export const lists =
  (...skills: object[]): Answering =>
  () =>
    resultOf({ skills, ttlMs: 60_000, cacheScope: 'public' });
