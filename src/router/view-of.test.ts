import { expect, it } from 'vitest';
import { sampleSet } from '../catalog/sample-source.ts';
import { dispatch } from './dispatch.ts';
import { sampleExchange, sampleServices } from './sample-services.ts';

it.each([
  ['tools/call', { name: 'x_a_read' }],
  ['prompts/get', { name: 'x_a_p' }],
  ['resources/read', { uri: 'memo://x' }],
])('a name that upstreams have yet to bring is waited for, as lists are: %s', async (method, body) => {
  const { services, source } = sampleServices();
  const offered = source.snapshot()[0]?.capabilities ?? sampleSet({});
  source.set('a', sampleSet({}));
  let waits = 0;
  const started = async () => {
    waits++;
    source.set('a', offered);
  };
  const { exchange } = sampleExchange({ method, body });
  expect(await dispatch({ ...services, started }, exchange)).toMatchObject({ kind: 'result' });
  expect(waits).toBe(1);
  // What is known is not waited for.
  await dispatch({ ...services, started }, sampleExchange({ method, body }).exchange);
  expect(waits).toBe(1);
});

it('what nobody brings is unknown after the start', async () => {
  const { services } = sampleServices();
  const { exchange } = sampleExchange({ body: { name: 'x_a_nope' } });
  await expect(dispatch(services, exchange)).rejects.toThrow(expect.objectContaining({ code: 'catalog/tool' }));
});
