import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { META } from '../../src/core/mcp.ts';
import { modernMeta, type Wire } from '../fixtures/hostile/wire.ts';
import { Rig, ROOT, type Started } from './cli-rig.ts';

const CHILD = join(ROOT, 'test/fixtures/hostile/child.mjs');

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.make();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

/** `serve --stdio` and the lines it writes. */
class Pipe implements AsyncDisposable {
  readonly #gateway: Started;
  readonly #lines: AsyncIterator<string>;

  private constructor(gateway: Started) {
    const { stdout } = gateway.child;
    if (stdout === null) throw new Error('no pipe');
    this.#gateway = gateway;
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  static async open(): Promise<Pipe> {
    const file = join(rig.folder, 'stdio.yaml');
    const args = JSON.stringify([CHILD, 'legacy', 'normal', join(rig.folder, 'journal')]);
    await writeFile(file, `upstreams:\n  - {name: up, type: stdio, command: ${process.execPath}, args: ${args}, timeouts: {call: 5s}}\n`);
    const pipe = new Pipe(rig.start(['serve', '--stdio', '--config', file], { open: true }));
    await pipe.#gateway.until(/up +connected/);
    return pipe;
  }

  /** The next line of the gateway after writing this one. */
  async ask(line: string | Buffer | object): Promise<Wire> {
    this.write(line);
    return this.next();
  }

  write(line: string | Buffer | object): void {
    const bytes = Buffer.isBuffer(line) ? line : Buffer.from(typeof line === 'string' ? line : JSON.stringify(line));
    this.#gateway.child.stdin?.write(Buffer.concat([bytes, Buffer.from('\n')]));
  }

  async next(): Promise<Wire> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the gateway ended: ${this.#gateway.err()}`);
    return JSON.parse(value as string) as Wire;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gateway.child.stdin?.end();
    expect(await this.#gateway.ended).toBe(0);
  }
}

const refusal = (code: number, message: string | RegExp, id?: unknown) => ({
  jsonrpc: '2.0',
  ...(id === undefined ? {} : { id }),
  error: { code, message: message instanceof RegExp ? expect.stringMatching(message) : message },
});
const ping = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'ping' });
const modern = (method: string, params: object = {}, id: unknown = 9) => ({ jsonrpc: '2.0', id, method, params: { _meta: modernMeta(), ...params } });
const call = (name: string, id: unknown) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: `x_up_${name}`, arguments: {} } });

