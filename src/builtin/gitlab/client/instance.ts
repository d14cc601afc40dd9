import { classifyAddress } from '../../../net/address.ts';
import { refusedClass } from '../../../net/address-guard.ts';
import { entryAllows, type HostEntry, type HostTarget } from '../../../net/host-entry.ts';
import type { ProxyChoice } from '../../../net/proxy-choice.ts';
import { type ApiUrl, parseApiUrl } from './api-url.ts';

/** Texts of gitlab.md 2.5. */
export const INVALID_URL = 'Invalid custom API URL provided';
export const FORBIDDEN_URL = 'GitLab API URL is not allowed';
export const OTHER_INSTANCE = 'Session is bound to another GitLab instance';

export interface InstanceRules {
  /** URLs of the operator: the first is the default, all are allowed, none is guarded. Empty: gitlab.com, guarded. */
  readonly operatorUrls: readonly ApiUrl[];
  /** Whether the header counts at all. */
  readonly dynamic: boolean;
  readonly allowed: readonly HostEntry[];
  /** Hosts that may be at private addresses. */
  readonly allowsPrivate: (host: string) => boolean;
  /** Behind a proxy the proxy resolves, so that only exact entries count. */
  readonly proxies: ProxyChoice;
}

export type InstanceAnswer =
  | { readonly kind: 'instance'; readonly url: ApiUrl }
  | {
      readonly kind: 'refused';
      readonly status: 400 | 403 | 409;
      /** For the caller; neither the URL nor what would be allowed. */
      readonly message: string;
      readonly detail?: string;
      /** For logs and the label `reason`: one of few words. */
      readonly reason: 'invalid' | 'hostile' | 'not-listed' | 'address' | 'bound';
      /** For logs; absent when there is none to be made out. */
      readonly host?: string;
    };

const DEFAULT: ApiUrl = {
  canonical: 'https://gitlab.com/api/v4',
  root: 'https://gitlab.com',
  target: { scheme: 'https', host: 'gitlab.com', port: 443, prefix: '' },
};

/** Which instance a request means, and whether it may (gitlab.md 2.2 to 2.4). Nothing is resolved and no socket opened. */
export class Instances {
  readonly #rules: InstanceRules;
  readonly #operator: ReadonlySet<string>;

  constructor(rules: InstanceRules) {
    this.#rules = rules;
    this.#operator = new Set(rules.operatorUrls.map(({ canonical }) => canonical));
  }

  get default(): ApiUrl {
    return this.#rules.operatorUrls[0] ?? DEFAULT;
  }

  /** Whether the operator named this very URL, so that its address is not guarded. */
  isOperators(canonical: string): boolean {
    return this.#operator.has(canonical);
  }

  /**
   * @param header the values of `X-GitLab-API-URL`: one, or several if it was sent more than once
   * @param bound the canonical URL of the session's instance, if the request belongs to a session
   */
  choose(header: string | readonly string[] | undefined, bound?: string): InstanceAnswer {
    const values = header === undefined ? [] : typeof header === 'string' ? [header] : header;
    const own = bound === undefined ? undefined : parseApiUrl(bound);
    const usual: InstanceAnswer = { kind: 'instance', url: own?.kind === 'url' ? own.url : this.default };
    if (!this.#rules.dynamic) return usual;
    if (values.length > 1) return invalid('sent twice');
    const [value = ''] = values;
    if (value.trim() === '') return usual;
    const parsed = parseApiUrl(value);
    if (parsed.kind === 'invalid') return invalid(parsed.reason);
    if (parsed.kind === 'forbidden') return forbidden('hostile');
    const refusal = this.#refusal(parsed.url);
    if (refusal !== undefined) return refusal;
    if (bound !== undefined && parsed.url.canonical !== bound)
      return { kind: 'refused', status: 409, message: OTHER_INSTANCE, reason: 'bound', host: parsed.url.target.host };
    return { kind: 'instance', url: parsed.url };
  }

  /** Whether the operator named this very instance, and not only a suffix or all: there are as many as the configuration is long. */
  isNamed({ canonical, target }: ApiUrl): boolean {
    return this.isOperators(canonical) || this.#rules.allowed.some((entry) => entry.kind === 'exact' && entryAllows(entry, target));
  }

  #refusal({ canonical, target }: ApiUrl): InstanceAnswer | undefined {
    if (this.isOperators(canonical) || (this.#operator.size === 0 && canonical === DEFAULT.canonical)) return undefined;
    if (!this.#isListed(target)) return forbidden('not-listed', target.host);
    const isLiteral = classifyAddress(target.host) !== 'none';
    const rule = { allowsPrivate: this.#rules.allowsPrivate };
    return isLiteral && refusedClass(rule, target.host, target.host) !== undefined ? forbidden('address', target.host) : undefined;
  }

  #isListed(target: HostTarget): boolean {
    const exactOnly = this.#rules.proxies(target) !== undefined;
    return this.#rules.allowed.some((entry) => (entry.kind === 'exact' || !exactOnly) && entryAllows(entry, target));
  }
}

function invalid(detail: string): InstanceAnswer {
  return { kind: 'refused', status: 400, message: INVALID_URL, detail, reason: 'invalid' };
}

function forbidden(reason: 'hostile' | 'not-listed' | 'address', host?: string): InstanceAnswer {
  return { kind: 'refused', status: 403, message: FORBIDDEN_URL, reason, ...(host === undefined ? {} : { host }) };
}
