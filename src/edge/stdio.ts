import { randomUUID } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { STDIO } from '../auth/identity.ts';
import type { Caller } from '../core/caller.ts';
import { asTurnpikeError, ERRORS, TurnpikeError } from '../core/errors.ts';
import { joinArray } from '../core/json.ts';
import { LinkedAbort } from '../core/linked-abort.ts';
import { type Answer, isRequestId, META, MODERN_VERSION, type RequestId } from '../core/mcp.ts';
import { OwnAbort } from '../core/own-abort.ts';
import { toAnswer, toWire } from '../core/to-wire.ts';
import { dispatch } from '../router/dispatch.ts';
import { listen } from '../router/listen.ts';
import type { Services } from '../router/services.ts';
import { MAX_MESSAGE_BYTES } from '../upstream/process/framing.ts';
import { eraOf, type Message, MessageError, parseMessages } from './classify.ts';
import { ClientLines } from './client-lines.ts';
import { encodeAnswer, encodeError, encodeNotification, oneLine } from './encode.ts';
import type { Envelopes } from './envelope.ts';
import type { Metas } from './metas.ts';
import { ModernExchange } from './modern-exchange.ts';
import { Session } from './session.ts';
import { answerInSession, initialized, notedInSession, readInitialize, responseOf } from './session-requests.ts';
import type { Work } from './work.ts';

type Request = Extract<Message, { kind: 'request' }>;

export interface StdioOptions {
  readonly services: Services;
  readonly input: Readable;
  readonly output: Writable;
  /** Ends everything. */
  readonly signal: AbortSignal;
  /** What runs is counted here; while it drains, requests are refused and listen streams end. */
  readonly work: Work;
  readonly metas: Metas;
  readonly envelopes: Envelopes;
  readonly report: (error: unknown) => void;
  /** The session ended: its upstream connections go. */
  readonly onEnd: (session: Session) => void;
}

const NEWLINE = Buffer.from('\n');

/**
 * MCP on a pipe: one message a line, both eras. `initialize` makes the one legacy session of the process; requests with an
 * envelope stay modern. Resolves when the input ends and what ran is over, or `signal` aborts.
 */
export async function serveStdio(options: StdioOptions): Promise<void> {
  await new StdioDoor(options).run();
}

class StdioDoor {
  readonly #options: StdioOptions;
  readonly #modern = new Map<RequestId, OwnAbort>();
  readonly #running = new Set<Promise<void>>();
  readonly #caller: Caller = { principal: STDIO.principal, tenant: STDIO.tenant, scopes: STDIO.scopes };
  readonly #over = new OwnAbort();
  #session: Session | undefined;

