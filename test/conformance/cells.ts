export type Revision = '2025-11-25' | '2026-07-28';

/** What is measured: the referee at one revision against one thing. */
export interface Cell {
  readonly name: string;
  readonly role: 'server' | 'client';
  /** What the referee speaks. */
  readonly revision: Revision;
  /** The fixture behind, for role `server`: it knows one era only. `gitlab`: the built-in server, which has none of the fixtures' tools. */
  readonly fixture?: 'legacy' | 'modern' | 'gitlab';
  /** How Turnpike reaches the fixture; `direct`: without Turnpike, `inside`: it is a part of Turnpike. */
  readonly through?: 'direct' | 'http' | 'stdio' | 'inside';
  /** Scenarios of extensions that no requirement of the referee names. */
  readonly further?: readonly string[];
}

/** The Skills extension, which has no older form: only a modern upstream can declare it (SEP-2640). */
export const SKILLS: readonly string[] = ['sep-2640-skills-directory', 'sep-2640-skills-enumeration', 'sep-2640-skills-manifest'];

/** The revision that a fixture speaks: `modern` and `gitlab` no other, `legacy` this one at best. */
export const SPOKEN: Readonly<Record<NonNullable<Cell['fixture']>, Revision>> = { legacy: '2025-11-25', modern: '2026-07-28', gitlab: '2026-07-28' };

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

/** What Turnpike offers of its own, before a double of GitLab: as far as a scenario needs no tool of the fixtures. */
export const BUILT_IN_CELLS: readonly Cell[] = [
  { name: 'legacy-gitlab', role: 'server', revision: '2025-11-25', fixture: 'gitlab', through: 'inside' },
  { name: 'modern-gitlab', role: 'server', revision: '2026-07-28', fixture: 'gitlab', through: 'inside' },
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
