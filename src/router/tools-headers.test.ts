import { describe, expect, it } from 'vitest';
import { sampleSet, sampleTool } from '../catalog/sample-source.ts';
import { dispatch } from './dispatch.ts';
import { errorOf, resultOf, SampleConnection, SampleConnections, sampleExchange, sampleServices } from './sample-services.ts';

const tool = (header: string) =>
  sampleTool('write', { inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': header } } } });

function rig(answers: readonly ReturnType<typeof resultOf>[]) {
  const connection = new SampleConnection('modern');
  const left = [...answers];
  connection.answer = () => left.shift() ?? resultOf({ content: [] });
  const parts = sampleServices(new SampleConnections(connection));
  parts.source.set('a', sampleSet({ tools: [tool('Old')] }));
  parts.source.onRefresh = () => parts.source.set('a', sampleSet({ tools: [tool('New')] }));
  return { ...parts, connection };
}

const call = () => sampleExchange({ body: { name: 'x_a_write', arguments: { region: 'eu' } } }).exchange;

describe('an upstream whose schema changed (-32020)', () => {
  it('is asked for its tools again, and the call goes once more with headers by the new schema', async () => {
    const { services, connection } = rig([errorOf(-32020)]);
    const answer = await dispatch(services, call());
    expect(answer.kind).toBe('result');
    expect(connection.calls.map(({ headers }) => headers)).toEqual([
      expect.objectContaining({ 'mcp-param-old': 'eu' }),
      expect.objectContaining({ 'mcp-param-new': 'eu' }),
    ]);
  });

  it('that refuses twice is said, and never asked a third time', async () => {
    const { services, connection } = rig([errorOf(-32020), errorOf(-32020)]);
    await expect(dispatch(services, call())).rejects.toMatchObject({ code: 'upstream/header' });
    expect(connection.calls).toHaveLength(2);
  });
});
