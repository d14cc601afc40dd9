import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { TurnpikeError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/secret.ts';
import { type Arrival, arrivals, type Turn } from '../../src/core/turn.ts';
import { MAX_MESSAGE_BYTES } from '../../src/upstream/process/framing.ts';
import { Reaper } from '../../src/upstream/process/reaper.ts';
import { isLastingStartFailure } from '../../src/upstream/process/start-failure.ts';
import { type StdioOptions, StdioTransport } from '../../src/upstream/process/stdio-transport.ts';
import { MARK, newMark, processesWithMark, until } from '../fixtures/processes.ts';

const STUBBORN = join(import.meta.dirname, '../fixtures/children/stubborn.mjs');
const environment = { ...process.env, LC_ALL: 'C', TZ: 'UTC', GATEWAY_SECRET: 'sentinel-of-the-gateway' };

/** What whoever started the tests left open for every program below: seen before we open anything ourselves. */
const inherited = readdirSync('/proc/self/fd').filter((descriptor) => {
  try {
    return (Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1] ?? '', 8) & 0o2000000) === 0;
  } catch {
    return false;
  }
});

let reaper: Reaper;
let mark: string;
let directory: string;
const opened: StdioTransport[] = [];

beforeEach(async () => {
  reaper = new Reaper({ clock: systemClock, environment });
  mark = newMark();
  directory = await mkdtemp(join(tmpdir(), 'turnpike-stdio-'));
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((transport) => transport.close()));
  await reaper.stop();
  await rm(directory, { recursive: true });
  expect(await processesWithMark(mark)).toEqual([]);
  expect(reaper.groups.size).toBe(0);
});

function make(command: string, args: string[] = [], more: Partial<StdioOptions> = {}, onStderr?: (line: string) => void) {
  const transport = new StdioTransport(
    { name: 'S', command, args, cwd: directory, ...more, env: { [MARK]: mark, ...more.env } },
    { clock: systemClock, reaper, environment, arrivals: arrivals(), ...(onStderr ? { onStderr } : {}) },
  );
  opened.push(transport);
  const lines: string[] = [];
  const waiting: (() => void)[] = [];
  transport.onMessage = (message) => {
    lines.push(message.toString('latin1'));
    for (const wake of waiting.splice(0)) wake();
  };
  const closes: TurnpikeError[] = [];
  const closed = new Promise<TurnpikeError>((resolve) => {
    transport.onClose = (reason) => {
      closes.push(reason as TurnpikeError);
      resolve(reason as TurnpikeError);
    };
  });
  const line = async (index = 0): Promise<string> => {
    while (lines.length <= index) await new Promise<void>((resolve) => waiting.push(resolve));
    return lines[index] as string;
  };
  const send = (message: string | Buffer, signal: AbortSignal = AbortSignal.timeout(10_000)) =>
    transport.send(Buffer.from(message), { signal, expectsAnswer: true });
  return { transport, lines, line, closes, closed, send };
}

async function open(...args: Parameters<typeof make>) {
  const made = make(...args);
  await made.transport.open(AbortSignal.timeout(10_000));
  return made;
}

