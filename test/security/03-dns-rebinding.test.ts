import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GatewayRig, USERS } from './kit/gateway.ts';
import { type ScriptedUpstream, scripted, tool } from './kit/upstreams.ts';
import { head, wire } from './kit/wire.ts';

/** Class 3: a page that rebinds its name to this address, or calls across origins, reaches nothing on any route. */

const ALLOWED_ORIGIN = 'https://app.example.com';
let upstream: ScriptedUpstream;
let rig: GatewayRig;

beforeAll(async () => {
  upstream = await scripted({ tools: [tool('write')] });
  rig = await GatewayRig.start({
    listen: {
      publicUrl: 'https://mcp.example.com',
      allowedHosts: ['mcp.example.com', 'other.example.com:9443', 'localhost', '127.0.0.1'],
      allowedOrigins: [ALLOWED_ORIGIN],
    },
    upstreams: [{ name: 'up', type: 'streamable-http', url: upstream.url }],
  });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

const ROUTES = [
  'POST /mcp',
  'GET /mcp',
  'DELETE /mcp',
  'OPTIONS /mcp',
  'GET /metrics',
  'GET /healthz',
  'GET /health',
  'GET /readyz',
  'GET /',
  'GET /nothing',
];

/** A request that is correct but for the lines given: a call that would leave a trace at the upstream. */
async function attack(route: string, lines: readonly string[], version = 'HTTP/1.1') {
  const [method = '', target = ''] = route.split(' ');
  const { body, headers } = rig.modern('alice').request('tools/call', { name: 'x_up_write', arguments: {} });
  const isCall = method === 'POST';
  const own = isCall ? Object.entries(headers).map(([name, value]) => `${name}: ${value}`) : [`authorization: Bearer ${USERS.alice.token}`];
  return wire(rig.port, head(`${method} ${target} ${version}`, [...lines, ...own], isCall ? body : ''));
}

const own = () => `127.0.0.1:${rig.port}`;

describe.each(ROUTES)('%s', (route) => {
  it.each<[string, () => string[]]>([
    ['a foreign Host', () => ['Host: evil.example']],
    ['a foreign Host with our port', () => [`Host: evil.example:${rig.port}`]],
    ['a name that ends in ours', () => ['Host: evil-mcp.example.com']],
    ['a name that begins with ours', () => ['Host: localhost.evil.example']],
    ['our name with a dot', () => [`Host: localhost.:${rig.port}`]],
    ['user info before our name', () => [`Host: evil@localhost:${rig.port}`]],
    ['an odd port on loopback', () => ['Host: 127.0.0.1:1']],
    ['an odd port on a public name', () => ['Host: mcp.example.com:1']],
    ['another port than an entry names', () => ['Host: other.example.com:9444']],
    ['a port that is no number', () => ['Host: localhost:80a']],
    ['an empty Host', () => ['Host: ']],
    ['no Host', () => []],
    ['two Hosts', () => [`Host: ${own()}`, 'Host: evil.example']],
    ['two Hosts, ours last', () => ['Host: evil.example', `Host: ${own()}`]],
    ['two equal Hosts', () => [`Host: ${own()}`, `Host: ${own()}`]],
    ['two Hosts in one', () => [`Host: ${own()}, evil.example`]],
    ['a foreign Origin', () => [`Host: ${own()}`, 'Origin: https://evil.example']],
    ['Origin null', () => [`Host: ${own()}`, 'Origin: null']],
    ['an empty Origin', () => [`Host: ${own()}`, 'Origin: ']],
    ['two Origins, one allowed', () => [`Host: ${own()}`, `Origin: ${ALLOWED_ORIGIN}`, 'Origin: https://evil.example']],
    ['two allowed Origins', () => [`Host: ${own()}`, `Origin: ${ALLOWED_ORIGIN}`, `Origin: ${ALLOWED_ORIGIN}`]],
    ['two Origins in one', () => [`Host: ${own()}`, `Origin: ${ALLOWED_ORIGIN}, https://evil.example`]],
    ['an allowed Origin with another port', () => [`Host: ${own()}`, `Origin: ${ALLOWED_ORIGIN}:8443`]],
    ['an allowed Origin with a path', () => [`Host: ${own()}`, `Origin: ${ALLOWED_ORIGIN}/`]],
    ['an Origin of this machine on another port', () => [`Host: ${own()}`, 'Origin: http://127.0.0.1:3000']],
    ['an Origin that begins with an allowed one', () => [`Host: ${own()}`, `Origin: ${ALLOWED_ORIGIN}.evil.example`]],
  ])('is 403 with %s', async (_attack, lines) => {
    const reply = await attack(route, lines());
    expect(reply.status).toBe(403);
    expect(reply.text).not.toContain('evil');
    expect(reply.text).not.toMatch(/access-control-allow-origin: https:\/\/evil/i);
    expect(upstream.calls()).toEqual([]);
  });

  it.each(['http://evil.example', 'https://mcp.example.com', 'http://127.0.0.1', '//evil.example'])(
    'is not served with a target that names %s',
    async (authority) => {
      const [method, path] = route.split(' ');
      const reply = await attack(`${method} ${authority}${path}`, [`Host: ${own()}`]);
      expect(reply.status).toBe(authority.startsWith('//') ? 404 : 403);
      expect(upstream.calls()).toEqual([]);
    },
  );

  it('is 403 by HTTP/1.0 without a Host', async () => {
    expect((await attack(route, [], 'HTTP/1.0')).status).toBe(403);
  });
});

describe('what is not foreign', () => {
  it.each<[string, () => string[]]>([
    ['our address and port', () => [`Host: ${own()}`]],
    ['a public name behind a proxy', () => ['Host: mcp.example.com']],
    ['a public name with the port of its scheme', () => ['Host: mcp.example.com:443']],
    ['an entry with its port', () => ['Host: other.example.com:9443']],
    ['another case', () => [`Host: LOCALHOST:${rig.port}`]],
    ['an allowed Origin', () => [`Host: ${own()}`, `Origin: ${ALLOWED_ORIGIN}`]],
    ['our own Origin', () => [`Host: ${own()}`, `Origin: http://${own()}`]],
  ])('is served: %s', async (_name, lines) => {
    const before = upstream.count('tools/call');
    const reply = await attack('POST /mcp', lines());
    expect(reply.status).toBe(200);
    expect(upstream.count('tools/call')).toBe(before + 1);
  });

  it('gets CORS headers only with an allowed Origin, and never credentials', async () => {
    const allowed = await attack('POST /mcp', [`Host: ${own()}`, `Origin: ${ALLOWED_ORIGIN}`]);
    expect(allowed.text).toMatch(new RegExp(`access-control-allow-origin: ${ALLOWED_ORIGIN}`, 'i'));
    const mine = await attack('POST /mcp', [`Host: ${own()}`, `Origin: http://${own()}`]);
    expect(mine.text).not.toMatch(/access-control-allow-origin/i);
    expect(`${allowed.text}${mine.text}`).not.toMatch(/access-control-allow-credentials/i);
  });
});

it('a connection upgrade and a tunnel reach nothing', async () => {
  const upgrade = await wire(rig.port, head('GET /mcp HTTP/1.1', [`Host: ${own()}`, 'Connection: Upgrade', 'Upgrade: websocket']), {
    untilClosed: true,
    deadlineMs: 3000,
  });
  const tunnel = await wire(rig.port, head(`CONNECT ${new URL(upstream.url).host} HTTP/1.1`, [`Host: ${own()}`]), {
    untilClosed: true,
    deadlineMs: 3000,
  });
  expect([upgrade, tunnel].map(({ closed, status }) => closed && status !== 200 && status !== 101)).toEqual([true, true]);
});
