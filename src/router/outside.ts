import { editObject, toJson } from '../core/json.ts';
import { type JsonObject, RPC } from '../core/mcp.ts';
import type { ConnectionOwner } from '../core/ports.ts';
import type { Profile } from '../upstream/profile.ts';
import { editMeta, labelled, notificationParams } from './edits.ts';
import { allows, NEEDS } from './interactions.ts';

export interface OutsideOptions {
  readonly upstream: string;
  /** Whether elicitations name their asker. */
  readonly label: boolean;
  /** What the client declared and the configuration allows. */
  readonly profile: Profile;
}

/** The owner of a session's connection as the upstream gets at it outside any call: the rules are those of a call (`CallRelay`). */
export function ownerThrough(owner: ConnectionOwner, { upstream, label, profile }: OutsideOptions): ConnectionOwner {
  return {
    async request(method, params, signal) {
      if (NEEDS.get(method) !== undefined && !allows(profile, method, JSON.parse(params.toString('utf8')) as JsonObject)) {
        if (method === 'roots/list') return { kind: 'result', result: toJson({ roots: [] }) };
        const error = toJson({ code: RPC.invalidRequest, message: `${method}: the client cannot be asked for it` });
        return { kind: 'error', error, code: RPC.invalidRequest };
      }
      const clean = editObject(params, editMeta(params, {}));
      return owner.request(method, label ? labelled(method, clean, upstream) : clean, signal);
    },
    notification: (method, params) => owner.notification(method, notificationParams(params)),
  };
}