describe('serve --stdio', () => {
  it('answers every bad line exactly, in both eras, and goes on', async () => {
    await using pipe = await Pipe.open();
    expect(await pipe.ask('{"jsonrpc":')).toEqual(refusal(-32700, /^Parse error: /));
    expect(await pipe.ask(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]))).toEqual(refusal(-32700, 'Parse error: not valid UTF-8'));
    expect(await pipe.ask('null')).toEqual(refusal(-32600, 'Invalid Request: the body must be a JSON object'));
    expect(await pipe.ask({ id: 5, method: 'ping' })).toEqual(refusal(-32600, 'Invalid Request: jsonrpc must be "2.0"', 5));
    expect(await pipe.ask(ping(null))).toEqual(refusal(-32600, 'Invalid Request: id must be a string or a number'));
    expect(await pipe.ask(ping(1.5))).toEqual(refusal(-32600, 'Invalid Request: id must be an integer of at most 2^53-1'));
    expect(await pipe.ask('{"jsonrpc":"2.0","id":5,"id":6,"method":"ping"}')).toEqual(
      refusal(-32600, 'Invalid Request: the member "id" stands twice', 6),
    );
    expect(await pipe.ask('['.repeat(100_000))).toEqual(refusal(-32700, /^Parse error: /));
    expect(await pipe.ask('[]')).toEqual(refusal(-32600, 'Invalid Request: the batch is empty'));
    expect(await pipe.ask([ping(5)])).toEqual(refusal(-32600, 'Invalid Request: batches belong to 2025-03-26'));
    // Without initialize only requests with an envelope are served.
    const missing = `params._meta["${META.protocolVersion}"] is missing, and there was no initialize`;
    expect(await pipe.ask(ping(5))).toEqual(refusal(-32602, missing, 5));
    const future = modern('tools/list', { _meta: modernMeta({ [META.protocolVersion]: '2027-01-01' }) });
    expect(await pipe.ask(future)).toMatchObject({ id: 9, error: { code: -32022, data: { supported: ['2026-07-28'], requested: '2027-01-01' } } });
    const bare = modern('tools/list', { _meta: { [META.protocolVersion]: '2026-07-28' } });
    expect(await pipe.ask(bare)).toEqual(refusal(-32602, `params._meta["${META.clientCapabilities}"] must be an object, and is missing`, 9));
    expect(await pipe.ask(modern('initialize'))).toEqual(refusal(-32601, 'Method not found: initialize', 9));
    expect(await pipe.ask(modern('constructor'))).toEqual(refusal(-32601, 'Method not found: constructor', 9));
    expect(await pipe.ask(modern('tools/call', { name: 'nope' }))).toEqual(refusal(-32602, 'tool not found: nope', 9));
    expect(await pipe.ask(modern('tools/call', { name: 'x_up_echo', arguments: [] }))).toEqual(
      refusal(-32602, 'params.arguments must be an object', 9),
    );
    // Responses and notifications that belong to nothing are no reason to say anything.
    pipe.write({ jsonrpc: '2.0', id: 77, result: {} });
    pipe.write({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 77 } });
    pipe.write('');

    const initialize = (params: object) => ({ jsonrpc: '2.0', id: 'i', method: 'initialize', params });
    expect(await pipe.ask(initialize({}))).toEqual(refusal(-32602, 'params.protocolVersion must be a string', 'i'));
    const opened = await pipe.ask(initialize({ protocolVersion: '2025-11-25', capabilities: {} }));
    expect([opened.id, opened.result?.protocolVersion]).toEqual(['i', '2025-11-25']);
    expect(await pipe.ask(initialize({ protocolVersion: '2025-11-25', capabilities: {} }))).toEqual(
      refusal(-32600, 'Invalid Request: initialize was sent twice', 'i'),
    );
    expect(await pipe.ask({ ...ping(5), method: 'no/such' })).toEqual(refusal(-32601, 'Method not found: no/such', 5));
    expect(await pipe.ask({ ...ping(5), method: 'resources/read', params: { uri: 'x://nope' } })).toMatchObject({ id: 5, error: { code: -32002 } });
    expect(await pipe.ask([ping(5)])).toEqual(refusal(-32600, 'Invalid Request: batches belong to 2025-03-26'));
    expect(await pipe.ask(ping('good'))).toEqual({ jsonrpc: '2.0', id: 'good', result: {} });
  });

  it('answers a batch of a 2025-03-26 session as one array, each element by itself', async () => {
    await using pipe = await Pipe.open();
    await pipe.ask({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-03-26', capabilities: {} } });
    expect(await pipe.ask([ping(1), { ...ping(2), method: 'no/such' }, { jsonrpc: '2.0', method: 'notifications/initialized' }, ping(3)])).toEqual(
      expect.arrayContaining(
        [ping(1), ping(3)].map(({ id }) => ({ jsonrpc: '2.0', id, result: {} })).concat(refusal(-32601, 'Method not found: no/such', 2) as never),
      ),
    );
    expect(await pipe.ask([ping(1), modern('tools/list')])).toEqual(refusal(-32600, 'Invalid Request: 2026-07-28 knows no batches'));
  });

  it('refuses an id in flight, in both eras, and answers the first request', async () => {
    await using pipe = await Pipe.open();
    const twice = refusal(-32600, 'Invalid Request: the id "same" is in use', 'same');
    pipe.write(modern('tools/call', { name: 'x_up_slow', arguments: { ms: 300 } }, 'same'));
    expect(await pipe.ask(modern('tools/list', {}, 'same'))).toEqual(twice);
    expect(await pipe.next()).toMatchObject({ id: 'same', result: { content: [{ type: 'text', text: 'slow' }] } });
    await pipe.ask({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } });
    pipe.write(call('slow', 'same'));
    expect(await pipe.ask(ping('same'))).toEqual(twice);
    expect(await pipe.next()).toMatchObject({ id: 'same', result: { content: [{ type: 'text', text: 'slow' }] } });
  });

  it('a line above 16 MiB is refused without an id, and the next line is read', async () => {
    await using pipe = await Pipe.open();
    expect(await pipe.ask(Buffer.alloc(17 * 1024 * 1024, 'x'))).toEqual(refusal(-32600, 'A line is longer than 16 MiB'));
    expect(await pipe.ask(modern('no/such', {}, 'next'))).toEqual(refusal(-32601, 'Method not found: no/such', 'next'));
    expect(await pipe.ask(Buffer.alloc(40 * 1024 * 1024, '['))).toEqual(refusal(-32600, 'A line is longer than 16 MiB'));
    pipe.write('');
    expect(await pipe.ask(modern('tools/call', { name: 'x_up_echo' }, 'last'))).toMatchObject({
      id: 'last',
      result: { content: [{ text: 'echo' }] },
    });
  });
});
