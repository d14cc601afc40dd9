import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { Cell } from './cells.ts';
import { inexpressibleIn } from './inexpressible.ts';

const FOLDER = new URL('../../node_modules/@modelcontextprotocol/conformance/requirements/', import.meta.url);

export interface Requirements {
  /** Scenarios the revision requires. */
  readonly required: readonly string[];
  /** Scenarios the referee runs and does not score. */
  readonly extra: readonly string[];
}

/** All that a cell runs. */
export async function wantedBy(cell: Cell): Promise<Requirements> {
  const { revision, role, further = [] } = cell;
  const { required, extra } = await requirements(revision, role);
  const absent = new Set(role === 'server' ? inexpressibleIn(cell).flatMap(({ scenarios }) => scenarios) : []);
  const counts = (name: string): boolean => !absent.has(name);
  return { required: required.filter(counts), extra: [...extra, ...further].filter(counts) };
}

/** Reads what the installed referee requires. Scenarios about OAuth are left out: they belong to another command. */
export async function requirements(revision: string, role: 'server' | 'client'): Promise<Requirements> {
  const lists = parse(await readFile(new URL(`${revision}.yaml`, FOLDER), 'utf8')) as {
    readonly [leg in 'server' | 'client']: readonly string[];
  } & { readonly not_scored: readonly { readonly scenario: string; readonly leg: string }[] };
  const counted = (name: string): boolean => !name.startsWith('auth/');
  return {
    required: lists[role].filter(counted),
    extra: lists.not_scored.filter(({ leg, scenario }) => leg === role && counted(scenario)).map(({ scenario }) => scenario),
  };
}
