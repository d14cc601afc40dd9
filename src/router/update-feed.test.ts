import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import type { Era } from '../core/mcp.ts';
import { ALICE, errorOf, NEVER, resultOf, SampleConnection, SampleConnections, sampleServices } from './sample-services.ts';
import { Subscriber } from './subscriber.ts';

/** Lets promises settle. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const updated = (uri: string) =>
  ({ kind: 'notification', method: 'notifications/resources/updated', params: toJson({ uri, 'x-extra': 1 }) }) as const;

/** An upstream that acknowledges listen streams and keeps them open. */
function listening(connection: SampleConnection): void {
  connection.answer = (call) => {
    if (call.method !== 'subscriptions/listen') return resultOf({});
    call.relay.notification('notifications/subscriptions/acknowledged', toJson({}));
    return NEVER(call);
  };
}

function start(era: Era, connections = new SampleConnections(new SampleConnection(era))) {
  const { services, clock } = sampleServices(connections);
  const over = new AbortController();
  const client = () => {
    const heard: { readonly method: string; readonly params: unknown }[] = [];
    const gone = new AbortController();
    const signal = AbortSignal.any([over.signal, gone.signal]);
    const notify = (method: string, params: Buffer) => void heard.push({ method, params: JSON.parse(params.toString()) });
    const subscriber = new Subscriber({ services, caller: ALICE, profile: '-', signal, notify });
    return { subscriber, heard, leave: () => gone.abort() };
  };
  const [connection] = connections.next;
  if (!(connection instanceof SampleConnection)) throw new Error('no connection');
  if (era === 'modern') listening(connection);
  return { connections, connection, clock, client };
}

const asked = (connection: SampleConnection) =>
  connection.of('subscriptions/listen').map(({ params }) => (JSON.parse(params.toString()) as { notifications: unknown }).notifications);

