import { principalKey } from '../core/caller.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { canonicalJson, member } from '../core/json.ts';
import { sha256 } from '../core/secret.ts';
import type { Services } from './services.ts';

/** What a request state is for: opened for anything else it is as good as forged (protocol.md section 9). */
export interface StateSubject {
  readonly upstream: string;
  /** The upstream's own name or URI. */
  readonly original: string;
}

interface Payload {
  readonly kind: 'relay';
  readonly who: string;
  readonly tenant: string;
  readonly upstream: string;
  readonly config: string;
  readonly digest: string;
  readonly until: number;
  readonly state: string;
}

/** Seals an upstream's state for the client that carries it (`rs1.`). */
export function sealState(services: Services, exchange: Exchange, subject: StateSubject, state: string): string {
  const payload: Payload = {
    ...bindings(services, exchange, subject),
    kind: 'relay',
    until: services.clock.now() + services.settings.bridge.stateTtl,
    state,
  };
  return services.seals.state.seal(exchange.method, payload);
}

/**
 * The upstream's own state, if the request carries one. Throws `state/invalid`, one text for all causes: not ours, of another
 * principal, tenant, upstream, configuration, method, name or arguments, or too old.
 */
export function openState(services: Services, exchange: Exchange, subject: StateSubject): string | undefined {
  const { requestState } = exchange.body;
  if (requestState === undefined) return undefined;
  const opened = typeof requestState === 'string' ? services.seals.state.openJson(exchange.method, requestState) : undefined;
  if (opened === undefined || !opened.ok) throw invalidState();
  const payload = opened.value as unknown as Payload;
  const expected = bindings(services, exchange, subject);
  const isOurs = Object.entries(expected).every(([key, value]) => payload[key as keyof Payload] === value);
  if (!isOurs || payload.kind !== 'relay' || !(payload.until > services.clock.now())) throw invalidState();
  return payload.state;
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

function invalidState(): TurnpikeError {
  return new TurnpikeError('state/invalid', 'Invalid or expired request state');
}
