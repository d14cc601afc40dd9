import type { Clock } from '../../core/clock.ts';
import { asTurnpikeError, ERRORS, TurnpikeError } from '../../core/errors.ts';
import { toJson } from '../../core/json.ts';
import { type Answer, isJsonObject, isLogLevel, type JsonObject, META, MODERN_VERSION } from '../../core/mcp.ts';
import type { Flow } from '../../core/ports.ts';
import { toAnswer, toErrorAnswer } from '../../core/to-wire.ts';
import { unlessAborted } from '../../upstream/deadline.ts';
import { Completions } from './completions.ts';
import { cachingOf, Lists } from './lists.ts';
import { type Handler, promptHandler, type Resources, resourcesOf } from './readers.ts';
import { Round } from './round.ts';
import { RunningCall } from './running-call.ts';
import { compileSchema, type Validator } from './schema.ts';
import type { BuiltinOffer, BuiltinPrompt, BuiltinTool, ToolOutcome } from './server.ts';
import { argumentsText, failureOutcome, toolResult } from './tool-results.ts';

/** The right to act for one caller, for one call. */
export interface ContextLease<C> {
  readonly context: C;
  /** Aborts when the caller may not act any more (its credential was revoked). */
  readonly signal?: AbortSignal;
  release(): void;
}

/** One request to the server. */
export interface ServedRequest<C> {
  readonly method: string;
  readonly params: JsonObject;
  readonly signal: AbortSignal;
  readonly flow?: Flow | undefined;
  notify(method: string, params: JsonObject): void;
  /** Who it acts for; asked only by what runs a handler, never by discovery and lists. What it throws ends the request unanswered. */
  context(signal: AbortSignal): ContextLease<C> | Promise<ContextLease<C>>;
}

export interface BuiltinServerOptions {
  readonly clock: Clock;
  /** What a handler threw that its caller is not to see: for the log. `what` is the method and name. */
  readonly onFailure?: (what: string, error: unknown) => void;
  /** Holds results of tools to their `outputSchema`: for tests. */
  readonly checkOutputs?: boolean;
}

interface Checked<C> {
  readonly tool: BuiltinTool<C>;
  readonly input: Validator;
  readonly output: Validator;
}

/** What is left to do once it is clear for whom. */
interface Work<C> {
  readonly what: string;
  readonly run: Handler<C>;
  /** What `run` threw, as the answer. */
  readonly failed: (error: unknown) => Answer;
}

/**
 * An MCP server of revision 2026-07-28 that answers in this process. Stateless: nothing is kept between requests, and one
 * server serves all callers, each with its own context.
 */
export class BuiltinServer<C> {
  readonly #offer: BuiltinOffer<C>;
  readonly #options: BuiltinServerOptions;
  readonly #meta: JsonObject;
  readonly #lists: Lists;
  readonly #tools: ReadonlyMap<string, Checked<C>>;
  readonly #refusals: ReadonlyMap<string, TurnpikeError>;
  readonly #prompts: ReadonlyMap<string, BuiltinPrompt<C>>;
  readonly #resources: Resources<C>;
  readonly #completions: Completions<C>;
  readonly #discovery: Buffer;

