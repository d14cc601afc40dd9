import { expect, it } from 'vitest';
import { type Clock, systemClock, type Timer } from '../../src/core/clock.ts';
import { BRIEF, GatewayRig } from '../fixtures/hostile/gateway-rig.ts';
import { HostileServer } from '../fixtures/hostile/http-server.ts';
import { headOf, modernRequest } from '../fixtures/hostile/wire.ts';
import { countDescendants, until } from '../fixtures/processes.ts';

/** What keeps this process busy: handles by kind, timers included. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** The system's clock, and the timers of it that are still set. They never hold the process, so no list of handles shows them. */
function countingClock(): { readonly clock: Clock; readonly set: Map<Timer, string> } {
  const set = new Map<Timer, string>();
  const clock: Clock = {
    ...systemClock,
    after(ms, fn) {
      const inner = systemClock.after(ms, () => {
        set.delete(timer);
        fn();
      });
      const timer: Timer = {
        cancel() {
          set.delete(timer);
          inner.cancel();
        },
      };
      set.set(timer, `${ms} ms ${new Error('set').stack?.split('\n').slice(2, 5).join(' ') ?? ''}`);
      return timer;
    },
  };
  return { clock, set };
}

const KINDS = ['TCPServerWrap', 'TCPSocketWrap', 'PipeWrap', 'ProcessWrap', 'Timeout', 'Immediate', 'FSReqPromise'];
const of = (counts: Record<string, number>) => Object.fromEntries(KINDS.map((kind) => [kind, counts[kind] ?? 0]));

it('after every kind of failure, a gateway that is disposed of leaves no process, socket, timer or listener', async () => {
  await using server = await HostileServer.start({
    era: 'legacy',
    tricks: {
      reset: ({ raw }) => void raw.socket.resetAndDestroy(),
      stall: () => {},
      stream: ({ response }) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': begun\n\n'),
      fail: ({ response }) => void response.writeHead(500).end(),
    },
  });
  const before = of(resources());
  const processes = await countDescendants();
  const signals = process.listenerCount('SIGTERM') + process.listenerCount('exit');
  await using rig = await GatewayRig.make();
  const { clock, set: timers } = countingClock();
  const front = await rig.start(
    {
      store: { type: 'sqlite', dir: rig.folder },
      upstreams: [
        rig.child({ more: BRIEF }),
        rig.child({ name: 'new', era: 'modern', more: BRIEF }),
        rig.child({ name: 'steady' }),
        rig.child({ name: 'dead', listing: 'none', more: { timeouts: { list: '500ms' } } }),
        server.config('up'),
        { name: 'gone', type: 'streamable-http', url: 'http://127.0.0.1:9/mcp' },
      ],
    },
    { clock },
  );
  const busy = of(resources());
  expect([busy.TCPServerWrap, busy.ProcessWrap]).toEqual([1 + Number(before.TCPServerWrap), expect.any(Number)]);
  expect(await countDescendants()).toBeGreaterThan(processes);

  const session = await front.session();
  const tools = [
    'x_bad_echo',
    'x_bad_nothing',
    'x_bad_exit',
    'x_bad_hugeLine',
    'x_new_late',
    'x_new_halfThenExit',
    'x_up_reset',
    'x_up_stall',
    'x_up_stream',
    'x_up_fail',
    'x_gone_echo',
  ];
  await Promise.all(tools.flatMap((tool) => [front.call(tool), session.call(tool, {}, tool)]));
  // Still running when the gateway goes: a call, a listen stream, a GET stream, a half-sent body.
  const left = [
    front.begin(modernRequest('tools/call', { name: 'x_steady_slow', arguments: { ms: 60_000 } })),
    front.begin(modernRequest('subscriptions/listen', { notifications: { toolsListChanged: true } })),
    front.begin({ method: 'GET', headers: { 'mcp-session-id': session.id, accept: 'text/event-stream' } }),
    front.begin({ headers: { 'content-length': '100' } }),
  ];
  const closed = left.map((request) => new Promise((resolve) => request.once('close', resolve)));
  for (const request of left) request.on('error', () => {});
  left[0]?.end(modernRequest('tools/call', { name: 'x_steady_slow', arguments: { ms: 60_000 } }).body);
  left[1]?.end(modernRequest('subscriptions/listen', { notifications: { toolsListChanged: true } }).body);
  const opened = [headOf(left[1] as (typeof left)[0]), headOf(left[2] as (typeof left)[0])];
  left[2]?.end();
  left[3]?.write('{');
  for (const response of await Promise.all(opened)) response.resume();
  await rig.noted('call slow', 'steady');
  expect(timers.size).toBeGreaterThan(5);

  const begun = performance.now();
  await rig.stop();
  // Children have 2 s for TERM and 5 s for KILL; these end when their input does.
  expect(performance.now() - begun).toBeLessThan(10_000);
  expect([...timers.values()]).toEqual([]);
  for (const request of left) request.destroy();
  await Promise.all(closed);
  expect(server.upstream.sockets.size).toBe(0);
  expect(await countDescendants()).toBe(processes);
  await until(
    () => of(resources()),
    (now) => KINDS.every((kind) => Number(now[kind]) <= Number(before[kind])),
    3000,
  );
  expect(process.listenerCount('SIGTERM') + process.listenerCount('exit')).toBe(signals);
});
