import type { Caller } from '../core/caller.ts';
import { asTurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { toJson } from '../core/json.ts';
import { type Answer, type Era, isJsonObject, type JsonObject } from '../core/mcp.ts';
import type { UpstreamCall } from '../core/ports.ts';
import { toWire } from '../core/to-wire.ts';
import { dispatch } from './dispatch.ts';
import { ParkingLot } from './parking/parking-lot.ts';
import { type Answering, NEVER, resultOf, SampleConnection, SampleConnections, sampleExchange, sampleServices } from './sample-services.ts';
import type { Services } from './services.ts';
import type { RouterSettings } from './settings.ts';

/** What a client can declare, all of it. */
export const EVERYTHING: JsonObject = { elicitation: { form: {}, url: {} }, sampling: { tools: {}, context: {} }, roots: {} };
export const FORM = { type: 'object', properties: { word: { type: 'string' } }, required: ['word'] };
export const accept = (word: string): JsonObject => ({ action: 'accept', content: { word } });

/** Lets everything happen that needs no time. */
export const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** The upstream's side of one call: questions as a session upstream asks them. They are withdrawn when the call ends, as `Peer` does. */
export class UpstreamSide {
  readonly call: UpstreamCall;
  /** What every question was answered with, in the order of the answers. */
  readonly heard: JsonObject[] = [];
  /** As they came. */
  readonly params: JsonObject;
  readonly #open = new Set<AbortController>();
  #over = false;

  constructor(call: UpstreamCall) {
    this.call = call;
    this.params = JSON.parse(call.params.toString()) as JsonObject;
  }

  get args(): JsonObject {
    return isJsonObject(this.params.arguments) ? this.params.arguments : {};
  }

  async ask(method: string, params: JsonObject, signal?: AbortSignal): Promise<JsonObject> {
    // What comes after the end of its call is nobody's.
    if (this.#over) throw new Error('the call is over');
    const controller = new AbortController();
    this.#open.add(controller);
    signal?.addEventListener('abort', () => controller.abort());
    const answer = await this.call.relay.request(method, toJson(params), controller.signal);
    this.#open.delete(controller);
    const heard = (answer.kind === 'result' ? JSON.parse(answer.result.toString()) : { error: JSON.parse(answer.error.toString()) }) as JsonObject;
    this.heard.push(heard);
    return heard;
  }

  /** Asks for a word. @param key of `turnpike/inputKey` */
  form(message = 'Which word?', key?: unknown, signal?: AbortSignal): Promise<JsonObject> {
    const meta = key === undefined ? {} : { _meta: { 'turnpike/inputKey': key } };
    return this.ask('elicitation/create', { message, requestedSchema: FORM, ...meta }, signal);
  }

  progress(progress: number): void {
    this.call.relay.notification('notifications/progress', toJson({ progress }));
  }

  log(level: string): void {
    this.call.relay.notification('notifications/message', toJson({ level, data: level }));
  }

  end(): void {
    this.#over = true;
    for (const one of this.#open) one.abort();
  }
}

/** What a request came to: its result, or the error as it would leave, with its HTTP status. */
export interface Outcome {
  readonly result: JsonObject;
  readonly error?: JsonObject;
  readonly status: number;
  /** The code of our own error, if it was one. */
  readonly code?: string;
}

export type VisitOptions = Partial<Omit<Exchange, 'body' | 'params'>> & {
  readonly args?: JsonObject;
  readonly name?: string;
  readonly more?: JsonObject;
};

/** One request of a client. */
export interface Visit extends ReturnType<typeof sampleExchange> {
  readonly outcome: Promise<Outcome>;
  /** The outcome, if there is one yet. */
  readonly done: () => Outcome | undefined;
}

/** What an upstream does with a call: the `nth`, counted from one. */
export type Script = (side: UpstreamSide, nth: number) => Promise<Answer | JsonObject> | Answer | JsonObject;

export interface SampleBridgeOptions {
  readonly bridge?: Partial<RouterSettings['bridge']>;
  readonly naming?: 'prefixed' | 'passthrough';
  /** Whose leases are used; by default all get the one connection. */
  readonly connections?: SampleConnections;
}

/** The router between stateless clients (or sessions) and one upstream `a` that is a function, under a clock by hand. */
export class SampleBridge {
  readonly connection: SampleConnection;
  readonly connections: SampleConnections;
  readonly services: Services;
  readonly clock: ReturnType<typeof sampleServices>['clock'];
  readonly source: ReturnType<typeof sampleServices>['source'];
  readonly audited: JsonObject[];
  /** The calls that reached the upstream, oldest first. */
  readonly sides: UpstreamSide[] = [];

  constructor(era: Era, script: Script, options: SampleBridgeOptions = {}) {
    this.connection = new SampleConnection(era);
    this.connections = options.connections ?? new SampleConnections(this.connection);
    const { services, clock, source, audited } = sampleServices(this.connections);
    const bridge = { ...services.settings.bridge, ...options.bridge };
    const a = services.settings.upstreams.get('a');
    if (a === undefined) throw new Error('no upstream a');
    const upstreams = new Map([['a', { ...a, naming: options.naming ?? a.naming }]]);
    this.services = { ...services, settings: { ...services.settings, bridge, upstreams }, parking: new ParkingLot(bridge.park) };
    this.clock = clock;
    this.source = source;
    this.audited = audited;
    const answering: Answering = async (call) => {
      if (call.method === 'logging/setLevel') return resultOf({});
      const side = new UpstreamSide(call);
      this.sides.push(side);
      call.signal.addEventListener('abort', () => side.end());
      try {
        const answer = await script(side, this.sides.length);
        return 'kind' in answer && typeof answer.kind === 'string' ? (answer as Answer) : resultOf(answer);
      } finally {
        side.end();
      }
    };
    this.connection.answer = answering;
  }

  get parking(): ParkingLot {
    return this.services.parking;
  }

  /** A stateless client's `tools/call`. @param options `more` are further params */
  visit({ args = { n: 1 }, name = 'x_a_write', more = {}, ...others }: VisitOptions = {}): Visit {
    const made = sampleExchange({ capabilities: EVERYTHING, ...others, body: { name, arguments: args, ...more } });
    return this.#run(made);
  }

  /** The same, of whatever method and params. */
  request(options: Parameters<typeof sampleExchange>[0]): Visit {
    return this.#run(sampleExchange({ capabilities: EVERYTHING, ...options }));
  }

  /** The retry of a call with the state it was answered with. */
  retry(state: unknown, responses: JsonObject, { more, ...options }: VisitOptions = {}): Visit {
    return this.visit({ ...options, more: { requestState: state, inputResponses: responses, ...more } });
  }

  /** Time enough to gather questions. */
  async gather(): Promise<void> {
    await turn();
    this.clock.advance(this.services.settings.bridge.gatherWindow);
    await turn();
  }

  /** A call until its client was asked. */
  async parked(
    options: VisitOptions = {},
  ): Promise<{ readonly visit: Visit; readonly state: string; readonly requests: Record<string, JsonObject> }> {
    const visit = this.visit(options);
    await this.gather();
    return { visit, ...askedOf(await this.now(visit)) };
  }

  /** The outcome of a request that must have one by now. */
  async now(visit: Visit): Promise<Outcome> {
    await turn();
    const done = visit.done();
    if (done === undefined) throw new Error('the request still waits');
    return done;
  }

  /** What must be gone when nothing runs any more; replays are kept until their window is over. */
  left(): JsonObject {
    return { parked: this.parking.size, records: this.parking.records, leases: this.connections.held, timers: this.clock.pending };
  }

  #run(made: ReturnType<typeof sampleExchange>): Visit {
    let done: Outcome | undefined;
    const outcome = this.#outcomeOf(made.exchange).then((value) => {
      done = value;
      return value;
    });
    return { ...made, outcome, done: () => done };
  }

  async #outcomeOf(exchange: Exchange): Promise<Outcome> {
    try {
      const answer = await dispatch(this.services, exchange);
      if (answer.kind === 'result') return { result: JSON.parse(answer.result.toString()) as JsonObject, status: 200 };
      return { result: {}, error: JSON.parse(answer.error.toString()) as JsonObject, status: 200 };
    } catch (thrown) {
      const { status, error } = toWire(thrown, exchange.era);
      return { result: {}, error: error as unknown as JsonObject, status, code: asTurnpikeError(thrown).code };
    }
  }
}

