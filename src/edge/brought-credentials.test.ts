import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { Authentication } from '../auth/authenticator.ts';
import { BroughtCredentials } from './brought-credentials.ts';

const taking = () => new Authentication([{ mode: 'static', authenticate: () => ({ kind: 'unclaimed' }) }]);
const request = (socket: Socket, headers: Record<string, string>) =>
  ({ socket, headers, rawHeaders: Object.entries(headers).flat() }) as unknown as IncomingMessage;
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

it('reads what a connection brings again only once', () => {
  const brought = new BroughtCredentials();
  const [authentication, socket] = [taking(), new Socket()];
  const first = brought.of(request(socket, bearer('one')), authentication);
  expect(first?.token.reveal()).toBe('one');
  expect(brought.of(request(socket, bearer('one')), authentication)).toBe(first);
});

it('takes nothing over to another token, another connection, other headers or other settings', () => {
  const brought = new BroughtCredentials();
  const [authentication, socket] = [taking(), new Socket()];
  const first = brought.of(request(socket, bearer('one')), authentication);
  expect(brought.of(request(new Socket(), bearer('one')), authentication)).not.toBe(first);
  expect(brought.of(request(socket, bearer('one')), taking())).not.toBe(first);
  expect(() => brought.of(request(socket, { ...bearer('one'), 'private-token': 'two' }), authentication)).toThrow('Conflicting credentials');
  expect(() => brought.of(request(socket, {}), authentication)).toThrow();
  expect(brought.of(request(socket, { 'job-token': 'two' }), authentication)).toMatchObject({ scheme: 'job-token' });
  expect(brought.of(request(socket, bearer('two')), authentication)?.token.reveal()).toBe('two');
  expect(brought.of(request(socket, bearer('one')), authentication)?.token.reveal()).toBe('one');
});

it('has a header that stands twice read as such', () => {
  const socket = new Socket();
  const twice = { ...request(socket, bearer('one')), headersDistinct: { authorization: ['Bearer one', 'Bearer two'] } } as unknown as IncomingMessage;
  twice.rawHeaders.push('authorization', 'Bearer two');
  const [brought, authentication] = [new BroughtCredentials(), taking()];
  brought.of(request(socket, bearer('one')), authentication);
  expect(() => brought.of(twice, authentication)).toThrow('Conflicting credentials');
});
