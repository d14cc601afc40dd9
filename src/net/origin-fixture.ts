import type { LookupAddress } from 'node:dns';
import net from 'node:net';
import { request } from 'undici';
import { systemClock } from '../core/clock.ts';
import { privateHosts } from './address-guard.ts';
import type { Resolve } from './guarded-lookup.ts';
import { type HostTarget, parseHostEntry } from './host-entry.ts';
import { Origin, type OriginOptions, originOf } from './origin.ts';
import { type ProxyServer, proxyChoice } from './proxy-choice.ts';

export const NONE = privateHosts([]);
export const hello = (_request: unknown, response: { end(text: string): void }) => response.end('hello');

function targetOf(url: string): HostTarget {
  const entry = parseHostEntry(url.replace(/^https:\/\//, ''));
  if (!entry.ok || entry.value.kind !== 'exact') throw new TypeError(url);
  return entry.value.target;
}

export function originFor(url: string, options: Partial<OriginOptions> = {}) {
  const target = targetOf(url);
  const origin = new Origin({ target, connections: 4, clock: systemClock, timeoutMs: 5000, ...options });
  const get = async (path = '/') => {
    const { statusCode, body } = await request(originOf(target) + path, { dispatcher: origin.dispatcher });
    return `${statusCode} ${await body.text()}`;
  };
  return { origin, get, [Symbol.asyncDispose]: () => origin.close() };
}

export const resolved =
  (...answers: string[][]): Resolve =>
  (_host, _options, callback) => {
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    const addresses: LookupAddress[] = (answer ?? []).map((address) => ({ address, family: net.isIPv6(address) ? 6 : 4 }));
    setImmediate(callback, null, addresses);
  };

export const proxyAt = (url: string): ProxyServer => {
  const choice = proxyChoice({ httpProxy: url });
  const proxy = choice.ok ? choice.value(targetOf('http://x.test')) : undefined;
  if (proxy === undefined) throw new TypeError(url);
  return proxy;
};
