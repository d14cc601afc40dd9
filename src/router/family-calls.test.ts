import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleSet, sampleSettings, sampleTool, sampleUpstream } from '../catalog/sample-source.ts';
import { isJsonObject, type JsonObject } from '../core/mcp.ts';
import { scanRequest } from '../core/scan.ts';
import { dispatch } from './dispatch.ts';
import { errorOf, resultOf, SampleConnection, SampleConnections, sampleExchange, sampleServices } from './sample-services.ts';

const family = { name: 'f', instanceArg: 'instance' };

/** A family of `a` and `b`, of which `b` offers its tool; `a` does when `start` is called. */
function rig() {
  const connection = new SampleConnection('modern');
  const connections = new SampleConnections(connection);
  const parts = sampleServices(connections);
  const { settings } = parts.services;
  const [own] = settings.upstreams.values();
  const upstreams = new Map(own === undefined ? [] : ['a', 'b'].map((name) => [name, own]));
  parts.services.catalog.reconfigure(sampleSettings(['a', 'b'].map((name) => sampleUpstream(name, { family }))));
  parts.source.set('a', undefined, 'starting');
  parts.source.set('b', sampleSet({ tools: ['t'] }));
  let waits = 0;
  const services = { ...parts.services, settings: { ...settings, upstreams }, started: async () => void waits++ };
  return { ...parts, connections, connection, services, waits: () => waits, start: () => parts.source.set('a', sampleSet({ tools: ['t'] })) };
}

const call = (args: JsonObject | undefined, name = 'x_f_t') =>
  sampleExchange({ body: args === undefined ? { name } : { name, arguments: args } }).exchange;
const argumentsOf = ({ calls }: SampleConnection) => calls.map(({ params }) => JSON.parse(params.toString()).arguments as unknown);

describe('a member that is starting', () => {
  it('is waited for, once', async () => {
    const { services, connection, start } = rig();
    const waiting = { ...services, started: async () => start() };
    await dispatch(waiting, call({ instance: 'a', n: 1 }));
    expect(connection.calls).toHaveLength(1);
    expect(argumentsOf(connection)).toEqual([{ n: 1 }]);
  });

  it('that does not come is answered with who is there', async () => {
    const { services, waits, connection } = rig();
    await expect(dispatch(services, call({ instance: 'a' }))).rejects.toMatchObject({
      code: 'catalog/tool',
      message: 'tool x_f_t is not available on server "a" (available: b)',
    });
    expect([waits(), connection.calls.length]).toEqual([1, 0]);
  });

  it('that changes what the name means is answered by what it means then', async () => {
    for (const [tools, message] of [
      [[sampleTool('t', { description: 'other' })], 'tool not found: x_f_t'],
      [[sampleTool('f_t'), sampleTool('t')], 'tool not found: x_f_t'],
    ] as const) {
      const { services, source } = rig();
      const waiting = { ...services, started: async () => source.set('a', sampleSet({ tools })) };
      await expect(dispatch(waiting, call({ instance: 'a' }))).rejects.toMatchObject({ code: 'catalog/tool', message });
    }
    const { services, source } = rig();
    services.catalog.reconfigure(sampleSettings([...['a', 'b'].map((name) => sampleUpstream(name, { family })), 'f']));
    const waiting = { ...services, started: async () => source.set('f', sampleSet({ tools: ['t'] })) };
    await expect(dispatch(waiting, call({ instance: 'a' }))).rejects.toMatchObject({ code: 'catalog/ambiguous' });
  });

  it('is waited for by nobody who means somebody else', async () => {
    const { services, waits, start } = rig();
    start();
    await dispatch(services, call({ instance: 'a' }));
    expect(waits()).toBe(0);
  });
});

it('the argument is cut out of params that were only scanned, and nothing is parsed for it', async () => {
  const { services, connection, start } = rig();
  start();
  const message = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x_f_t","arguments":{"n":1.0,"instance":"a"} }}');
  const scanned = scanRequest(message);
  if (scanned === undefined) throw new Error('not scanned');
  const { exchange } = sampleExchange();
  const params = { params: scanned.params, spans: scanned.spans };
  const { body: _, ...others } = exchange;
  await dispatch(services, {
    ...others,
    ...params,
    get body(): JsonObject {
      throw new Error('the body was parsed');
    },
  });
  expect(connection.calls[0]?.params.toString()).toBe('{"name":"t","arguments":{"n":1.0} }');
});

