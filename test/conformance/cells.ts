/** What is measured: the referee at one revision against one thing. */
export interface Cell {
  readonly name: string;
  readonly role: 'server' | 'client';
  readonly revision: '2025-11-25' | '2026-07-28';
  /** The fixture behind, for role `server`. */
  readonly fixture?: 'legacy' | 'modern';
  /** How Turnpike reaches the fixture; `direct`: without Turnpike. */
  readonly through?: 'direct' | 'http' | 'stdio';
}

/** Turnpike in front of the fixtures, and Turnpike as a client. */
export const CELLS: readonly Cell[] = [
  { name: 'legacy-http', role: 'server', revision: '2025-11-25', fixture: 'legacy', through: 'http' },
  { name: 'legacy-stdio', role: 'server', revision: '2025-11-25', fixture: 'legacy', through: 'stdio' },
  { name: 'modern-http', role: 'server', revision: '2026-07-28', fixture: 'modern', through: 'http' },
  { name: 'modern-stdio', role: 'server', revision: '2026-07-28', fixture: 'modern', through: 'stdio' },
  { name: 'client-2025-11-25', role: 'client', revision: '2025-11-25' },
  { name: 'client-2026-07-28', role: 'client', revision: '2026-07-28' },
];

/** The fixtures by themselves: if one of these falls, the referee's word about Turnpike means nothing. */
export const DIRECT_CELLS: readonly Cell[] = [
  { name: 'direct-legacy', role: 'server', revision: '2025-11-25', fixture: 'legacy', through: 'direct' },
  { name: 'direct-modern', role: 'server', revision: '2026-07-28', fixture: 'modern', through: 'direct' },
];
