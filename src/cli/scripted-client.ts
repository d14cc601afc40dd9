import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { type Era, isJsonObject, type JsonObject, LATEST_LEGACY_VERSION, META, MODERN_VERSION } from '../core/mcp.ts';

const CLIENT = { name: 'turnpike-conformance', version: '1' };
const CAPABILITIES: JsonObject = { elicitation: { form: {} }, sampling: {}, roots: {} };

/** An error that was answered. */
export class AnsweredError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(`${message} (${code})`);
    this.code = code;
  }
}

/**
 * A client of one era on a pair of streams, newline-framed. It accepts every form with the defaults of its schema,
 * whether it is asked by a request (legacy) or by an `input_required` result (modern, `answersTo`).
 */
export class ScriptedClient {
  readonly era: Era;
  readonly #input: Writable;
  readonly #signal: AbortSignal;
  readonly #waiting = new Map<number, { resolve(result: JsonObject): void; reject(error: Error): void }>();
  #nextId = 1;

  /** @param input where the server reads; @param output where it writes */
  constructor(input: Writable, output: Readable, era: Era, signal: AbortSignal) {
    this.era = era;
    this.#input = input;
    this.#signal = signal;
    createInterface({ input: output, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => this.#read(line));
    signal.addEventListener('abort', () => this.#fail(new Error('the time for the scenario is over')), { once: true });
  }

  /** Opens the session; a modern client has none. */
  async open(): Promise<void> {
    if (this.era === 'modern') return;
    await this.request('initialize', { protocolVersion: LATEST_LEGACY_VERSION, capabilities: CAPABILITIES, clientInfo: CLIENT });
    this.#write({ jsonrpc: '2.0', method: 'notifications/initialized' });
  }

  /** Throws `AnsweredError`. */
  async request(method: string, params: JsonObject = {}): Promise<JsonObject> {
    this.#signal.throwIfAborted();
    const id = this.#nextId++;
    const meta = {
      [META.protocolVersion]: MODERN_VERSION,
      [META.clientCapabilities]: CAPABILITIES,
      [META.clientInfo]: CLIENT,
    };
    const answer = new Promise<JsonObject>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#write({ jsonrpc: '2.0', id, method, params: this.era === 'modern' ? { ...params, _meta: meta } : params });
    return answer;
  }

  /** `tools/call`; a modern tool that asks for input is answered until it is done. */
  async call(name: string, args: JsonObject = {}): Promise<JsonObject> {
    let result = await this.request('tools/call', { name, arguments: args });
    while (result.resultType === 'input_required') result = await this.request('tools/call', { name, arguments: args, ...answersTo(result) });
    return result;
  }

  #read(line: string): void {
    const message: unknown = JSON.parse(line);
    if (!isJsonObject(message)) return;
    const { id, method, params, result, error } = message;
    if (typeof method === 'string') {
      if (id !== undefined) this.#write({ jsonrpc: '2.0', id, result: answerTo(method, isJsonObject(params) ? params : {}) });
      return;
    }
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (waiting === undefined || typeof id !== 'number') return;
    this.#waiting.delete(id);
    if (isJsonObject(result)) waiting.resolve(result);
    else if (isJsonObject(error)) waiting.reject(new AnsweredError(Number(error.code), String(error.message)));
  }

  #write(message: JsonObject): void {
    this.#input.write(`${JSON.stringify(message)}\n`);
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** The members that a retry carries: an answer to each input request, and the state if there was one, untouched. */
export function answersTo(result: JsonObject): JsonObject {
  const requests = isJsonObject(result.inputRequests) ? Object.entries(result.inputRequests) : [];
  const inputResponses = Object.fromEntries(
    requests.map(([key, request]) => {
      const { method, params } = isJsonObject(request) ? request : {};
      return [key, answerTo(String(method), isJsonObject(params) ? params : {})];
    }),
  );
  return { inputResponses, ...(result.requestState === undefined ? {} : { requestState: result.requestState }) };
}

function answerTo(method: string, params: JsonObject): JsonObject {
  if (method === 'elicitation/create') return { action: 'accept', content: defaultsOf(params.requestedSchema) };
  if (method === 'roots/list') return { roots: [] };
  if (method === 'sampling/createMessage') return { role: 'assistant', content: { type: 'text', text: 'fine' }, model: 'none' };
  return {};
}

/** What a form holds when a person accepts it as it is (SEP-1034): defaults, and `true` for a bare confirmation. */
function defaultsOf(schema: unknown): JsonObject {
  const properties = isJsonObject(schema) && isJsonObject(schema.properties) ? Object.entries(schema.properties) : [];
  return Object.fromEntries(
    properties.flatMap(([name, property]) => {
      if (!isJsonObject(property)) return [];
      if (property.default !== undefined) return [[name, property.default]];
      return property.type === 'boolean' ? [[name, true]] : [];
    }),
  );
}
