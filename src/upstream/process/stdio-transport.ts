import type { Clock } from '../../core/clock.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { LinkedAbort } from '../../core/linked-abort.ts';
import type { SendOptions, Transport } from '../../core/ports.ts';
import { Secret } from '../../core/secret.ts';
import type { Arrival, Turn } from '../../core/turn.ts';
import { settledWithin } from '../deadline.ts';
import { ChildProcess, type GroupRegistry, LAST_WORDS_MS } from './child.ts';
import { childEnvironment } from './child-environment.ts';
import { LineReader, MAX_MESSAGE_BYTES } from './framing.ts';
import { Outbox } from './outbox.ts';
import { type ExitStatus, type LaunchedProcess, type ProcessHost, systemProcesses } from './process-host.ts';
import { startFailure } from './start-failure.ts';
import { StderrRing } from './stderr-ring.ts';

/** Lines of stderr that a failure shows. */
const SHOWN_LINES = 20;
/** Most bytes that wait for a child that does not read. */
const MAX_WAITING_BYTES = 4 * MAX_MESSAGE_BYTES;

export interface StdioOptions {
  /** Name of the upstream, for messages. */
  readonly name: string;
  /** A program, never a shell line. */
  readonly command: string;
  readonly args: readonly string[];
  /** What the child gets besides the inherited variables (`child-environment.ts`). */
  readonly env: Readonly<Record<string, string | Secret>>;
  /** Absolute; the configuration's default is the state directory. */
  readonly cwd: string;
  readonly allowUnsafeEnv?: boolean;
}

export interface StdioPorts {
  readonly clock: Clock;
  readonly reaper: GroupRegistry;
  /** Our own environment, of which a child gets six variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Every line of the child's stderr, made harmless, its secrets masked. */
  readonly onStderr?: (line: string) => void;
  readonly host?: ProcessHost;
  /** Where output waits for the end of its turn. Absent: it does not. */
  readonly arrivals?: Turn<Arrival> | undefined;
}

type Phase = 'new' | 'opening' | 'open' | 'ending' | 'closed';

/**
 * An upstream as a child of ours, one message a line (MCP, "Transports", stdio). It ends by itself when the child
 * exits, closes one of its pipes, or sends a line above 16 MiB; then `onClose` is called once, after the last lines it
 * wrote, and its process group is killed. After `close` nothing is called any more. A transport is opened once.
 */
export class StdioTransport implements Transport, Arrival {
  readonly kind = 'channel';
  onMessage: (message: Buffer) => void = () => {};
  onClose: (reason: Error) => void = () => {};

  readonly #options: StdioOptions;
  readonly #ports: StdioPorts;
  readonly #child: ChildProcess;
  readonly #stderr: StderrRing;
  readonly #reader: LineReader;
  readonly #closing = new AbortController();
  readonly #stdoutEnded = Promise.withResolvers<void>();
  readonly #stderrEnded = Promise.withResolvers<void>();
  #outbox: Outbox | undefined;
  /** Output that waits for the end of its turn. */
  #arrived: Buffer | undefined;
  #phase: Phase = 'new';

