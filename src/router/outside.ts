import type { Caller } from '../core/caller.ts';
import { editObject, toJson } from '../core/json.ts';
import { type JsonObject, RPC } from '../core/mcp.ts';
import type { ConnectionOwner } from '../core/ports.ts';
import type { Profile } from '../upstream/profile.ts';
import { editMeta, labelled, notificationParams } from './edits.ts';
import { allows, NEEDS } from './interactions.ts';
import { judge } from './questions/judged-questions.ts';
import type { Services } from './services.ts';

export interface OutsideOptions {
  readonly services: Services;
  readonly caller: Caller;
  readonly upstream: string;
  /** Whether elicitations name their asker. */
  readonly label: boolean;
  /** What the client declared and the configuration allows. */
  readonly profile: Profile;
}

/** The owner of a session's connection as the upstream gets at it outside any call: the rules are those of a call (`CallRelay`). */
export function ownerThrough(owner: ConnectionOwner, options: OutsideOptions): ConnectionOwner {
  const { upstream, label, profile } = options;
  return {
    async request(method, params, signal) {
      if (NEEDS.get(method) !== undefined && !allows(profile, method, JSON.parse(params.toString('utf8')) as JsonObject)) {
        if (method === 'roots/list') return { kind: 'result', result: toJson({ roots: [] }) };
        const error = toJson({ code: RPC.invalidRequest, message: `${method}: the client cannot be asked for it` });
        return { kind: 'error', error, code: RPC.invalidRequest };
      }
      const verdict = judge({ ...options, era: 'legacy' }, method, editObject(params, editMeta(params, {})));
      if (verdict.kind === 'answer') return verdict.answer;
      return owner.request(method, label ? labelled(method, verdict.params, upstream) : verdict.params, signal);
    },
    notification: (method, params) => owner.notification(method, notificationParams(params)),
  };
}
