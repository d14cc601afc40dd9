import { FileReads } from '../config/file-reads.ts';
import type { Config } from '../config/schema.ts';
import { type Clock, sleep, systemClock } from '../core/clock.ts';
import { createGateway, type Gateway } from '../gateway.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { packageVersion } from '../version.ts';
import { catalogText, openingText } from './announce.ts';
import { type ConfigOptions, type JudgedConfig, judgedConfig } from './configuration.ts';
import { Crash } from './crash.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { HangUp } from './hang-up.ts';
import { trimMemory } from './memory-trim.ts';
import { problemText, startProblem } from './problem.ts';
import { Reloading } from './reloading.ts';
import { Stop } from './stop.ts';
import type { Surroundings } from './surroundings.ts';

/** How long the start waits for upstreams before it tells their states as they are. Milliseconds. */
const SETTLE = 15_000;
/** How long closing may take once nothing is to be waited for any more. Milliseconds. */
const CLOSE = 15_000;
const CLOSE_AFTER_CRASH = 3_000;

/** Why the gateway ends. */
type End = { readonly why: 'signal' | 'input' } | { readonly why: 'crash'; readonly error: unknown };

/** A gateway that runs, and how it reads its configuration again. */
interface Running {
  readonly gateway: Gateway;
  readonly files: Reloading;
}

/** `turnpike serve`: runs until a signal, the end of standard input (`--stdio`), or a crash. */
export async function serve(options: ConfigOptions, around: Surroundings): Promise<ExitCode> {
  const clock = systemClock;
  // From the first moment: a signal during a slow start must end it too.
  using stop = new Stop({ events: around.events, clock, onSecond: around.exit });
  using crash = new Crash(around.events, () => around.exit(EXIT.failed));
  let reloading: Reloading | undefined;
  // Before the gateway runs there is nothing to reload: the configuration is read only now.
  using hangUp = new HangUp({ events: around.events, onReload: () => reloading?.request() });
  const say = (text: string) => void around.stderr.write(text);
  const end = Promise.race([
    Promise.race([stop.first, hangUp.gone]).then((): End => ({ why: 'signal' })),
    crash.first.then((error): End => ({ why: 'crash', error })),
  ]);
  const life = new AbortController();
  let made: Made | undefined;
  try {
    const onMade = (parts: Made) => {
      made = parts;
    };
    const started = await start(options, around, { clock, say, end, life: life.signal, onMade });
    if (typeof started === 'number') return started;
    const { gateway } = started;
    using files = started.files;
    reloading = files;
    const input = options.stdio
      ? gateway.serveStdio(around.stdin, around.stdout, life.signal).then((): End => ({ why: 'input' }))
      : new Promise<never>(() => {});
    const last = await Promise.race([end, input]);
    if (last.why === 'signal') {
      const { shutdownTimeout } = files.config.listen;
      say(`Stopping: running calls have ${shutdownTimeout / 1000} s to finish; a second signal ends at once.\n`);
      await drain(gateway, shutdownTimeout, clock);
    }
    return verdict(last, made?.logger);
  } catch (error) {
    say(`turnpike: ${problemText(error)}\n`);
    return EXIT.failed;
  } finally {
    life.abort(new Error('the gateway is ending'));
    if (made !== undefined) await closed(made, crash.happened ? CLOSE_AFTER_CRASH : CLOSE, clock);
  }
}

/** What must be closed, however far the start came. */
interface Made {
  readonly gateway: Gateway;
  readonly logger: Logger;
}

interface Starting {
  readonly clock: Clock;
  readonly say: (text: string) => void;
  readonly end: Promise<End>;
  readonly life: AbortSignal;
  readonly onMade: (made: Made) => void;
}

/**
 * Reads the configuration and starts the gateway; an exit code when that fails, or is cut short. A function of its own: while the
 * gateway runs nothing holds the configuration that it began with, whose secrets may be replaced.
 */
