import type { Clock } from '../../core/clock.ts';
import { TurnpikeError } from '../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { within } from '../../upstream/deadline.ts';
import type { Handler } from './readers.ts';
import type { BuiltinOffer, Completer } from './server.ts';

/** Candidates in an answer, and the time that finding them may take (gitlab.md section 4, "Completions"). */
const MAX_VALUES = 20;
const PATIENCE_MS = 5_000;

type Completers<C> = Readonly<Record<string, Completer<C>>>;

/** `completion/complete`: a help while typing, so that it fails to nothing rather than with an error. */
export class Completions<C> {
  readonly #clock: Clock;
  /** By kind and name of what they belong to. */
  readonly #by = new Map<string, Completers<C>>();

  constructor({ templates = [], prompts = [] }: BuiltinOffer<C>, clock: Clock) {
    this.#clock = clock;
    for (const { uriTemplate, complete = {} } of templates) this.#by.set(`ref/resource ${uriTemplate}`, complete);
    for (const { name, complete = {} } of prompts) this.#by.set(`ref/prompt ${name}`, complete);
  }

  /** Whether anything can be completed. */
  get any(): boolean {
    return [...this.#by.values()].some((completers) => Object.keys(completers).length > 0);
  }

  /**
   * @param onFailure hears what a completer threw
   * @throws `request/params` for a reference or argument of the wrong shape, and for what is not offered
   */
  handler({ ref, argument, context }: JsonObject, onFailure: (error: unknown) => void): Handler<C> {
    if (!isJsonObject(ref) || !isJsonObject(argument)) throw wrong('params.ref and params.argument must be objects');
    const { name, value } = argument;
    if (typeof name !== 'string' || typeof value !== 'string') throw wrong('params.argument must have a name and a value');
    const owner = ref.type === 'ref/resource' ? ref.uri : ref.name;
    const completers = this.#by.get(`${String(ref.type)} ${String(owner)}`);
    if (completers === undefined) throw wrong(`nothing is completed for ${String(ref.type)} ${String(owner).slice(0, 200)}`);
    const completer = Object.hasOwn(completers, name) ? completers[name] : undefined;
    const known = isJsonObject(context) && isJsonObject(context.arguments) ? textsOf(context.arguments) : {};
    return async (call) => {
      const found = completer === undefined ? [] : await this.#complete(completer, value, { context: call.context, known }, call.signal, onFailure);
      const values = found.slice(0, MAX_VALUES);
      return { resultType: 'complete', completion: { values, hasMore: found.length > values.length } };
    };
  }

  async #complete(
    completer: Completer<C>,
    typed: string,
    about: { readonly context: C; readonly known: Readonly<Record<string, string>> },
    signal: AbortSignal,
    onFailure: (error: unknown) => void,
  ): Promise<readonly string[]> {
    const late = () => new TurnpikeError('upstream/timeout', 'the completion took too long');
    try {
      return await within({ clock: this.#clock, ms: PATIENCE_MS, late, signals: [signal] }, (until) =>
        settled(completer(typed, { ...about, signal: until }), until),
      );
    } catch (error) {
      signal.throwIfAborted();
      onFailure(error);
      return [];
    }
  }
}

/** A completer that does not look at its signal is not waited for. */
function settled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

function textsOf(args: JsonObject): Record<string, string> {
  return Object.fromEntries(Object.entries(args).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function wrong(what: string): TurnpikeError {
  return new TurnpikeError('request/params', what);
}