it('whatever the arguments are, all their bytes but those of the argument arrive', async () => {
  const key = fc.oneof(fc.constantFrom('Instance', 'instance ', '__proto__', 'n', 'a\\b', 'é"'), fc.string());
  const members = fc.array(
    fc.tuple(
      key.filter((name) => name !== 'instance'),
      fc.jsonValue({ maxDepth: 2 }),
    ),
    { maxLength: 6 },
  );
  const blank = fc.constantFrom('', ' ', '\n\t');
  const spelling = fc.constantFrom('"instance"', '"\\u0069nstance"', '"insta\\u006ece"');
  await fc.assert(
    fc.asyncProperty(members, fc.nat(6), blank, spelling, fc.constantFrom('a', 'b'), async (given, place, space, own, instance) => {
      const { services, connections, connection, start } = rig();
      start();
      const texts = given.map(([name, value]) => `${space}${JSON.stringify(name)}${space}:${JSON.stringify(value)}`);
      const at = Math.min(place, texts.length);
      const args = `{${[...texts.slice(0, at), `${own}:${space}"${instance}"`, ...texts.slice(at)].join(',')}}`;
      const { exchange } = sampleExchange({ body: `{"name":"x_f_t","arguments":${args}}` });
      await dispatch(services, exchange);
      expect(connection.calls).toHaveLength(1);
      expect(connections.taken[0]?.upstream).toBe(instance);
      const sent = connection.calls[0]?.params.toString() ?? '';
      const left = /^\{"name":"t","arguments":(.*)\}$/s.exec(sent)?.[1] ?? '';
      expect(JSON.parse(left)).toEqual(Object.fromEntries(given.map(([name, value]) => [name, JSON.parse(JSON.stringify(value))])));
      expect(left.replaceAll(/\s/g, '')).toBe(`{${texts.join(',')}}`.replaceAll(/\s/g, ''));
    }),
    { numRuns: 200 },
  );
});

it('a member whose schema changed is asked again, and called once more with the argument cut out', async () => {
  const tool = (header: string) =>
    sampleTool('t', { inputSchema: { type: 'object', properties: { n: { type: 'integer', 'x-mcp-header': header } } } });
  const { services, connection, source } = rig();
  source.set('a', sampleSet({ tools: [tool('Old')] }));
  source.set('b', sampleSet({ tools: [tool('Old')] }));
  const answers = [errorOf(-32020)];
  connection.answer = () => answers.shift() ?? resultOf({ content: [] });
  // Both were upgraded: the one that answered first is known to be.
  source.onRefresh = () => {
    source.set('a', sampleSet({ tools: [tool('New')] }));
    source.set('b', sampleSet({ tools: [tool('New')] }));
  };
  await dispatch(services, call({ instance: 'a', n: 1 }));
  expect(argumentsOf(connection)).toEqual([{ n: 1 }, { n: 1 }]);
  expect(connection.calls.map(({ headers }) => headers)).toEqual([
    expect.objectContaining({ 'mcp-param-old': '1' }),
    expect.objectContaining({ 'mcp-param-new': '1' }),
  ]);
});

it('what is audited: the member that was named; nobody where none was', async () => {
  const { services, audited, start } = rig();
  start();
  await dispatch(services, call({ instance: 'a' }));
  await dispatch(services, call({})).catch(() => {});
  await services.audit.close();
  expect(audited.filter(isJsonObject).map(({ tool, upstream, original, decision }) => [tool, upstream, original, decision])).toEqual([
    ['x_f_t', 'a', 't', 'allowed'],
    ['x_f_t', undefined, undefined, 'catalog/tool'],
  ]);
});

it('a policy that refuses all members refuses the call, whomever it names', async () => {
  const { services, source } = rig();
  for (const name of ['a', 'b']) source.set(name, sampleSet({ tools: ['cleanup'] }));
  for (const args of [undefined, {}, { instance: 'none' }, { instance: 'b' }])
    await expect(dispatch(services, call(args, 'x_f_cleanup'))).rejects.toMatchObject({
      code: 'policy/denied',
      details: { rule: 'denylist', data: { rule: 'denylist', tool: 'x_f_cleanup' } },
    });
});