describe('messages', () => {
  test('lines go both ways, raw newlines become blanks', async () => {
    const { send, line } = await open('cat');
    await Promise.all([send('{"a":\n1}'), send('{"b":2}\r\n')]);
    expect([await line(0), await line(1)]).toEqual(['{"a": 1}', '{"b":2}  ']);
  });

  test('a message that was written leaves nothing at its signal', async () => {
    const { send, line } = await open('cat');
    const { signal } = new AbortController();
    await Promise.all([send('{"a":1}', signal), send('{"b":2}', signal)]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect([await line(0), await line(1)]).toEqual(['{"a":1}', '{"b":2}']);
  });

  test('a message of 16 MiB passes in both directions, a larger one is refused before it is sent', async () => {
    const { send, line } = await open('cat');
    const largest = Buffer.alloc(MAX_MESSAGE_BYTES, 'x');
    await expect(send(Buffer.alloc(MAX_MESSAGE_BYTES + 1))).rejects.toMatchObject({ code: 'guard/size', details: { retryable: false } });
    await send(largest);
    expect((await line()).length).toBe(MAX_MESSAGE_BYTES);
  });

  test('what waits for the end of its turn is read when the child ends, and before its last words', async () => {
    const never = { add() {} } as unknown as Turn<Arrival>;
    const transport = new StdioTransport(
      { name: 'S', command: 'printf', args: ['one\\ntwo'], cwd: directory, env: { [MARK]: mark } },
      { clock: systemClock, reaper, environment, arrivals: never },
    );
    opened.push(transport);
    const heard: string[] = [];
    transport.onMessage = (message) => heard.push(message.toString());
    const closed = new Promise<Error>((resolve) => {
      transport.onClose = resolve;
    });
    await transport.open(AbortSignal.timeout(10_000));
    await closed;
    expect(heard).toEqual(['one', 'two']);
  });

  test('garbage, invalid UTF-8 and the half line at the end are handed on as they are', async () => {
    const { lines, closed } = await open('printf', ['garbage\\n\\377\\376\\n\\n{"half":']);
    const reason = await closed;
    expect(lines).toEqual(['garbage', '\xff\xfe', '{"half":']);
    expect(reason.details.reason).toContain('its last line (8 bytes) had no end');
  });

  test('the last lines of a child that exits at once arrive before the close', async () => {
    const { lines, closed } = await open('sh', ['-c', 'i=0; while [ $i -lt 5000 ]; do echo "{\\"i\\":$i}"; i=$((i+1)); done; exit 3']);
    await closed;
    expect(lines.length).toBe(5_000);
    expect(lines.at(-1)).toBe('{"i":4999}');
  });

  test('a child that does not read: send waits, honours its signal, and the next message is not lost behind it', async () => {
    const { send, line } = await open('sh', ['-c', 'mkfifo gate; echo up; read go < gate; exec cat']);
    await line();
    const big = `"${'x'.repeat(2_000_000)}"`;
    const controller = new AbortController();
    const inFlight = send(big);
    const waiting = send('"taken back"', controller.signal);
    const kept = send('"kept"');
    expect(await Promise.race([inFlight.then(() => 'sent'), new Promise((resolve) => setTimeout(resolve, 200, 'waits'))])).toBe('waits');
    controller.abort(new Error('deadline'));
    await expect(waiting).rejects.toThrow('deadline');
    execFileSync('sh', ['-c', 'echo go > gate'], { cwd: directory });
    await Promise.all([inFlight, kept]);
    expect((await line(1)).length).toBe(big.length);
    expect(await line(2)).toBe('"kept"');
  });

  test('what waits for a child that does not read is bounded', async () => {
    const { send, transport } = await open('sleep', ['1000']);
    const outcomes: string[] = [];
    const sends = Array.from({ length: 8 }, () =>
      send(Buffer.alloc(MAX_MESSAGE_BYTES - 1)).then(
        () => outcomes.push('sent'),
        (error) => outcomes.push(error.code),
      ),
    );
    await until(
      () => outcomes.length,
      (count) => count > 0,
      5_000,
    );
    expect(new Set(outcomes)).toEqual(new Set(['upstream/capacity']));
    await transport.close();
    await Promise.all(sends);
    expect(outcomes.filter((outcome) => outcome === 'upstream/lost').length).toBe(1);
    expect(outcomes.filter((outcome) => outcome === 'upstream/down').length).toBeGreaterThanOrEqual(3);
  });
});

describe('environment', () => {
  test('the dump of the child equals the list, and no secret of ours is in it', async () => {
    const { lines, closed } = await open('env', [], { env: { TOKEN: new Secret('given-to-it') } });
    await closed;
    const names = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'].filter((name) => environment[name as keyof typeof environment] !== undefined);
    expect(lines.map((entry) => entry.split('=')[0]).sort()).toEqual([...names, MARK, 'TOKEN'].sort());
    expect(lines).toContain('TOKEN=given-to-it');
    expect(lines.join()).not.toContain('sentinel-of-the-gateway');
  });

  test('the child holds its three pipes and nothing else of ours, the reaper only its own', async () => {
    await open('cat');
    const { line, send, transport } = await open('cat');
    // Looked at from outside once it has answered: a shell that lists its own would show its pipes between commands.
    await send('{}');
    await line();
    const foreign = (descriptors: string[]) => descriptors.filter((descriptor) => Number(descriptor) > 2 && !inherited.includes(descriptor));
    expect(foreign(await readdir(`/proc/${transport.pid}/fd`))).toEqual([]);
    expect(foreign(await readdir(`/proc/${reaper.pid}/fd`))).toEqual([]);
  });

  test('no shell reads the arguments', async () => {
    const { line } = await open('printf', ['%s\\n', '$(id) `id` ; id && id']);
    expect(await line()).toBe('$(id) `id` ; id && id');
  });
});

describe('failures to start', () => {
  test.each([
    ['a command that is not there', 'no-such-command', {}, 'its command, or the interpreter that it names, was not found', true],
    ['a file that may not be executed', './plain', {}, 'its command may not be executed (permission denied)', true],
    ['a working directory that is not there', 'cat', { cwd: '/no/such/directory' }, 'its working directory does not exist', true],
    ['a working directory that is a file', 'cat', { cwd: '/etc/passwd' }, 'its working directory is not a directory', true],
    ['a NUL in the arguments', 'cat', { args: ['a\0b'] }, 'the system refused (ERR_INVALID_ARG_VALUE)', true],
    ['arguments without end', 'cat', { args: ['x'.repeat(3_000_000)] }, 'its arguments and environment are too long', true],
  ])('%s', async (_name, command, more, text, lasting) => {
    await writeFile(join(directory, 'plain'), 'text', { mode: 0o644 });
    const { transport, closes } = make(command, [], more);
    const error = await transport.open(AbortSignal.timeout(10_000)).catch((thrown: TurnpikeError) => thrown);
    expect(error).toMatchObject({
      code: 'upstream/down',
      message: `upstream 'S' could not be started: ${text}`,
      details: { upstream: 'S', retryable: true },
    });
    expect((error as TurnpikeError).details.reason).toContain(command);
    expect(isLastingStartFailure(error)).toBe(lasting);
    await transport.close();
    expect(closes).toEqual([]);
    expect(reaper.groups.size).toBe(0);
  });

  test('an aborted open starts nothing', async () => {
    const { transport } = make('cat');
    await expect(transport.open(AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
    expect(await processesWithMark(mark)).toEqual([]);
  });

  test('aborted while it starts: the tree is gone', async () => {
    await reaper.start();
    const { transport } = make('node', [STUBBORN]);
    const controller = new AbortController();
    const opening = transport.open(controller.signal);
    queueMicrotask(() => controller.abort(new Error('server startup timeout after 30s')));
    await expect(opening).rejects.toThrow('server startup timeout');
    await transport.close();
    expect(await processesWithMark(mark)).toEqual([]);
  });
});

describe('the end', () => {
  test('exit code and the end of stderr are in the reason, masked and harmless; every line goes to the log', async () => {
    const logged: string[] = [];
    const script = 'echo first >&2; printf "\\033[31mtoken %s\\033[0m\\n" "$TOKEN" >&2; printf last >&2; exit 3';
    const { closed, closes, transport, send } = await open('sh', ['-c', script], { env: { TOKEN: new Secret('sentinel-1') } }, (line) =>
      logged.push(line),
    );
    const reason = await closed;
    expect(reason).toMatchObject({ code: 'upstream/lost', message: "upstream 'S' exited with code 3" });
    expect(reason.details.reason).toBe("upstream 'S' exited with code 3; the end of its stderr:\nfirst\ntoken ***\nlast");
    expect(transport.stderrTail()).toBe('first\ntoken ***\nlast');
    expect(logged).toEqual(['first', 'token ***', 'last']);
    await expect(send('{}')).rejects.toMatchObject({ code: 'upstream/down', details: { retryable: true } });
    await transport.close();
    expect(closes.length).toBe(1);
  });

  test('kill -9 of the child: what was being written is lost, what waited was not sent, the reason names the signal', async () => {
    const { closed, transport, send } = await open('sleep', ['1000']);
    const inFlight = send(Buffer.alloc(4_000_000)).catch((error) => error);
    await new Promise((resolve) => setImmediate(resolve));
    const waiting = send('{}').catch((error) => error);
    process.kill(transport.pid as number, 'SIGKILL');
    expect(await inFlight).toMatchObject({
      code: 'upstream/lost',
      message: "upstream 'S' closed the connection after the request was sent; the outcome is unknown",
      details: { retryable: false },
    });
    expect(await waiting).toMatchObject({ code: 'upstream/down', details: { retryable: true } });
    expect((await closed).message).toBe("upstream 'S' was ended by SIGKILL");
  });

  test.each([
    ['output', 'exec >&-; sleep 1000', 'closed its standard output'],
    ['input', 'exec <&-; sleep 1000', 'closed its standard input'],
  ])('a child that closes its standard %s is ended', async (_name, script, text) => {
    const { closed, send } = await open('sh', ['-c', script]);
    // A closed input shows at the next write.
    const writing = setInterval(() => void send('{}').catch(() => {}), 50);
    const reason = await closed;
    clearInterval(writing);
    expect(reason.message).toBe(`upstream 'S' ${text}`);
  });

  test('a child that goes at the end of its stdin is not signalled', async () => {
    const { transport, closes } = await open('sh', ['-c', 'trap "echo TERM > killed" TERM; cat > /dev/null; echo done > finished']);
    await transport.close();
    expect(await readdir(directory)).toEqual(['finished']);
    expect(closes).toEqual([]);
  });

  test('child and grandchild that ignore TERM are gone within 10 s of close', async () => {
    const { transport, line } = await open('node', [STUBBORN]);
    await line();
    expect((await processesWithMark(mark)).length).toBe(2);
    const start = performance.now();
    await transport.close();
    expect(performance.now() - start).toBeGreaterThan(6_900);
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(await processesWithMark(mark)).toEqual([]);
  });

  test('a grandchild that ignores TERM does not survive a leader that left by itself', async () => {
    const { closed, transport } = await open('node', [STUBBORN, 'leave']);
    expect((await closed).message).toBe("upstream 'S' exited with code 7");
    expect((await processesWithMark(mark)).length).toBe(1);
    await transport.close();
    expect(await processesWithMark(mark)).toEqual([]);
  });

  test('a crash loop leaves no process and no listed group', async () => {
    for (let turn = 0; turn < 15; turn++) {
      const { closed, transport } = await open('sh', ['-c', 'sleep 1000 & kill -9 $$']);
      expect((await closed).message).toBe("upstream 'S' was ended by SIGKILL");
      await transport.close();
    }
    expect(await processesWithMark(mark)).toEqual([]);
    expect(reaper.groups.size).toBe(0);
  });

  test('close is idempotent, and together with a crash onClose is called once at most', async () => {
    const { transport, closes } = await open('cat');
    await Promise.all([transport.close(), transport.close(), transport.close()]);
    await transport.close();
    expect(closes).toEqual([]);
    await expect(transport.open(AbortSignal.timeout(1_000))).rejects.toMatchObject({ code: 'upstream/down' });
  });
});
