import { sampleSet, sampleTool } from '../../catalog/sample-source.ts';
import type { Caller } from '../../core/caller.ts';
import { asTurnpikeError } from '../../core/errors.ts';
import { toJson } from '../../core/json.ts';
import type { Answer, JsonObject } from '../../core/mcp.ts';
import type { ConnectionOwner, UpstreamCall } from '../../core/ports.ts';
import { toWire } from '../../core/to-wire.ts';
import { MemoryStore } from '../../store/memory.ts';
import { dispatch } from '../dispatch.ts';
import { ALICE, errorOf, resultOf, SampleConnection, SampleConnections, sampleExchange, sampleServices } from '../sample-services.ts';
import type { Services } from '../services.ts';
import { HostedTasks, type HostedTasksOptions } from './hosted-tasks.ts';

const RELATED = 'io.modelcontextprotocol/related-task';
export const TASKS: JsonObject = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
export const RUNS_TASKS: JsonObject = { tools: {}, tasks: { cancel: {}, requests: { tools: { call: {} } } } };
export const WORD = { type: 'object', properties: { word: { type: 'string' } }, required: ['word'] };

/** Lets everything happen that needs no time. */
export const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** One task of the session upstream of `SampleTasks`. */
export class SampleJob {
  readonly taskId: string;
  readonly wish: JsonObject;
  status = 'working';
  outcome: Answer = resultOf({ content: [{ type: 'text', text: 'done' }] });
  more: JsonObject = { ttl: 3_600_000, pollInterval: 200 };
  /** What the questions were answered with. */
  readonly heard: JsonObject[] = [];
  readonly #connection: SampleConnection;
  readonly #ended = Promise.withResolvers<void>();

  constructor(taskId: string, wish: JsonObject, connection: SampleConnection) {
    this.taskId = taskId;
    this.wish = wish;
    this.#connection = connection;
  }

  get task(): JsonObject {
    const { taskId, status, more } = this;
    return { taskId, status, createdAt: '2026-01-01T00:00:00Z', lastUpdatedAt: `2026-01-01T00:00:00Z ${status}`, ...more };
  }

  end(status = 'completed', outcome = this.outcome): void {
    this.status = status;
    this.outcome = outcome;
    this.#ended.resolve();
  }

