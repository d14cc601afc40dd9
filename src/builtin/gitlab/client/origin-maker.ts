import type { Clock } from '../../../core/clock.ts';
import { TurnpikeError } from '../../../core/errors.ts';
import type { Resolve } from '../../../net/guarded-lookup.ts';
import { Origin } from '../../../net/origin.ts';
import { proxyChoice } from '../../../net/proxy-choice.ts';
import { trustedRoots } from '../../../net/trusted-roots.ts';
import type { ApiUrl } from './api-url.ts';

/** How instances are reached. */
export interface OriginSettings {
  readonly httpProxy?: string | undefined;
  readonly httpsProxy?: string | undefined;
  readonly noProxy?: string | undefined;
  /** False: certificates of instances are not checked; those of proxies always are. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** PEM, added to the roots that are trusted anyway; read at once. */
  readonly caCertPath?: string | undefined;
  /** Whether addresses of this instance are not guarded: the operator's word. Default: none. */
  readonly isExempt?: ((canonicalUrl: string) => boolean) | undefined;
  /** Whether a host may be at a private address. Default: none. */
  readonly allowsPrivate?: ((host: string) => boolean) | undefined;
  /** How names are resolved. Default: as the system does. */
  readonly resolve?: Resolve | undefined;
}

/** Sockets to one instance (gitlab.md 2.5). */
const CONNECTIONS = 32;
/** Milliseconds (gitlab.md section 3). */
const CONNECT_MS = 10_000;

/** @throws `config/invalid` when a proxy or the CA certificate cannot be used */
export function originMaker(settings: OriginSettings, clock: Clock): (url: ApiUrl) => Origin {
  const proxies = proxyChoice(settings);
  if (!proxies.ok) throw new TurnpikeError('config/invalid', proxies.error);
  const { rejectUnauthorized, caCertPath, isExempt, allowsPrivate, resolve } = settings;
  const roots = caCertPath === undefined ? undefined : trustedRoots(caCertPath);
  const rule = { allowsPrivate: allowsPrivate ?? (() => false) };
  return ({ canonical, target }) =>
    new Origin({
      target,
      proxy: proxies.value(target),
      connections: CONNECTIONS,
      clock,
      timeoutMs: CONNECT_MS,
      rule: isExempt?.(canonical) === true ? undefined : rule,
      resolve,
      roots,
      rejectUnauthorized,
    });
}
