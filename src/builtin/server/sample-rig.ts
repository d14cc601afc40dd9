import { toJson } from '../../core/json.ts';
import { ManualClock } from '../../core/manual-clock.ts';
import type { JsonObject } from '../../core/mcp.ts';
import type { Relay, UpstreamCall } from '../../core/ports.ts';
import { MemoryStore } from '../../store/memory.ts';
import { Connector } from '../../upstream/connect.ts';
import type { Link } from '../../upstream/connection.ts';
import { EraMemory } from '../../upstream/era-memory.ts';
import { remote, sampleSettings } from '../../upstream/sample-transport.ts';
import { BuiltinServer, type BuiltinServerOptions } from './builtin-server.ts';
import { BuiltinTransport } from './builtin-transport.ts';
import { SAMPLE_OFFER, type SampleContext } from './sample-offer.ts';
import type { BuiltinOffer } from './server.ts';

export const NEVER = new AbortController().signal;
export const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
export const ENVELOPE = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} };
export const FORMS = { elicitation: {} };

/** The gateway's own connector and peer in front of the server. */
export class BuiltinRig {
  readonly clock = new ManualClock();
  readonly done: string[] = [];
  readonly failures: string[] = [];
  readonly transports: BuiltinTransport<SampleContext>[] = [];
  readonly said: [string, JsonObject][] = [];
  user = 'ann';
  /** Leases that are out. */
  leased = 0;
  /** What the source of contexts does before it gives a lease. */
  before: (signal: AbortSignal) => Promise<void> = async () => {};
  revoked = new AbortController();
  readonly #store = new MemoryStore(this.clock);
  readonly link: Promise<Link>;

  constructor(offer: BuiltinOffer<SampleContext> = SAMPLE_OFFER, options: Partial<BuiltinServerOptions> = {}, protocol = 'auto') {
    const server = new BuiltinServer(offer, {
      clock: this.clock,
      onFailure: (what, error) => void this.failures.push(`${what}: ${String(error)}`),
      ...options,
    });
    const connector = new Connector(sampleSettings({ target: remote('http://built-in.test/mcp'), protocol }), {
      clock: this.clock,
      reaper: { start: async () => {}, add: () => {}, remove: () => {} },
      environment: {},
      memory: new EraMemory(this.#store, () => {}),
      clientInfo: { name: 'turnpike', version: '1' },
      onStderr: () => {},
      onDropped: (_, what) => void this.said.push(['dropped', { what }]),
      transport: () => this.#transport(server),
    });
    this.link = connector.connect('', NEVER);
  }

  #transport(server: BuiltinServer<SampleContext>): BuiltinTransport<SampleContext> {
    const transport = new BuiltinTransport('S', server, async (_, signal) => {
      await this.before(signal);
      this.leased++;
      let released = false;
      return {
        context: { user: this.user, clock: this.clock, done: this.done },
        signal: this.revoked.signal,
        release: () => {
          if (!released) this.leased--;
          released = true;
        },
      };
    });
    this.transports.push(transport);
    return transport;
  }

  readonly relay: Relay = {
    notification: (method, params) => void this.said.push([method, JSON.parse(params.toString('utf8')) as JsonObject]),
    request: () => Promise.reject(new Error('asked')),
  };

  async request(method: string, params: JsonObject = {}, call: Partial<UpstreamCall> = {}): Promise<JsonObject> {
    const link = await this.link;
    const own = { method, params: toJson(params), capabilities: {}, progress: false, relay: this.relay, signal: NEVER, ...call };
    const answer = await link.request(own);
    return JSON.parse((answer.kind === 'result' ? answer.result : answer.error).toString('utf8')) as JsonObject;
  }

  call(name: string, args: JsonObject = {}, call: Partial<UpstreamCall> = {}): Promise<JsonObject> {
    return this.request('tools/call', { name, arguments: args }, call);
  }

  /** A call over the transport alone, with everything that it delivers. */
  async send(name: string): Promise<{ readonly delivered: JsonObject[]; readonly sent: Promise<void> | undefined }> {
    await this.link;
    const delivered: JsonObject[] = [];
    const params = { name, _meta: { ...ENVELOPE, progressToken: 7, 'io.modelcontextprotocol/logLevel': 'debug' } };
    const sent = this.transports[0]?.send(toJson({ jsonrpc: '2.0', id: 9, method: 'tools/call', params }), {
      signal: NEVER,
      expectsAnswer: true,
      deliver: (bytes) => delivered.push(JSON.parse(bytes.toString('utf8')) as JsonObject) < 0,
    });
    return { delivered, sent };
  }

  /** What is left behind; the store's own sweep is none of ours. */
  async left() {
    await (await this.link).close();
    await this.#store.close();
    return { leases: this.leased, running: this.transports.map(({ running }) => running), timers: this.clock.pending };
  }
}
