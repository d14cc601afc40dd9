import { Agent } from 'undici';
import { type Clock, sleep, systemClock } from '../../core/clock.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { Stop } from '../stop.ts';
import type { Surroundings } from '../surroundings.ts';
import { connectProblem, DEFAULT_URL, endpointOf, isExposed, NO_URL, tokenFrom } from '../target.ts';
import { loadBetween } from './load.ts';
import { loadText } from './load-text.ts';
import { type Look, lookAt, PATIENCE, Refused } from './look.ts';
import { Screen } from './screen.ts';

export interface TopOptions {
  readonly url?: string;
  /** File with the operations credential, `telemetry.metrics.token`. */
  readonly tokenFile?: string;
  /** Between two looks. Milliseconds. */
  readonly interval: number;
  /** One look as plain text, on a terminal too. */
  readonly once: boolean;
}

/** Plain text is not cut. */
const ENDLESS = Number.POSITIVE_INFINITY;

/** `turnpike top`: what a running gateway does, from its metrics; again and again on a terminal, else once. */
export async function top(options: TopOptions, around: Surroundings, clock: Clock = systemClock): Promise<ExitCode> {
  const { stdout, stderr, env } = around;
  const say = (text: string) => void stderr.write(`turnpike: ${text}\n`);
  const endpoint = endpointOf(options.url ?? env.TURNPIKE_URL ?? DEFAULT_URL);
  if (endpoint === undefined) {
    say(NO_URL);
    return EXIT.usage;
  }
  const url = new URL('/metrics', endpoint);
  const file = options.tokenFile ?? env.TURNPIKE_TELEMETRY_METRICS_TOKEN_FILE;
  const token = await tokenFrom({ ...(file === undefined || file === '' ? {} : { file }), variable: 'TURNPIKE_TELEMETRY_METRICS_TOKEN' }, around);
  if (typeof token === 'string') {
    say(token);
    return EXIT.failed;
  }
  if (token !== undefined && isExposed(url)) say(`warning: the token travels unencrypted to ${url.host}; use https`);
  const agent = new Agent({ connect: { timeout: PATIENCE } });
  const look = (signal: AbortSignal) => lookAt({ url, agent, ...(token === undefined ? {} : { token }) }, clock, signal);
  using stop = new Stop({ events: around.events, clock, onSecond: around.exit });
  const life = new AbortController();
  void stop.first.then(() => life.abort());
  try {
    const first = await look(life.signal);
    if (options.once || stdout.isTTY !== true) {
      await sleep(clock, options.interval, life.signal);
      const { page, notice } = await look(life.signal);
      const told = notice === undefined ? {} : { notice };
      const lines = loadText(loadBetween(first.page, page, clock.now()), { place: url.host, width: ENDLESS, rows: ENDLESS, colour: false, ...told });
      stdout.write(`${lines.join('\n')}\n`);
      return EXIT.done;
    }
    await live({ first, look, place: url.host, interval: options.interval, end: () => life.abort(), signal: life.signal }, around, clock);
    return EXIT.done;
  } catch (error) {
    // Whoever ends it wants no report.
    if (life.signal.aborted) return EXIT.done;
    if (!(error instanceof Refused)) say(connectProblem(error, url));
    else if (error.status === 401)
      say('the metrics need the operations credential, telemetry.metrics.token (set TURNPIKE_TELEMETRY_METRICS_TOKEN or --token-file)');
    else say(`${url.href}: ${error.message}`);
    return error instanceof Refused && (error.status === 401 || error.status === 403) ? EXIT.denied : EXIT.failed;
  } finally {
    await agent.destroy();
  }
}

interface Live {
  readonly first: Look;
  readonly look: (signal: AbortSignal) => Promise<Look>;
  readonly place: string;
  readonly interval: number;
  readonly end: () => void;
  readonly signal: AbortSignal;
}

/** Draws until it is ended. A gateway that stops answering is said, and asked again. */
async function live({ first, look, place, interval, end, signal }: Live, around: Surroundings, clock: Clock): Promise<void> {
  const colour = around.env.NO_COLOR === undefined || around.env.NO_COLOR === '';
  using screen = new Screen(around, end);
  let before = first;
  let after = first;
  let silent: number | undefined;
  const draw = () => {
    const notice =
      silent === undefined ? {} : { notice: `No answer for ${Math.round((clock.monotonic() - silent) / 1000)} s; what is below is older.` };
    screen.draw(({ width, rows }) => loadText(loadBetween(before.page, after.page, clock.now()), { place, width, rows, colour, ...notice }));
  };
  draw();
  screen.onResize(draw);
  while (!signal.aborted) {
    await sleep(clock, interval, signal);
    try {
      const next = await look(signal);
      before = after;
      after = next;
      silent = undefined;
    } catch (error) {
      if (error instanceof Refused) throw error;
      silent ??= after.page.at;
    }
    draw();
  }
}
