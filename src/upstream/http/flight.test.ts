import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { expect, it } from 'vitest';
import { arrivals } from '../../core/turn.ts';
import { Flight } from './flight.ts';
import type { HttpFailure } from './http-failure.ts';
import { Route } from './route.ts';

const KIB = 1024;
const turnOver = () => new Promise<void>((resolve) => setImmediate(resolve));

class Listening extends Flight {
  readonly heard: string[] = [];

  protected head(status: number, _headers: IncomingHttpHeaders): void {
    this.heard.push(String(status));
  }

  protected data(chunk: Buffer): void {
    this.heard.push(chunk.length > 10 ? `${chunk.length} bytes` : chunk.toString());
    if (chunk.toString() === 'stop') this.abort();
  }

  protected end(): void {
    this.heard.push('end');
  }

  protected failed({ kind }: HttpFailure): void {
    this.heard.push(kind);
  }
}

function begun() {
  const turn = arrivals();
  const controller = { abort: () => {} } as unknown as Dispatcher.DispatchController;
  const life = new AbortController();
  const flight = new Listening(new Route(new URL('http://127.0.0.1:9/mcp')), life.signal);
  flight.begin(turn);
  flight.onRequestStart(controller);
  flight.onResponseStart(controller, 200, {});
  const say = (...pieces: (string | Buffer)[]) => {
    for (const piece of pieces) flight.onResponseData(controller, Buffer.from(piece));
  };
  return { flight, say, life, fail: () => flight.onResponseError(controller, new Error('gone')) };
}

it('what comes in during a turn is heard at its end, in order', async () => {
  const { flight, say } = begun();
  say('a', 'b');
  expect(flight.heard).toEqual(['200']);
  await turnOver();
  expect(flight.heard).toEqual(['200', 'a', 'b']);
  say('c');
  flight.onResponseEnd();
  await turnOver();
  expect(flight.heard).toEqual(['200', 'a', 'b', 'c', 'end']);
});

it('of more than 64 KiB nothing waits', async () => {
  const { flight, say } = begun();
  say('a', Buffer.alloc(64 * KIB - 1));
  expect(flight.heard).toEqual(['200']);
  say('b');
  expect(flight.heard).toEqual(['200', 'a', `${64 * KIB - 1} bytes`, 'b']);
  say('c');
  flight.onResponseEnd();
  await turnOver();
  expect(flight.heard.slice(4)).toEqual(['c', 'end']);
});

it('what came before a failure is heard before it; after an abort nothing is', async () => {
  const failing = begun();
  failing.say('a');
  failing.fail();
  expect(failing.flight.heard.slice(0, 2)).toEqual(['200', 'a']);
  expect(failing.flight.heard).toHaveLength(3);
  const aborted = begun();
  aborted.say('a');
  aborted.life.abort();
  const stopping = begun();
  stopping.say('a', 'stop', 'b');
  stopping.flight.onResponseEnd();
  await turnOver();
  expect(failing.flight.heard).toHaveLength(3);
  expect(aborted.flight.heard).toEqual(['200', 'aborted']);
  expect(stopping.flight.heard).toEqual(['200', 'a', 'stop']);
});
