import type { Caller } from '../core/caller.ts';
import { toJson } from '../core/json.ts';
import type { Era, JsonObject } from '../core/mcp.ts';
import type { Capability, CapabilityKind, CapabilitySet, CapabilitySource, UpstreamSnapshot, UpstreamState } from '../core/ports.ts';
import type { CatalogSettings, UpstreamSettings } from './settings.ts';

/** Upstreams in memory, for tests of the catalog and of what stands on it. */
export class SampleSource implements CapabilitySource {
  readonly #snapshots = new Map<string, UpstreamSnapshot>();
  readonly #listeners = new Set<(upstream: string) => void>();

  snapshot(): readonly UpstreamSnapshot[] {
    return [...this.#snapshots.values()];
  }

  /** What a refresh finds; tests set it. */
  onRefresh: (upstream: string) => void = () => {};

  async refresh(upstream: string): Promise<void> {
    this.onRefresh(upstream);
  }

  onChange(listener: (upstream: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** The upstream offers this now; without a set it offers nothing (never listed, or stopped). */
  set(name: string, capabilities: CapabilitySet | undefined, state: UpstreamState = 'connected', lastError?: string): void {
    const status = { name, state, restartCount: 0, consecutiveFailures: 0, ...(lastError === undefined ? {} : { lastError }) };
    this.#snapshots.set(name, capabilities === undefined ? { status } : { status, capabilities });
    for (const listener of [...this.#listeners]) listener(name);
  }

  /** The upstream leaves the configuration. */
  delete(name: string): void {
    this.#snapshots.delete(name);
    for (const listener of [...this.#listeners]) listener(name);
  }
}

const ID_MEMBER: { readonly [kind in CapabilityKind]: string } = { tools: 'name', prompts: 'name', resources: 'uri', templates: 'uriTemplate' };

/** From bytes, as an upstream would send them. */
export function sampleCapability(kind: CapabilityKind, bytes: string | Buffer): Capability {
  const buffer = Buffer.from(bytes);
  const parsed = JSON.parse(buffer.toString('utf8')) as JsonObject;
  return { id: String(parsed[ID_MEMBER[kind]]), bytes: buffer, parsed };
}

export function sampleTool(name: string, more: JsonObject = {}): Capability {
  return sampleCapability('tools', toJson({ name, inputSchema: { type: 'object' }, ...more }));
}

export interface SampleLists {
  readonly tools?: readonly (string | Capability)[];
  readonly prompts?: readonly (string | Capability)[];
  readonly resources?: readonly (string | Capability)[];
  readonly templates?: readonly (string | Capability)[];
}

export function sampleSet(lists: SampleLists, more: Partial<CapabilitySet> & { readonly era?: Era } = {}): CapabilitySet {
  const named = (kind: CapabilityKind, make: (id: string) => Capability) =>
    (lists[kind] ?? []).map((one) => (typeof one === 'string' ? make(one) : one));
  return {
    lists: {
      tools: named('tools', (name) => sampleTool(name)),
      prompts: named('prompts', (name) => sampleCapability('prompts', toJson({ name }))),
      resources: named('resources', (uri) => sampleCapability('resources', toJson({ uri, name: uri }))),
      templates: named('templates', (uriTemplate) => sampleCapability('templates', toJson({ uriTemplate, name: uriTemplate }))),
    },
    era: 'modern',
    version: '2026-07-28',
    serverInfo: { name: 'sample', version: '1' },
    capabilities: { tools: {}, prompts: {}, resources: {} },
    caching: {},
    ...more,
  };
}

export function sampleUpstream(name: string, more: Partial<Omit<UpstreamSettings, 'tools'>> & { tools?: Partial<UpstreamSettings['tools']> } = {}) {
  return { name, naming: 'prefixed', ...more, tools: { trustAnnotations: false, ...more.tools } } satisfies UpstreamSettings;
}

export function sampleSettings(upstreams: readonly (string | UpstreamSettings)[], policy: Partial<CatalogSettings['policy']> = {}): CatalogSettings {
  return {
    catalog: { prefix: 'x', maxNameLength: 64 },
    policy: { denylist: { extra: [], except: [] }, annotations: 'enforce', nonDestructive: false, yolo: false, ...policy },
    upstreams: upstreams.map((one) => (typeof one === 'string' ? sampleUpstream(one) : one)),
  };
}

export function sampleCaller(tenant = 'default', subject = 'ann'): Caller {
  return { principal: { issuer: 'static', subject }, tenant, scopes: new Set(['turnpike:read', 'turnpike:write']) };
}

/** CPU time of this thread for some work, in milliseconds: bounds on it hold on a busy machine, too. */
export function cpuMs(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}