  constructor(options: StdioOptions, ports: StdioPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#child = new ChildProcess({ clock: ports.clock, reaper: ports.reaper, host: ports.host ?? systemProcesses });
    this.#stderr = new StderrRing({
      secrets: Object.values(options.env).filter((value) => value instanceof Secret),
      ...(ports.onStderr === undefined ? {} : { onLine: ports.onStderr }),
    });
    this.#reader = new LineReader(
      MAX_MESSAGE_BYTES,
      (line) => this.#deliver(line),
      () => void this.#end('sent a line of more than 16 MiB', 'upstream/protocol'),
    );
  }

  /** Process id, from `open` on. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The last that the child wrote to stderr, at most 16 KiB: for operators, never for callers. */
  stderrTail(): string {
    return this.#stderr.tail();
  }

  /**
   * Starts the child; waits for none of its messages.
   * @throws TurnpikeError `upstream/down` when it cannot be started (see `isLastingStartFailure`), `config/…` for its
   *   environment; the signal's reason when that aborts first
   */
  async open(signal: AbortSignal): Promise<void> {
    if (this.#phase !== 'new') throw this.#down();
    this.#phase = 'opening';
    using either = new LinkedAbort(signal, this.#closing.signal);
    const given = either.signal;
    try {
      await unlessAborted(this.#ports.reaper.start(), given);
      given.throwIfAborted();
      const launched = await this.#launch();
      if (given.aborted) void this.#child.stop();
      given.throwIfAborted();
      this.#attach(launched);
      this.#phase = 'open';
    } catch (error) {
      this.#phase = 'closed';
      throw error;
    }
  }

  async #launch(): Promise<LaunchedProcess> {
    const { command, args, cwd, env, name, allowUnsafeEnv = false } = this.#options;
    const environment = childEnvironment(this.#ports.environment, env, { allowUnsafeEnv });
    try {
      return await this.#child.start({ command, args, cwd, env: environment });
    } catch (error) {
      throw await startFailure(name, command, cwd, error);
    }
  }

  #attach({ stdin, stdout, stderr }: LaunchedProcess): void {
    const { name } = this.#options;
    this.#outbox = new Outbox(stdin, MAX_WAITING_BYTES, {
      unsent: () => this.#down(),
      lost: () =>
        new TurnpikeError('upstream/lost', `upstream '${name}' closed the connection after the request was sent; the outcome is unknown`, {
          upstream: name,
          retryable: false,
        }),
      full: () =>
        new TurnpikeError('upstream/capacity', `upstream '${name}' does not read its input; ${MAX_WAITING_BYTES / 2 ** 20} MiB wait for it`, {
          upstream: name,
          retryable: true,
        }),
    });
    stdin.on('error', () => void this.#end('closed its standard input'));
    stdout.on('data', (chunk: Buffer) => this.#take(chunk));
    const afterStderr = () => {
      this.#stderr.end();
      this.#stderrEnded.resolve();
    };
    // A pipe that breaks closes without an end.
    for (const event of ['end', 'close']) {
      stdout.once(event, () => {
        this.read();
        this.#stdoutEnded.resolve();
      });
      stderr.once(event, afterStderr);
    }
    stderr.on('data', (chunk: Buffer) => this.#stderr.push(chunk));
    void this.#stdoutEnded.promise.then(() => this.#end('closed its standard output'));
    void this.#child.exited.then(() => this.#end());
  }

  #take(chunk: Buffer): void {
    // Of one child at most one piece waits.
    this.read();
    this.#arrived = chunk;
    if (this.#ports.arrivals === undefined) this.read();
    else this.#ports.arrivals.add(this);
  }

  /** Reads what the child wrote. */
  read(): void {
    const chunk = this.#arrived;
    this.#arrived = undefined;
    if (chunk !== undefined) this.#reader.push(chunk);
  }

  /**
   * Writes one message; resolves when the system has it. A child that does not read makes this wait until `signal`
   * aborts: give it one with a deadline.
   * @throws TurnpikeError `upstream/down` (not sent, retryable), `upstream/lost` (may have been read),
   *   `upstream/capacity` (too much waits), `guard/size` (above 16 MiB)
   */
  send(message: Buffer, { signal }: SendOptions): Promise<void> {
    if (this.#phase !== 'open' || this.#outbox === undefined) return Promise.reject(this.#down());
    if (message.length > MAX_MESSAGE_BYTES) {
      const text = `a message of ${message.length} bytes is too large for upstream '${this.#options.name}'; the limit is ${MAX_MESSAGE_BYTES}`;
      return Promise.reject(new TurnpikeError('guard/size', text, { upstream: this.#options.name, retryable: false }));
    }
    return this.#outbox.send(message, signal);
  }

  async close(): Promise<void> {
    const opening = this.#phase === 'opening';
    this.#phase = 'closed';
    this.#reader.stop();
    this.#outbox?.close();
    if (opening) this.#closing.abort(this.#down());
    await this.#child.stop();
  }

  #deliver(line: Buffer): void {
    if (this.#phase === 'open' || this.#phase === 'ending') this.onMessage(line);
  }

  /** The child showed that it ends, or must end. The first sign decides what is said. */
  async #end(what?: string, code: 'upstream/lost' | 'upstream/protocol' = 'upstream/lost'): Promise<void> {
    if (this.#phase !== 'open') return;
    this.#phase = 'ending';
    this.#outbox?.close();
    void this.#child.stop();
    const lastWords = Promise.all([this.#child.exited, this.#stdoutEnded.promise, this.#stderrEnded.promise]);
    // After a line that broke the limit there is nothing to wait for: the reader has given up.
    if (code === 'upstream/lost') await settledWithin(this.#ports.clock, lastWords, LAST_WORDS_MS);
    if (this.#isClosed()) return;
    this.read();
    const rest = this.#reader.end();
    // Perhaps a whole message that only lacks its newline: whoever parses it will tell.
    if (rest !== undefined) this.#deliver(rest);
    if (this.#isClosed()) return;
    this.#phase = 'closed';
    this.onClose(this.#reason(what, code, rest));
  }

  /** A callback or a wait may have closed us. */
  #isClosed(): boolean {
    return this.#phase === 'closed';
  }

  #reason(what: string | undefined, code: 'upstream/lost' | 'upstream/protocol', rest: Buffer | undefined): TurnpikeError {
    const { name } = this.#options;
    const { status } = this.#child;
    // A crash closes the pipes first; what matters of it is the exit.
    const fact = code === 'upstream/lost' && status ? exitText(status) : what;
    const message = `upstream '${name}' ${fact}`;
    const tail = this.#stderr.tail(SHOWN_LINES);
    const reason = [
      message,
      ...(rest === undefined ? [] : [`its last line (${rest.length} bytes) had no end`]),
      tail === '' ? 'it wrote nothing to stderr' : `the end of its stderr:\n${tail}`,
    ].join('; ');
    return new TurnpikeError(code, message, { reason, upstream: name, retryable: false });
  }

  #down(): TurnpikeError {
    const { name } = this.#options;
    return new TurnpikeError('upstream/down', `upstream '${name}' is not running`, { upstream: name, retryable: true });
  }
}

function exitText({ code, signal }: ExitStatus): string {
  return signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
}

/** The work's outcome, unless the signal aborts first; the work itself goes on. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    const settled = () => signal.removeEventListener('abort', onAbort);
    work.then(resolve, reject).finally(settled);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