async function start(options: ConfigOptions, around: Surroundings, { clock, say, end, life, onMade }: Starting): Promise<Running | ExitCode> {
  const { stdio, retell = (problem) => problem } = options;
  const reads = new FileReads();
  const load = (into: FileReads) => judgedConfig({ ...options, readFile: into.read }, around);
  let judged: JudgedConfig;
  try {
    judged = await load(reads);
  } catch (error) {
    say(`turnpike: the configuration is invalid\n${retell(problemText(error))}\n`);
    return EXIT.failed;
  }
  const { loaded, refused } = judged;
  const { config } = loaded;
  for (const warning of loaded.warnings) say(`Warning: ${retell(warning)}\n`);
  for (const refusal of refused) say(`${refusal}\n`);
  if (refused.length > 0) return EXIT.failed;

  const version = packageVersion();
  const logger = createLogger({ ...config.telemetry.log, sink: { write: say }, terminal: around.stderr.isTTY === true });
  const { proxies, standalone } = options;
  const overrides = {
    ...{ environment: around.env, clock, stdio, logger, version },
    ...(proxies === undefined ? {} : { proxies }),
    ...(standalone === undefined ? {} : { standalone }),
  };
  try {
    const beginning = begin(config, overrides, life, (gateway) => onMade({ gateway, logger }));
    const early = await Promise.race([beginning.then(() => undefined), end]);
    if (early !== undefined) {
      // A start that is cut short may fail after nobody waits for it.
      beginning.catch(() => {});
      return verdict(early, logger);
    }
    const gateway = await beginning;
    say(openingText({ version, config, endpoint: gateway.endpoint, status: gateway.status(), stdio, ...withFile(loaded.file) }));
    void announce(gateway, { config, stdio, standalone: options.document !== undefined, clock, signal: life, say });
    return { gateway, files: new Reloading({ gateway, clock, initial: { judged, reads }, load, say, signal: life }) };
  } catch (error) {
    say(`turnpike: ${retell(startProblem(error, config.listen))}\n`);
    return EXIT.failed;
  }
}

async function begin(
  config: Config,
  overrides: NonNullable<Parameters<typeof createGateway>[1]>,
  signal: AbortSignal,
  made: (gateway: Gateway) => void,
): Promise<Gateway> {
  const gateway = await createGateway(config, overrides);
  made(gateway);
  await gateway.start(signal);
  return gateway;
}

function verdict(end: End, logger: Logger | undefined): ExitCode {
  if (end.why !== 'crash') return EXIT.done;
  logger?.error('the gateway ends because of an unexpected error', { error: end.error });
  return EXIT.failed;
}

/** Running work finishes, or the deadline cuts it short. */
async function drain(gateway: Gateway, deadline: number, clock: Clock): Promise<void> {
  const over = new AbortController();
  const timer = clock.after(deadline, () => over.abort(new Error('the deadline for running calls is over')));
  try {
    await gateway.drain(over.signal);
  } catch (error) {
    if (!over.signal.aborted) throw error;
  } finally {
    timer.cancel();
  }
}

/** Closes what is open, within `deadline`: children that survive it are killed by the reaper when this process ends. */
async function closed({ gateway, logger }: Made, deadline: number, clock: Clock): Promise<void> {
  const done = new AbortController();
  const late = sleep(clock, deadline, done.signal).then(
    () => logger.error('closing took too long; ending without it'),
    () => {},
  );
  const disposed = async () => gateway[Symbol.asyncDispose]();
  await Promise.race([disposed().catch((error: unknown) => logger.error('closing failed', { error })), late]);
  done.abort();
}

interface AnnounceOptions {
  readonly config: Config;
  readonly stdio: boolean;
  readonly standalone: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** Tells what is served once every upstream had its first attempt, or after 15 s with the states of then. */
async function announce(gateway: Gateway, { config, stdio, standalone, clock, signal, say }: AnnounceOptions): Promise<void> {
  const enough = new AbortController();
  const until = AbortSignal.any([signal, enough.signal]);
  await Promise.race([gateway.settled(until), sleep(clock, SETTLE, until)]).catch(() => {});
  enough.abort();
  if (signal.aborted) return;
  say(catalogText({ config, endpoint: gateway.endpoint, status: gateway.status(), stdio, standalone }));
  trimMemory();
}

function withFile(file: string | undefined): { readonly file?: string } {
  return file === undefined ? {} : { file };
}
