import type { CredentialKind } from './builtin/gitlab/client/api.ts';
import type { ApiUrl } from './builtin/gitlab/client/api-url.ts';
import type { Instances } from './builtin/gitlab/client/instance.ts';
import type { GitLabClientPool } from './builtin/gitlab/client/instance-pool.ts';
import type { InstanceSource } from './builtin/gitlab/client/instance-source.ts';
import type { GitLabContext } from './builtin/gitlab/tools/gitlab-call.ts';
import type { BuiltinServer } from './builtin/server/builtin-server.ts';
import type { UpstreamConfig } from './config/schema.ts';
import { type Caller, principalKey } from './core/caller.ts';
import { Secret } from './core/secret.ts';
import { type FixedWindows, overRate } from './limit/fixed-window.ts';

/** One upstream of the configuration: its instance, how it is reached, and what it offers. */
export interface Place {
  readonly name: string;
  readonly home: ApiUrl;
  readonly isDynamic: boolean;
  readonly instances: Instances;
  readonly clients: InstanceSource & { close(): Promise<void> };
  /** Milliseconds that calls have when it is replaced. */
  readonly closeDelay: number;
  /** Absent where there is no pool, since there is one instance. */
  readonly pool?: GitLabClientPool;
  readonly server: BuiltinServer<GitLabContext>;
  /** Of each caller at each instance; absent: no limit of its own. */
  readonly rate?: FixedWindows;
  readonly auth: Extract<UpstreamConfig, { type: 'gitlab' }>['auth'];
}

/** Through which upstream's connections an instance is reached: its own, else the first that lets callers name theirs. */
export function placeOf(places: readonly Place[], apiUrl: string): Place | undefined {
  return places.find(({ home }) => home.canonical === apiUrl) ?? places.find(({ isDynamic }) => isDynamic);
}

/** What the operator gave to all callers of an upstream. */
export function ownCredential({ auth: { mode, header }, home }: Place) {
  if (mode !== 'header' || header?.value === undefined) return undefined;
  const kind = kindOf(header.name);
  const token = kind === 'bearer' ? new Secret(header.value.reveal().replace(/^Bearer +/i, '')) : header.value;
  return { kind, token, instance: home.canonical };
}

/** Throws `limit/user`. What the gateway asks for itself is nobody's. */
export function charge({ rate }: Place, caller: Caller | undefined, instance: string): void {
  if (rate === undefined || caller === undefined) return;
  const budget = rate.take(`${principalKey(caller.principal)} ${instance}`, 1);
  if (!budget.allowed) throw overRate(budget);
}

function kindOf(header: string): CredentialKind {
  const name = header.toLowerCase();
  return name === 'authorization' ? 'bearer' : name === 'job-token' ? 'job-token' : 'private-token';
}
