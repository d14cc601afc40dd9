import type { Caller } from '../../core/caller.ts';
import { editObject, toJson } from '../../core/json.ts';
import { type Answer, isJsonObject, type JsonObject, RPC, TURNPIKE_META } from '../../core/mcp.ts';
import type { Relay } from '../../core/ports.ts';
import type { Profile } from '../../upstream/profile.ts';
import { editMeta, labelled } from '../edits.ts';
import { allows, NEEDS, needOf } from '../interactions.ts';
import { judge } from '../questions/judged-questions.ts';
import type { Questions } from '../questions/pending-questions.ts';
import type { Services } from '../services.ts';

export interface HostedRelayOptions {
  readonly services: Services;
  readonly caller: Caller;
  readonly upstream: string;
  readonly profile: Profile;
  readonly questions: Questions;
}

/** What a session upstream says and asks about a task of a client without a session: questions wait until the client looks (protocol.md section 8). */
export class HostedRelay implements Relay {
  readonly forTask = true;
  readonly #options: HostedRelayOptions;

  constructor(options: HostedRelayOptions) {
    this.#options = options;
  }

  /** Nobody hears progress and log of a task whose call is answered (protocol.md section 6). */
  notification(): void {
    this.#options.services.instruments.droppedNotifications('task').add();
  }

  async request(method: string, params: Buffer, signal: AbortSignal): Promise<Answer> {
    const { services, caller, upstream, profile, questions } = this.#options;
    if (!NEEDS.has(method)) return refusal(`${method} is not carried`);
    const body = JSON.parse(params.toString('utf8')) as JsonObject;
    if (!allows(profile, method, body)) {
      services.instruments.bridgeRefused('capability').add();
      return refusal(`the client cannot be asked for ${needOf(method, body).name}`);
    }
    const judged = judge({ services, caller, era: 'modern', upstream, profile }, method, editObject(params, editMeta(params, {})));
    if (judged.kind === 'answer') return judged.answer;
    const label = services.settings.upstreams.get(upstream)?.naming !== 'passthrough';
    const shown = label ? labelled(method, judged.params, upstream) : judged.params;
    const wished = isJsonObject(body._meta) ? body._meta[TURNPIKE_META.inputKey] : undefined;
    return questions.ask(method, editObject(shown, { elicitationId: undefined }), signal, wished);
  }
}

function refusal(message: string): Answer {
  return { kind: 'error', error: toJson({ code: RPC.methodNotFound, message }), code: RPC.methodNotFound };
}
