import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DOORS } from '../../src/edge/app.ts';
import { OPS_PATHS } from '../../src/edge/ops.ts';
import { GatewayRig } from './kit/gateway.ts';
import { get, send } from './kit/http.ts';

/** Security class 4: whatever the listener serves asks for a credential, but for a written list. A route that comes later is asked here, too. */

const OPEN = ['/healthz', '/health', '/readyz'];
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
const MESSAGE = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

let rig: GatewayRig;
const at = (path: string) => new URL(path, rig.url).href;

beforeAll(async () => {
  rig = await GatewayRig.start({ telemetry: { metrics: { token: 'operators-only-0123456789' } } });
});
afterAll(() => rig[Symbol.asyncDispose]());

const routes = [...new Set([...DOORS, ...OPS_PATHS])];

it('the list of routes is the whole one', () => {
  expect(routes.toSorted()).toEqual(['/health', '/healthz', '/mcp', '/message', '/metrics', '/readyz', '/sse']);
});

describe.each(routes.filter((path) => !OPEN.includes(path)))('%s', (path) => {
  it.each(METHODS)('by %s answers nobody without a credential', async (method) => {
    const reply = await send(at(path), method, JSON_HEADERS, method.startsWith('P') ? MESSAGE : undefined);
    // A method that the route does not know is refused before anybody is asked who he is.
    expect([401, 403, 405]).toContain(reply.status);
    expect(reply.text).not.toMatch(/turnpike_|"result"/);
  });

  it('answers nobody with a wrong one', async () => {
    for (const method of ['GET', 'POST'] as const) {
      const headers = { ...JSON_HEADERS, authorization: 'Bearer operators-only-012345678X' };
      const reply = await send(at(path), method, headers, method === 'GET' ? undefined : MESSAGE);
      // The session that it names is looked for before anybody is asked (protocol.md section 1).
      expect(path === '/message' ? [400, 405] : [401, 405]).toContain(reply.status);
      expect(reply.text).not.toMatch(/turnpike_|"result"/);
    }
  });
});

it.each(['/admin', '/api', '/oauth/token', '/.well-known/oauth-protected-resource', '/metrics/', '/healthz/x', '/'])(
  '%s is nowhere',
  async (path) => {
    expect((await get(at(path))).status).toBe(404);
  },
);

it.each(OPEN)('%s is open, and tells a stranger behind a proxy nothing but its state', async (path) => {
  const reply = await get(at(path), { 'x-forwarded-for': '198.51.100.7' });
  expect(reply.status).toBe(200);
  expect(JSON.parse(reply.text)).toEqual({ status: expect.any(String) });
});

it('without an operations credential the numbers are for loopback alone, and for nobody that a proxy speaks for', async () => {
  await using open = await GatewayRig.start({});
  const metrics = new URL('/metrics', open.url).href;
  expect((await get(metrics)).status).toBe(200);
  for (const name of ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']) expect((await get(metrics, { [name]: '198.51.100.7' })).status).toBe(401);
  expect((await get(metrics, { host: 'gateway.example.com' })).status).toBe(403);
});
