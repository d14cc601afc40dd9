export type Revision = '2025-11-25' | '2026-07-28';

/** What is measured: the referee at one revision against one thing. */
export interface Cell {
  readonly name: string;
  readonly role: 'server' | 'client';
  /** What the referee speaks. */
  readonly revision: Revision;
  /** The fixture behind, for role `server`: it knows one era only. */
  readonly fixture?: 'legacy' | 'modern';
  /** How Turnpike reaches the fixture; `direct`: without Turnpike. */
  readonly through?: 'direct' | 'http' | 'stdio';
  /** Scenarios of extensions that no requirement of the referee names. */
  readonly further?: readonly string[];
}

/** The Skills extension, which has no older form: only a modern upstream can declare it (SEP-2640). */
export const SKILLS: readonly string[] = ['sep-2640-skills-directory', 'sep-2640-skills-enumeration', 'sep-2640-skills-manifest'];

/** The revision that a fixture speaks: `modern` no other, `legacy` this one at best. */
export const SPOKEN: Readonly<Record<'legacy' | 'modern', Revision>> = { legacy: '2025-11-25', modern: '2026-07-28' };

/** Turnpike in front of the fixtures: either era in front of either era, over HTTP and stdio. */
export const MATRIX: readonly Cell[] = [
  { name: 'legacy-http', role: 'server', revision: '2025-11-25', fixture: 'legacy', through: 'http' },
  { name: 'legacy-stdio', role: 'server', revision: '2025-11-25', fixture: 'legacy', through: 'stdio' },
  { name: 'legacy-to-modern-http', role: 'server', revision: '2025-11-25', fixture: 'modern', through: 'http' },
  { name: 'legacy-to-modern-stdio', role: 'server', revision: '2025-11-25', fixture: 'modern', through: 'stdio' },
  { name: 'modern-to-legacy-http', role: 'server', revision: '2026-07-28', fixture: 'legacy', through: 'http' },
  { name: 'modern-to-legacy-stdio', role: 'server', revision: '2026-07-28', fixture: 'legacy', through: 'stdio' },
  { name: 'modern-http', role: 'server', revision: '2026-07-28', fixture: 'modern', through: 'http', further: SKILLS },
  { name: 'modern-stdio', role: 'server', revision: '2026-07-28', fixture: 'modern', through: 'stdio', further: SKILLS },
];

/** Turnpike as a client. */
export const CLIENT_CELLS: readonly Cell[] = [
  { name: 'client-2025-11-25', role: 'client', revision: '2025-11-25' },
  { name: 'client-2026-07-28', role: 'client', revision: '2026-07-28' },
];

/** The fixtures by themselves: if one of these falls, the referee's word about Turnpike means nothing. */
export const DIRECT_CELLS: readonly Cell[] = [
  { name: 'direct-legacy', role: 'server', revision: '2025-11-25', fixture: 'legacy', through: 'direct' },
  { name: 'direct-modern', role: 'server', revision: '2026-07-28', fixture: 'modern', through: 'direct', further: SKILLS },
];
