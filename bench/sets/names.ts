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
} as const satisfies Record<string, SetInfo>;

export type SetName = keyof typeof SETS;