  /** @throws TypeError for names given twice, schemas and templates that are not of our subset: mistakes of whoever wrote the offer */
  constructor(offer: BuiltinOffer<C>, options: BuiltinServerOptions) {
    this.#offer = offer;
    this.#options = options;
    this.#meta = { [META.serverInfo]: offer.serverInfo };
    this.#lists = new Lists(offer);
    this.#tools = byName(
      offer.tools.map((tool) => ({ name: tool.name, tool, input: compileSchema(tool.inputSchema), output: compileSchema(tool.outputSchema) })),
    );
    this.#refusals = new Map(offer.withheld?.map(({ tool, refusal }) => [tool.name, refusal]));
    this.#prompts = byName(offer.prompts ?? []);
    this.#resources = resourcesOf(offer);
    this.#completions = new Completions(offer, options.clock);
    this.#discovery = toJson(this.#discover());
  }

  /**
   * Answers one request. Throws what `context` throws, the reason of `signal` as soon as it aborts, and that of the context's signal;
   * everything else is an answer.
   */
  async answer(request: ServedRequest<C>): Promise<Answer> {
    const { method, params } = request;
    let work: Work<C> | Buffer;
    let round: Round;
    try {
      checkEnvelope(params);
      work = this.#plain(method, params) ?? this.#work(method, params);
      round = new Round(params, [method, params.name ?? params.uri, params.arguments ?? {}]);
    } catch (error) {
      return toAnswer(error, 'modern', method, this.#offer.serverInfo);
    }
    if (Buffer.isBuffer(work)) return { kind: 'result', result: work };
    const lease = await leaseOf(request);
    try {
      return await this.#run(request, work, round, lease);
    } finally {
      lease.release();
    }
  }

  async #run(request: ServedRequest<C>, work: Work<C>, round: Round, lease: ContextLease<C>): Promise<Answer> {
    // A signal of the platform: handlers may pass it to whatever they like.
    const controller = new AbortController();
    const stops = [request.signal, ...(lease.signal === undefined ? [] : [lease.signal])].map((source) => follow(source, controller));
    const { params, flow } = request;
    const ports = { signal: controller.signal, flow, notify: (name: string, said: JsonObject) => request.notify(name, said) };
    const call = new RunningCall(lease.context, ports, round, metaOf(params));
    try {
      controller.signal.throwIfAborted();
      const result = await unlessAborted(work.run(call), controller.signal);
      // A question that a handler swallowed is a question nevertheless.
      return {
        kind: 'result',
        result: toJson({ ...(round.pending === undefined ? result : round.result(round.pending)), _meta: this.#metaWith(result) }),
      };
    } catch (error) {
      controller.signal.throwIfAborted();
      return this.#failed(work, round, error);
    } finally {
      for (const stop of stops) stop();
      // What a handler left running ends with its call.
      controller.abort(new Error('the call is over'));
    }
  }

  #failed(work: Work<C>, round: Round, error: unknown): Answer {
    try {
      if (round.pending !== undefined) return { kind: 'result', result: toJson({ ...round.result(round.pending), _meta: this.#meta }) };
    } catch (unaskable) {
      return toErrorAnswer(unaskable, 'modern');
    }
    const { code } = asTurnpikeError(error);
    if (!(error instanceof TurnpikeError) || !ERRORS[code].show) this.#options.onFailure?.(work.what, error);
    return work.failed(error);
  }

  #metaWith({ _meta }: JsonObject): JsonObject {
    return isJsonObject(_meta) ? { ..._meta, ...this.#meta } : this.#meta;
  }

  /** What needs no caller. */
  #plain(method: string, params: JsonObject): Buffer | undefined {
    if (method === 'server/discover') return this.#discovery;
    return this.#declares(method) ? this.#lists.page(method, params) : undefined;
  }

  #work(method: string, params: JsonObject): Work<C> {
    if (!this.#declares(method)) throw unknownMethod(method);
    switch (method) {
      case 'tools/call':
        return this.#callTool(params);
      case 'resources/read': {
        const uri = textOf(params, 'uri');
        return { what: method, run: this.#resources.reader(uri, 'requestState' in params), failed: plainFailure };
      }
      case 'prompts/get': {
        const prompt = this.#prompts.get(textOf(params, 'name'));
        if (prompt === undefined) throw new TurnpikeError('catalog/prompt', `prompt not found: ${String(params.name)}`);
        return { what: `${method} ${prompt.name}`, run: promptHandler(prompt, params), failed: plainFailure };
      }
      case 'completion/complete':
        return { what: method, run: this.#completions.handler(params, (error) => this.#options.onFailure?.(method, error)), failed: plainFailure };
      default:
        throw unknownMethod(method);
    }
  }

  #callTool(params: JsonObject): Work<C> {
    const name = textOf(params, 'name');
    const checked = this.#tools.get(name);
    if (checked === undefined) throw this.#refusals.get(name) ?? new TurnpikeError('catalog/tool', `tool not found: ${name}`);
    const { arguments: args = {} } = params;
    if (!isJsonObject(args)) throw new TurnpikeError('request/params', 'params.arguments must be an object');
    const faults = checked.input(args);
    const what = `tools/call ${name}`;
    const failed = (error: unknown): Answer => {
      if (asTurnpikeError(error).code === 'request/capability') return toErrorAnswer(error, 'modern');
      return { kind: 'result', result: toJson({ ...toolResult(failureOutcome(name, error)), _meta: this.#meta }) };
    };
    const run: Handler<C> = async (call) => {
      if (faults.length > 0) return toolResult({ content: [{ type: 'text', text: argumentsText(name, faults) }], isError: true });
      return toolResult(this.#held(checked, await checked.tool.run(args, call)));
    };
    return { what, run, failed };
  }

  #held({ tool, output }: Checked<C>, outcome: ToolOutcome): ToolOutcome {
    if (this.#options.checkOutputs !== true || outcome.isError === true) return outcome;
    const faults = output(outcome.structuredContent);
    if (faults.length === 0) return outcome;
    throw new TypeError(`${tool.name} answers what its outputSchema does not allow: ${JSON.stringify(faults)}`);
  }

  #declares(method: string): boolean {
    const { prompts = [], resources = [], templates = [] } = this.#offer;
    if (method.startsWith('prompts/')) return prompts.length > 0;
    if (method.startsWith('resources/')) return resources.length + templates.length > 0;
    return method !== 'completion/complete' || this.#completions.any;
  }

  #discover(): JsonObject {
    const capabilities = {
      tools: {},
      logging: {},
      ...(this.#declares('prompts/list') ? { prompts: {} } : {}),
      ...(this.#declares('resources/list') ? { resources: {} } : {}),
      ...(this.#completions.any ? { completions: {} } : {}),
    };
    const { instructions } = this.#offer;
    return {
      ...{ resultType: 'complete', supportedVersions: [MODERN_VERSION], capabilities },
      ...(instructions === undefined ? {} : { instructions }),
      ...cachingOf(this.#offer),
      _meta: this.#meta,
    };
  }
}

/** The envelope that every request carries (2026-07-28, "Request metadata"). */
function checkEnvelope(params: JsonObject): void {
  const meta = metaOf(params);
  const { [META.protocolVersion]: version, [META.clientCapabilities]: capabilities, [META.logLevel]: level } = meta;
  if (typeof version !== 'string') throw new TurnpikeError('request/envelope', `_meta lacks ${META.protocolVersion}`);
  if (version !== MODERN_VERSION) {
    throw new TurnpikeError('request/version', 'Unsupported protocol version', { data: { supported: [MODERN_VERSION], requested: version } });
  }
  if (!isJsonObject(capabilities)) throw new TurnpikeError('request/envelope', `_meta lacks ${META.clientCapabilities}`);
  if (level !== undefined && !isLogLevel(level)) throw new TurnpikeError('request/params', `${META.logLevel} names no level`);
}

function metaOf({ _meta }: JsonObject): JsonObject {
  return isJsonObject(_meta) ? _meta : {};
}

function textOf(params: JsonObject, key: string): string {
  const value = params[key];
  if (typeof value !== 'string') throw new TurnpikeError('request/params', `params.${key} must be a string`);
  return value;
}

function unknownMethod(method: string): TurnpikeError {
  return new TurnpikeError('request/method', `method not found: ${method}`);
}

function plainFailure(error: unknown): Answer {
  return toErrorAnswer(error, 'modern');
}

function byName<T extends { readonly name: string }>(items: readonly T[]): ReadonlyMap<string, T> {
  const map = new Map(items.map((item) => [item.name, item]));
  if (map.size < items.length) throw new TypeError(`a name is given twice: ${items.map(({ name }) => name).join(', ')}`);
  return map;
}

/** A lease that comes after the abort is given back. */
async function leaseOf<C>({ context, signal }: ServedRequest<C>): Promise<ContextLease<C>> {
  const coming = (async () => context(signal))();
  try {
    return await unlessAborted(coming, signal);
  } catch (error) {
    coming.then(
      (lease) => lease.release(),
      () => {},
    );
    throw error;
  }
}

function follow(source: AbortSignal, controller: AbortController): () => void {
  const onAbort = () => controller.abort(source.reason);
  if (source.aborted) onAbort();
  else source.addEventListener('abort', onAbort, { once: true });
  return () => source.removeEventListener('abort', onAbort);
}