/** Nothing of a call is left. */
export const NOTHING_LEFT = { parked: 0, records: 0, leases: 0, timers: 0 };

/** State and questions of an `input_required` result; throws for anything else. */
export function askedOf({ result }: Outcome): { readonly state: string; readonly requests: Record<string, JsonObject> } {
  if (result.resultType !== 'input_required') throw new Error(`not asked: ${JSON.stringify(result)}`);
  return { state: result.requestState as string, requests: result.inputRequests as Record<string, JsonObject> };
}

export const someone = (subject: string, tenant = 't1'): Caller => ({
  principal: { issuer: 'static', subject },
  tenant,
  scopes: new Set(['turnpike:read', 'turnpike:write'] as const),
});

/** The one text (protocol.md section 9). */
export const INVALID = { code: -32602, message: 'Invalid or expired request state' };
export const REPLAY_MS = 60_000;
export const TTL_MS = 600_000;

/** A result that holds `words`, and what `said` put into one. */
export const said = (...words: unknown[]): JsonObject => ({ content: [{ type: 'text', text: JSON.stringify(words) }] });
export const wordsOf = (result: JsonObject) => JSON.parse(((result.content as JsonObject[])[0] as { text: string }).text) as JsonObject[];

/** A tool that asks for `rounds` words, one after the other, and does not end by itself when it gets none. */
export const asksFor =
  (rounds: number) =>
  async (side: UpstreamSide): Promise<JsonObject> => {
    for (let round = 1; round <= rounds; round++) {
      const { action } = await side.form(`Word ${round}?`);
      if (action === 'cancel') await NEVER(side.call);
    }
    return said(...side.heard);
  };

/** A session upstream; without a script it asks for one word. */
export const sessionUpstream = (script: Script = asksFor(1), options: SampleBridgeOptions = {}) => new SampleBridge('legacy', script, options);
