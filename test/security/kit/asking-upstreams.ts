import type { JsonObject } from '../../../src/core/mcp.ts';
import { type SessionUpstream, sessionUpstream } from './session-upstream.ts';
import { type ScriptedUpstream, scripted, text, tool } from './upstreams.ts';

/** Two recording upstreams, one of each era, whose tool `ask` asks for what its argument `message` says and repeats the answer. */
export class AskingUpstreams implements AsyncDisposable {
  readonly old: SessionUpstream;
  readonly young: ScriptedUpstream;

  private constructor(old: SessionUpstream, young: ScriptedUpstream) {
    this.old = old;
    this.young = young;
  }

  static async start(): Promise<AskingUpstreams> {
    const tools = [tool('ask'), tool('plain')];
    const old = await sessionUpstream({
      tools,
      act: async (call) => {
        if (call.name === 'plain') return text('plain');
        const { result } = await call.ask('elicitation/create', { ...formOf(call.args), _meta: { 'turnpike/inputKey': 'q' } });
        return text(JSON.stringify(result));
      },
    });
    const young = await scripted({
      tools,
      act: ({ params }) => {
        if (params.name === 'plain') return text('plain');
        const responses = params.inputResponses as JsonObject | undefined;
        if (responses !== undefined) return text(JSON.stringify(responses.q));
        const form = formOf(params.arguments as JsonObject);
        return { resultType: 'input_required', inputRequests: { q: { method: 'elicitation/create', params: form } }, requestState: 'own' };
      },
    });
    return new AskingUpstreams(old, young);
  }

  /** The `upstreams` section of a gateway before them. */
  get section(): readonly JsonObject[] {
    return [
      { name: 'old', type: 'streamable-http', url: this.old.url },
      { name: 'young', type: 'streamable-http', url: this.young.url },
    ];
  }

  clear(): void {
    this.old.requests.length = 0;
    this.old.calls.length = 0;
    this.young.requests.length = 0;
  }

  /** Requests with a method that reached one of them. */
  requests(up: string, method: string): readonly { readonly headers: Readonly<Record<string, unknown>>; readonly body: string }[] {
    return (up === 'old' ? this.old : this.young).requests.filter(({ body }) => body.includes(`"method":"${method}"`));
  }

  /** What the tool `ask` was answered, in both eras. */
  heard(up: string): JsonObject[] {
    if (up === 'old') return this.old.calls.flatMap(({ heard }) => heard.map(({ result }) => result as JsonObject));
    return this.young
      .calls('tools/call')
      .flatMap(({ params }) => (params.inputResponses === undefined ? [] : [(params.inputResponses as JsonObject).q as JsonObject]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.old[Symbol.asyncDispose]();
    await this.young[Symbol.asyncDispose]();
  }
}

function formOf({ message = 'Which?' }: JsonObject): JsonObject {
  return { mode: 'form', message, requestedSchema: { type: 'object', properties: { word: { type: 'string' } } } };
}

export const CAN_ASK = { elicitation: { form: {} } };
export const answer = (word: string): JsonObject => ({ action: 'accept', content: { word } });
