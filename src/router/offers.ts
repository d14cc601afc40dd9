import type { Exchange } from '../core/exchange.ts';
import { CARRIED_EXTENSIONS, isJsonObject, type JsonObject, TASKS_EXTENSION } from '../core/mcp.ts';
import { type Profile, profileOf } from '../upstream/profile.ts';
import { permitted } from './interactions.ts';

/** What follows from one declaration of capabilities under one configuration. */
interface Offer {
  readonly interactive: readonly string[];
  readonly profile: Profile;
  /** To modern upstreams: of a stateless client; of a session client that can be asked, and one that cannot. */
  readonly carried: { stateless?: JsonObject; asked?: JsonObject; mute?: JsonObject };
}

/** What clients declare, as upstreams are to see it. Clients declare the same object with every request, so it is worked out once. */
export class Offers {
  readonly #known = new WeakMap<JsonObject, Offer>();

  /** @param interactive `bridge.interactive` */
  profile(capabilities: JsonObject, interactive: readonly string[]): Profile {
    return this.#of(capabilities, interactive).profile;
  }

  /**
   * Capabilities for a modern upstream: the caller's, minus what is not carried, not allowed, or cannot be asked: a session
   * client on a connection that takes JSON only (protocol.md section 10, "LM").
   * @param tasks declares them for a client that knows none
   */
  toModern(exchange: Exchange, interactive: readonly string[], tasks: true | undefined): JsonObject {
    const { era, capabilities, ask } = exchange;
    if (tasks) return carried(exchange, interactive, tasks);
    const offer = this.#of(capabilities, interactive).carried;
    const kind = era === 'modern' ? 'stateless' : ask === undefined ? 'mute' : 'asked';
    offer[kind] ??= carried(exchange, interactive, undefined);
    return offer[kind];
  }

  #of(capabilities: JsonObject, interactive: readonly string[]): Offer {
    let offer = this.#known.get(capabilities);
    if (offer === undefined || offer.interactive !== interactive) {
      offer = { interactive, profile: profileOf(capabilities, interactive), carried: {} };
      this.#known.set(capabilities, offer);
    }
    return offer;
  }
}

function carried({ era, version, capabilities, ask }: Exchange, interactive: readonly string[], tasks: true | undefined): JsonObject {
  if (era === 'legacy') {
    const { elicitation, sampling, roots } = permitted(capabilities, ask === undefined ? [] : offeredBy(version, interactive));
    const extensions = tasks && { [TASKS_EXTENSION]: {} };
    return JSON.parse(JSON.stringify({ elicitation, sampling, roots, extensions })) as JsonObject;
  }
  const { extensions, ...others } = permitted(capabilities, interactive);
  if (!isJsonObject(extensions)) return others;
  return { ...others, extensions: Object.fromEntries(Object.entries(extensions).filter(([name]) => CARRIED_EXTENSIONS.includes(name))) };
}

/** Forms came with 2025-06-18, URL elicitation and sampling with tools with 2025-11-25: an older client that declares them means something else. */
function offeredBy(version: string, interactive: readonly string[]): readonly string[] {
  const since: Readonly<Record<string, string>> = { f: '2025-06-18', u: '2025-11-25', t: '2025-11-25' };
  return interactive.filter((letter) => version >= (since[letter] ?? ''));
}