  constructor(options: StdioOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { input, output, signal, onEnd } = this.#options;
    const reader = new ClientLines(
      MAX_MESSAGE_BYTES,
      (line) => this.#take(line),
      () => this.#write(encodeError(undefined, toWire(new TurnpikeError('guard/size', 'A line is longer than 16 MiB')).error)),
    );
    await new Promise<void>((resolve) => {
      input.on('data', (chunk: Buffer) => reader.push(chunk));
      for (const event of ['end', 'close', 'error']) input.once(event, () => resolve());
      output.once('error', () => resolve());
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const rest = reader.end();
    if (rest !== undefined && rest.length > 0) this.#take(rest);
    // The client is gone, or we are: nobody waits for the answers.
    this.#over.abort(new TurnpikeError(signal.aborted ? 'gateway/draining' : 'request/cancelled'));
    if (this.#session !== undefined) {
      this.#session.end();
      onEnd(this.#session);
    }
    await Promise.allSettled(this.#running);
  }

  #take(line: Buffer): void {
    const leave = this.#options.work.enter();
    const work = this.#serve(line).catch((error: unknown) => {
      this.#write(this.#refusal(error));
    });
    this.#running.add(work);
    void work.finally(() => {
      this.#running.delete(work);
      leave();
    });
  }

  async #serve(line: Buffer): Promise<void> {
    const { messages, batch } = parseMessages(line, this.#options.metas);
    if (batch && this.#session?.version !== '2025-03-26')
      throw new MessageError(undefined, 'request/invalid', 'Invalid Request: batches belong to 2025-03-26');
    const [first] = messages;
    if (!batch && first !== undefined) return this.#one(first, (bytes) => this.#write(bytes));
    if (messages.some((message) => eraOf(message, undefined) === 'modern'))
      throw new MessageError(undefined, 'request/invalid', `Invalid Request: ${MODERN_VERSION} knows no batches`);
    const answers: Buffer[] = [];
    const take = (bytes: Buffer) => void answers.push(bytes);
    await Promise.all(messages.map((message) => this.#one(message, take).catch((error: unknown) => take(this.#refusal(error)))));
    if (answers.length > 0) this.#write(joinArray(answers));
  }

  #refusal(error: unknown): Buffer {
    if (asTurnpikeError(error).code === 'internal') this.#options.report(error);
    return encodeError(error instanceof MessageError ? error.id : undefined, toWire(error).error);
  }

  /** Serves one message; `answered` takes the response, if it has one. */
  async #one(message: Message, answered: (bytes: Buffer) => void): Promise<void> {
    if (message.kind === 'request' && this.#options.work.draining.aborted)
      throw new MessageError(message.id, 'gateway/draining', ERRORS['gateway/draining'].sentence);
    if (message.kind === 'request' && eraOf(message, undefined) === 'modern') return this.#modernRequest(message, answered);
    if (message.kind === 'request' && message.method === 'initialize') return this.#initialize(message, answered);
    if (message.kind === 'notification' && message.method === 'notifications/cancelled' && isRequestId(message.body.requestId)) {
      this.#modern.get(message.body.requestId)?.abort(new TurnpikeError('request/cancelled'));
    }
    const session = this.#session;
    if (session === undefined) {
      if (message.kind !== 'request') return;
      const hint = `params._meta["${META.protocolVersion}"] is missing, and there was no initialize`;
      throw new MessageError(message.id, 'request/envelope', hint);
    }
    if (message.kind === 'notification') return notedInSession(this.#options.services, session, message);
    if (message.kind === 'response') {
      session.answered(message.id, responseOf(message));
      return;
    }
    const { services, report } = this.#options;
    const write = (bytes: Buffer) => this.#write(bytes);
    const answer = await answerInSession(services, {
      session,
      message,
      caller: this.#caller,
      outlet: write,
      stopped: this.#over.signal,
      report,
    }).catch((error: unknown) => toAnswer(error, 'legacy', message.method));
    answered(this.#encode(message, answer, 'legacy'));
  }

  #initialize(message: Request, answered: (bytes: Buffer) => void): void {
    if (this.#session !== undefined) throw new MessageError(message.id, 'request/invalid', 'Invalid Request: initialize was sent twice');
    const { version, capabilities, clientInfo } = readInitialize(message);
    // Of this pipe: an embedder may serve several, and what belongs to a session belongs to nobody else.
    const id = randomUUID();
    const caller = { ...this.#caller, sessionId: id, ...(clientInfo === undefined ? {} : { clientInfo }) };
    const { clock, settings } = this.#options.services;
    const session = new Session({ id, caller, version, capabilities, clock, patience: settings.bridge.roundTimeout });
    session.outlet = (bytes) => this.#write(bytes);
    this.#session = session;
    answered(this.#encode(message, { kind: 'result', result: initialized(this.#options.services, session) }, 'legacy'));
  }

  async #modernRequest(message: Request, answered: (bytes: Buffer) => void): Promise<void> {
    const { services, report } = this.#options;
    const envelope = this.#options.envelopes.read(message);
    if (this.#modern.has(message.id))
      throw new MessageError(message.id, 'request/invalid', `Invalid Request: the id ${JSON.stringify(message.id)} is in use`);
    const cancelled = new OwnAbort();
    using life = new LinkedAbort(cancelled.signal, this.#over.signal);
    this.#modern.set(message.id, cancelled);
    const exchange = new ModernExchange({
      message,
      envelope,
      caller: this.#caller,
      signal: life.signal,
      notify: (method, params) => {
        if (!cancelled.signal.aborted && this.#modern.has(message.id)) this.#write(encodeNotification(method, params));
      },
    });
    let answer: Answer;
    try {
      answer =
        message.method === 'subscriptions/listen'
          ? await listen(services, exchange, this.#options.work.draining)
          : await dispatch(services, exchange);
    } catch (error) {
      const { code } = asTurnpikeError(error);
      if (code === 'internal' || ERRORS[code].http >= 500) report(error);
      answer = toAnswer(error, 'modern', message.method, services.settings.serverInfo);
    } finally {
      this.#modern.delete(message.id);
    }
    // After a cancel nothing more is sent for that id.
    if (!cancelled.signal.aborted) answered(this.#encode(message, answer, 'modern'));
  }

  #encode(message: Request, answer: Answer, era: 'modern' | 'legacy'): Buffer {
    this.#options.services.instruments.request(era, message.method, answer.kind === 'error' ? answer.code : undefined);
    return encodeAnswer(message.id, answer);
  }

  #write(message: Buffer): void {
    const { output } = this.#options;
    if (!output.writable) return;
    output.write(Buffer.concat([oneLine(message), NEWLINE]));
  }
}
