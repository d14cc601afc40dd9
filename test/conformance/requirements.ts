import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';

const FOLDER = new URL('../../node_modules/@modelcontextprotocol/conformance/requirements/', import.meta.url);

export interface Requirements {
  /** Scenarios the revision requires. */
  readonly required: readonly string[];
  /** Scenarios the referee runs and does not score. */
  readonly extra: readonly string[];
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
