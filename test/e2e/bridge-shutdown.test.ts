import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/mcp.ts';
import { answerIn, modernRequest, post } from './raw-client.ts';
import { logOf, Rig } from './rig.ts';

const CALLS = 3;

describe('a gateway that ends while calls wait for input', () => {
  it.each(['over HTTP', 'over a pipe'])('answers what was asked in the client’s stead, then cancels, %s', async (how) => {
    await using rig = await Rig.make();
    const server = await rig.serve('legacy');
    const log = join(rig.folder, 'child.jsonl');
    const child = rig.stdio('u', 'legacy');
    const gateway = await rig.start({
      upstreams: [
        how === 'over HTTP'
          ? { name: 'u', type: 'streamable-http', url: server.url() }
          : { ...child, env: { ...(child.env as JsonObject), FIXTURE_LOG: log } },
      ],
    });
    // A call that was answered before its cancel left needs none.
    const params = { name: 'x_u_test_input_required_result_elicitation', arguments: { delayMs: 5_000 } };
    // One client after the other: on a pipe nothing says whose question it is.
    for (let id = 1; id <= (how === 'over HTTP' ? CALLS : 1); id++) {
      const { body, headers } = modernRequest(id, 'tools/call', params, { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } });
      expect(answerIn(await post(rig.endpoint, body, { headers }))).toMatchObject({ result: { resultType: 'input_required' } });
    }
    await gateway[Symbol.asyncDispose]();
    const entries = how === 'over HTTP' ? await logOf(server) : parsed(await readFile(log, 'utf8'));
    const said = entries.filter(({ kind }) => kind === 'message').map(({ message }) => message as JsonObject);
    const cancels = said.filter(({ method }) => method === 'notifications/cancelled');
    const answers = said.filter(({ result }) => (result as JsonObject | undefined)?.action === 'cancel');
    const count = how === 'over HTTP' ? CALLS : 1;
    expect([answers.length, cancels.length]).toEqual([count, count]);
    const called = new Set(said.filter(({ method }) => method === 'tools/call').map(({ id }) => id));
    expect(new Set(cancels.map(({ params: about }) => (about as JsonObject).requestId))).toEqual(called);
  });
});

function parsed(lines: string): JsonObject[] {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JsonObject);
}
