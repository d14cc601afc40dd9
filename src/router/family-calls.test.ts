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
  const parts = sampleServices(new SampleConnections(connection));
  parts.services.catalog.reconfigure(sampleSettings(['a', 'b'].map((name) => sampleUpstream(name, { family }))));
  parts.source.set('a', undefined, 'starting');
  parts.source.set('b', sampleSet({ tools: ['t'] }));
  let waits = 0;
  const services = { ...parts.services, started: async () => void waits++ };
  return { ...parts, connection, services, waits: () => waits, start: () => parts.source.set('a', sampleSet({ tools: ['t'] })) };
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
