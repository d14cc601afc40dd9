interface SetInfo {
  readonly what: string;
  /** Part of the smoke run. */
  readonly smoke: boolean;
}

export const SETS = {
  http: { what: 'modern calls to an HTTP upstream', smoke: true },
  stdio: { what: 'calls to a stdio upstream', smoke: true },
  legacy: { what: 'session calls beside modern calls of the same gateway', smoke: true },
  streams: { what: 'event streams of five events and a result', smoke: true },
  '20k': { what: 'answers of 20 kB', smoke: true },
  '500k': { what: 'answers of 500 kB', smoke: false },
  list: { what: 'lists of 2,000 tools from the cache', smoke: false },
  latency: { what: 'what the gateway adds at 1,000 calls per second', smoke: false },
  loop: { what: 'delay of the event loop under load', smoke: false },
  sessions: { what: 'memory of 10,000 idle sessions', smoke: false },
  stalled: { what: 'memory for a reader that stopped reading', smoke: false },
  idle: { what: 'memory of a gateway that nobody calls', smoke: false },
  peers: { what: 'calls through other gateways', smoke: false },
} as const satisfies Record<string, SetInfo>;

export type SetName = keyof typeof SETS;