  async result({ signal }: UpstreamCall): Promise<Answer> {
    await Promise.race([this.#ended.promise, new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))]);
    if (this.outcome.kind === 'error') return this.outcome;
    const body = JSON.parse(this.outcome.result.toString()) as JsonObject;
    return resultOf({ ...body, _meta: { [RELATED]: { taskId: this.taskId } } });
  }

  /** Asks whoever claimed the task. */
  async ask(method: string, params: JsonObject, key?: string, signal = new AbortController().signal): Promise<void> {
    this.status = 'input_required';
    const meta = { [RELATED]: { taskId: this.taskId }, ...(key === undefined ? {} : { 'turnpike/inputKey': key }) };
    const relay = this.#connection.claims.get(this.taskId);
    if (relay === undefined) throw new Error('nobody claims the task');
    const answer = await relay.request(method, toJson({ ...params, _meta: meta }), signal);
    this.heard.push(JSON.parse((answer.kind === 'result' ? answer.result : answer.error).toString()) as JsonObject);
  }

  askWord(key?: string, message = 'Which word?', signal?: AbortSignal): Promise<void> {
    return this.ask('elicitation/create', { message, requestedSchema: WORD }, key, signal);
  }

  say(): void {
    this.#connection.emit({ kind: 'notification', method: 'notifications/tasks/status', params: toJson(this.task) });
  }
}

/** What a request came to. */
export interface Came {
  readonly result: JsonObject;
  readonly error?: JsonObject;
  readonly code?: string;
  readonly status: number;
}

export interface SampleTasksOptions {
  readonly limits?: NonNullable<HostedTasksOptions['limits']>;
  readonly store?: HostedTasksOptions['store'];
}

/** The router before a session upstream `a` whose tools `job` (optional), `only` (required) and `plain` run as tasks. */
export class SampleTasks {
  readonly connection: SampleConnection;
  readonly connections: SampleConnections;
  readonly services: Services;
  readonly clock: ReturnType<typeof sampleServices>['clock'];
  readonly source: ReturnType<typeof sampleServices>['source'];
  readonly audited: JsonObject[];
  readonly store: HostedTasksOptions['store'];
  readonly failures: unknown[] = [];
  readonly jobs: SampleJob[] = [];
  /** What a call without a task is answered with. */
  plain: (call: UpstreamCall) => Promise<Answer> | Answer = () => resultOf({ content: [{ type: 'text', text: 'at once' }] });

  constructor({ limits, store }: SampleTasksOptions = {}) {
    this.connection = this.upstream();
    this.connections = new SampleConnections(this.connection);
    const { services, clock, source, audited } = sampleServices(this.connections);
    const execution = (taskSupport: string) => ({ execution: { taskSupport } });
    const tools = [sampleTool('job', execution('optional')), sampleTool('only', execution('required')), sampleTool('plain')];
    source.set('a', sampleSet({ tools }, { era: 'legacy', capabilities: RUNS_TASKS }));
    this.clock = clock;
    this.source = source;
    this.audited = audited;
    this.store = store ?? new MemoryStore(clock);
    this.services = { ...services, hosted: this.hosted(limits) };
  }

  hosted(limits?: SampleTasksOptions['limits']): HostedTasks {
    const onStoreFailure = (error: unknown) => void this.failures.push(error);
    return new HostedTasks({ store: this.store, clock: this.clock, onStoreFailure, ...(limits === undefined ? {} : { limits }) });
  }

  /** A connection to it: what was begun on one is known on all. */
  upstream(): SampleConnection {
    const connection = new SampleConnection('legacy');
    connection.capabilities = RUNS_TASKS;
    connection.answer = (call) => this.#answer(connection, call);
    return connection;
  }

  get job(): SampleJob {
    const job = this.jobs.at(-1);
    if (job === undefined) throw new Error('no task was made');
    return job;
  }

  /** A request of a stateless client. */
  async request(
    method: string,
    body: JsonObject,
    { caller = ALICE, capabilities = { ...TASKS, elicitation: {} }, signal }: RequestOptions = {},
  ): Promise<Came> {
    const { exchange } = sampleExchange({ method, body, caller, capabilities, ...(signal === undefined ? {} : { signal }) });
    return came(() => dispatch(this.services, exchange), 'modern');
  }

  call(name = 'x_a_job', options: RequestOptions = {}): Promise<Came> {
    return this.request('tools/call', { name, arguments: {} }, options);
  }

  get(taskId: unknown, options?: RequestOptions): Promise<Came> {
    return this.request('tasks/get', { taskId }, options);
  }

  async created(options?: RequestOptions): Promise<string> {
    const { result, ...others } = await this.call('x_a_job', options);
    if (typeof result.taskId !== 'string') throw new Error(`no task: ${JSON.stringify({ result, ...others })}`);
    return result.taskId;
  }

  /** What must be gone when no task lives here. */
  async left(): Promise<JsonObject> {
    this.clock.advance(0);
    await turn();
    return {
      hosted: this.services.hosted.size,
      leases: this.connections.held,
      claims: this.connection.claims.size,
      listeners: this.connection.listeners,
    };
  }

  #answer(connection: SampleConnection, call: UpstreamCall): Promise<Answer> | Answer {
    const params = JSON.parse(call.params.toString()) as JsonObject;
    if (call.method === 'tools/call') {
      if (params.task === undefined) return this.plain(call);
      const job = new SampleJob(`inner-${this.jobs.length + 1}`, params.task as JsonObject, connection);
      this.jobs.push(job);
      return resultOf({ task: job.task });
    }
    const job = this.jobs.find(({ taskId }) => taskId === params.taskId);
    if (job === undefined) return errorOf(-32602, 'Task not found');
    if (call.method === 'tasks/result') return job.result(call);
    if (call.method === 'tasks/get') return resultOf(job.task);
    if (call.method !== 'tasks/cancel') return errorOf(-32601);
    if (job.status !== 'working' && job.status !== 'input_required') return errorOf(-32602, 'It is over');
    job.end('cancelled', errorOf(-32603, 'cancelled'));
    return resultOf(job.task);
  }
}

export interface RequestOptions {
  readonly caller?: Caller;
  readonly capabilities?: JsonObject;
  readonly signal?: AbortSignal;
}

export const NOTHING_LEFT = { hosted: 0, leases: 0, claims: 0, listeners: 0 };

/** A session of a client that answers everything with `answer`. */
export function sessionOf(
  ask: (method: string, params: JsonObject, signal: AbortSignal) => Promise<Answer>,
  capabilities: JsonObject = { elicitation: {} },
) {
  const owner: ConnectionOwner = { request: async () => errorOf(-32600), notification: () => {} };
  return {
    era: 'legacy' as const,
    capabilities,
    owner,
    ask: (method: string, params: Buffer, signal: AbortSignal) => ask(method, JSON.parse(params.toString()) as JsonObject, signal),
  };
}

export async function came(run: () => Promise<Answer>, era: 'modern' | 'legacy'): Promise<Came> {
  try {
    const answer = await run();
    const body = JSON.parse((answer.kind === 'result' ? answer.result : answer.error).toString()) as JsonObject;
    return answer.kind === 'result' ? { result: body, status: 200 } : { result: {}, error: body, status: 200 };
  } catch (thrown) {
    const { status, error } = toWire(thrown, era);
    return { result: {}, error: { ...error }, status, code: asTurnpikeError(thrown).code };
  }
}