describe('subscriptions at a session upstream', () => {
  it('are counted over its clients, and nothing is left behind', async () => {
    const { connections, connection, client, clock } = start('legacy');
    const [one, two] = [client(), client()];
    await one.subscriber.watchResource('a', 'memo://x', 'turnpike://a/x');
    await two.subscriber.watchResource('a', 'memo://x', 'memo://x');
    await two.subscriber.watchResource('a', 'memo://y', 'memo://y');
    expect(connection.of('resources/subscribe').map(({ params }) => params.toString())).toEqual(['{"uri":"memo://x"}', '{"uri":"memo://y"}']);
    connection.emit(updated('memo://x'));
    connection.emit(updated('memo://z'));
    expect(one.heard).toEqual([{ method: 'notifications/resources/updated', params: { uri: 'turnpike://a/x', 'x-extra': 1 } }]);
    expect(two.heard).toEqual([{ method: 'notifications/resources/updated', params: { uri: 'memo://x', 'x-extra': 1 } }]);

    await one.subscriber.unwatchResource('a', 'memo://x');
    expect(connection.of('resources/unsubscribe')).toEqual([]);
    connection.emit(updated('memo://x'));
    expect(one.heard).toHaveLength(1);
    expect(connections.held).toBe(1);
    await two.subscriber.unwatchResource('a', 'memo://x');
    expect(connection.of('resources/unsubscribe').map(({ params }) => params.toString())).toEqual(['{"uri":"memo://x"}']);
    two.leave();
    await turn();
    expect(connection.of('resources/unsubscribe')).toHaveLength(2);
    expect(connections.held).toBe(0);
    expect(connection.listeners).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('that two clients ask for at once wait for the same answer', async () => {
    const { connection, client } = start('legacy');
    const { promise, resolve } = Promise.withResolvers<void>();
    connection.answer = async () => {
      await promise;
      return errorOf(-32602, 'no such resource');
    };
    const [one, two] = [client(), client()];
    const both = Promise.allSettled([one, two].map(({ subscriber }) => subscriber.watchResource('a', 'memo://x', 'memo://x')));
    await turn();
    expect(connection.of('resources/subscribe')).toHaveLength(1);
    resolve();
    for (const outcome of await both) expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'no such resource' } });
    connection.answer = () => resultOf({});
    await two.subscriber.watchResource('a', 'memo://x', 'memo://x');
    expect(connection.of('resources/subscribe')).toHaveLength(2);
  });

  it('that are refused leave no lease, no timer, and no update', async () => {
    const { connections, connection, client, clock } = start('legacy');
    connection.answer = () => errorOf(-32602, 'no such resource');
    const { subscriber, heard } = client();
    await expect(subscriber.watchResource('a', 'memo://x', 'memo://x')).rejects.toThrow('no such resource');
    connection.emit(updated('memo://x'));
    expect(heard).toEqual([]);
    expect(connections.held).toBe(0);
    expect(connection.listeners).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('are asked for again when the connection is lost, and only by those who still watch', async () => {
    const [first, second] = [new SampleConnection('legacy'), new SampleConnection('legacy')];
    const { connections, client, clock } = start('legacy', new SampleConnections(first, second));
    const [stays, leaves] = [client(), client()];
    await stays.subscriber.watchResource('a', 'memo://x', 'memo://x');
    connections.next = [first];
    await leaves.subscriber.watchResource('a', 'memo://y', 'memo://y');
    connections.next = [second];
    first.lose();
    leaves.leave();
    expect(connections.held).toBe(0);
    await clock.advanceAsync(1_999);
    expect(second.calls).toEqual([]);
    await clock.advanceAsync(1);
    await turn();
    expect(second.of('resources/subscribe').map(({ params }) => params.toString())).toEqual(['{"uri":"memo://x"}']);
    second.emit(updated('memo://x'));
    first.emit(updated('memo://x'));
    expect(stays.heard).toHaveLength(1);
    expect(first.listeners).toBe(0);
    stays.leave();
    await turn();
    expect(connections.held).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('end in time when the upstream does not answer', async () => {
    const { connections, connection, client, clock } = start('legacy');
    connection.answer = NEVER;
    const { subscriber } = client();
    const waiting = expect(subscriber.watchResource('a', 'memo://x', 'memo://x')).rejects.toThrow('not answered in time');
    await turn();
    await clock.advanceAsync(5_000);
    await waiting;
    expect(connections.held).toBe(0);
    expect(clock.pending).toBe(0);
  });
});

describe('subscriptions at an upstream without sessions', () => {
  it('are one stream that grows, and ready when the upstream has said so', async () => {
    const { connections, connection, client, clock } = start('modern');
    const { subscriber, heard, leave } = client();
    await Promise.all(['x', 'y'].map((name) => subscriber.watchResource('a', `memo://${name}`, `turnpike://a/${name}`)));
    await subscriber.watchTask('a', 'inner', 'sealed');
    expect(asked(connection).at(-1)).toEqual({ resourceSubscriptions: ['memo://x', 'memo://y'], taskIds: ['inner'] });
    expect(connection.of('subscriptions/listen').filter(({ signal }) => !signal.aborted)).toHaveLength(1);
    const stream = connection.of('subscriptions/listen').at(-1);
    stream?.relay.notification('notifications/resources/updated', toJson({ uri: 'memo://y' }));
    stream?.relay.notification('notifications/resources/updated', toJson({ uri: 'memo://other' }));
    stream?.relay.notification('notifications/tasks', toJson({ taskId: 'inner', status: 'working' }));
    stream?.relay.notification('notifications/tasks', toJson({ taskId: 'foreign', status: 'working' }));
    expect(heard).toEqual([
      { method: 'notifications/resources/updated', params: { uri: 'turnpike://a/y' } },
      { method: 'notifications/tasks', params: { taskId: 'sealed', status: 'working' } },
    ]);
    const first = connection.of('subscriptions/listen')[0];
    first?.relay.notification('notifications/resources/updated', toJson({ uri: 'memo://x' }));
    expect(heard).toHaveLength(2);
    leave();
    await turn();
    expect(stream?.signal.aborted).toBe(true);
    expect(connections.held).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('wait for the acknowledgement, but not for ever', async () => {
    const { connection, client, clock } = start('modern');
    connection.answer = NEVER;
    const { subscriber } = client();
    let isReady = false;
    const ready = subscriber.watchResource('a', 'memo://x', 'memo://x').then(() => {
      isReady = true;
    });
    await turn();
    expect(isReady).toBe(false);
    connection.of('subscriptions/listen')[0]?.relay.notification('notifications/subscriptions/acknowledged', toJson({}));
    await turn();
    expect(isReady).toBe(true);
    await ready;
    const second = subscriber.watchResource('a', 'memo://y', 'memo://y');
    await turn();
    await clock.advanceAsync(5_000);
    await second;
  });

  it('that are refused are told, not tried again, and leave nothing', async () => {
    const { connections, connection, client, clock } = start('modern');
    connection.answer = () => errorOf(-32601, 'Method not found');
    const { subscriber } = client();
    await expect(subscriber.watchResource('a', 'memo://x', 'memo://x')).rejects.toThrow('Method not found');
    await clock.advanceAsync(60_000, 1_000);
    expect(connection.calls).toHaveLength(1);
    expect(connections.held).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('are opened again after a pause when the stream ends, once at a time', async () => {
    const { connection, client, clock } = start('modern');
    let end: () => void = () => {};
    connection.answer = (call) => {
      call.relay.notification('notifications/subscriptions/acknowledged', toJson({}));
      return new Promise((resolve) => {
        end = () => resolve(resultOf({ resultType: 'complete' }));
      });
    };
    const { subscriber, leave } = client();
    await subscriber.watchResource('a', 'memo://x', 'memo://x');
    for (let round = 2; round <= 4; round++) {
      end();
      await turn();
      await clock.advanceAsync(1_999);
      expect(connection.calls).toHaveLength(round - 1);
      await clock.advanceAsync(1);
      await turn();
      expect(connection.calls).toHaveLength(round);
    }
    leave();
    await turn();
    await clock.advanceAsync(60_000);
    expect(connection.calls).toHaveLength(4);
  });

  it('keep trying an upstream that is down, at one pace', async () => {
    const { connections, connection, client, clock } = start('modern');
    const { subscriber, leave } = client();
    await subscriber.watchResource('a', 'memo://x', 'memo://x');
    connections.next = [new TurnpikeError('upstream/down')];
    connection.lose();
    const before = connections.taken.length;
    for (let second = 0; second < 20; second++) {
      await clock.advanceAsync(1_000);
      await turn();
    }
    expect(connections.taken.length - before).toBe(10);
    leave();
    await turn();
    expect(clock.pending).toBe(0);
  });

  it('keep one pace also when the stream itself cannot be opened', async () => {
    const { connection, client, clock } = start('modern');
    const { subscriber } = client();
    await subscriber.watchResource('a', 'memo://x', 'memo://x');
    connection.answer = () => Promise.reject(new TurnpikeError('upstream/lost'));
    await expect(subscriber.watchResource('a', 'memo://y', 'memo://y')).rejects.toThrow(TurnpikeError);
    const before = connection.calls.length;
    for (let second = 0; second < 20; second++) {
      await clock.advanceAsync(1_000);
      await turn();
    }
    expect(connection.calls.length - before).toBe(10);
    expect(asked(connection).at(-1)).toEqual({ resourceSubscriptions: ['memo://x'] });
    expect(clock.pending).toBe(1);
  });
});
