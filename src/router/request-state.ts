import { principalKey } from '../core/caller.ts';
import type { Exchange } from '../core/exchange.ts';
import { canonicalJson, member } from '../core/json.ts';
import { sha256 } from '../core/secret.ts';
import { invalidState, type State } from './carried-state.ts';
import type { Services } from './services.ts';

/** What a request state is for: opened for anything else it is as good as forged (protocol.md section 9). */
export interface StateSubject {
  readonly upstream: string;
  /** The upstream's own name or URI. */
  readonly original: string;
}

type Payload = State & ReturnType<typeof bindings> & { readonly until: number };

/** Seals what the client carries for us until its retry (`rs1.`), bound to the request it answers. */
export function sealState(services: Services, exchange: Exchange, subject: StateSubject, state: State): string {
  const until = services.clock.now() + services.settings.bridge.stateTtl;
  return services.seals.state.seal(exchange.method, { ...bindings(services, exchange, subject), ...state, until });
}

/**
 * What the request's state carries, if it has one. Throws `state/invalid`, one text for all causes: not ours, of another
 * principal, tenant, upstream, configuration, method, name or arguments, or too old.
 */
export function openState(services: Services, exchange: Exchange, subject: StateSubject): State | undefined {
  const { requestState } = exchange.body;
  if (requestState === undefined) return undefined;
  const opened = typeof requestState === 'string' ? services.seals.state.openJson(exchange.method, requestState) : undefined;
  if (opened === undefined || !opened.ok) throw invalidState();
  const payload = opened.value as unknown as Payload;
  const expected = bindings(services, exchange, subject);
  const isOurs = Object.entries(expected).every(([key, value]) => payload[key as keyof Payload] === value);
  if (!isOurs || !(payload.until > services.clock.now())) throw invalidState();
  return payload;
}

function bindings({ settings, fingerprint }: Services, exchange: Exchange, { upstream, original }: StateSubject) {
  return {
    who: fingerprint.of('state', principalKey(exchange.caller.principal)),
    tenant: exchange.caller.tenant,
    upstream,
    config: settings.upstreams.get(upstream)?.configHash ?? '',
    digest: sha256(`${JSON.stringify(original)}${spelling(member(exchange.params, 'arguments') ?? Buffer.from('{}'))}`).toString('base64url'),
  };
}

/** One spelling of equal arguments; where they are nested too deeply for that, their bytes. */
function spelling(args: Buffer): string {
  try {
    return canonicalJson(args);
  } catch {
    return args.toString('utf8');
  }
}
