import type { Draft } from './draft.ts';
import { CONFIG_TREE, KEYS, type Key } from './keys.ts';
import { isLaterVariable } from './later.ts';
import { nearest } from './nearest.ts';
import { nodeAt } from './tree.ts';

/** Variables that belong to the command line, not to the configuration. */
export const CLI_VARIABLES: readonly string[] = ['TURNPIKE_CONFIG', 'TURNPIKE_URL', 'TURNPIKE_TOKEN'];

/** Short flags beside the long ones (configuration.md, "Other sources"). */
export const SHORT_FLAGS: Readonly<Record<string, string>> = { '--yolo': '--policy-yolo' };

/**
 * Lays the variables over the file. Returns what is wrong with their names: an unknown `TURNPIKE_` variable is an
 * error like an unknown key. Names that Kubernetes makes for a Service called `turnpike` are none of ours.
 */
export function layEnvironment(draft: Draft, env: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Map(KEYS.map((key) => [key.variable, key]));
  const problems: string[] = [];
  for (const [name, value] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!name.startsWith('TURNPIKE_') || value === undefined || CLI_VARIABLES.includes(name) || isServiceVariable(name, value)) continue;
    const key = known.get(name);
    if (key !== undefined) draft.lay(key.path, value, { source: 'environment', where: name }, twinOf(key));
    else problems.push(`${name}: unknown variable${hintFor(name, known.keys())}`);
  }
  return problems;
}

/** Lays the flags over file and variables. `true` is a flag without a value. */
export function layFlags(draft: Draft, flags: Readonly<Record<string, string | boolean>>): string[] {
  const known = new Map(KEYS.flatMap((key) => (key.flag === undefined ? [] : [[key.flag, key] as const])));
  const problems: string[] = [];
  for (const [name, value] of Object.entries(flags)) {
    const key = known.get(SHORT_FLAGS[name] ?? name);
    const isSwitch = key?.node.declaration.kind === 'boolean';
    if (key === undefined) {
      const like = nearest(name, known.keys());
      problems.push(`${name}: unknown flag${like === undefined ? '' : `; did you mean "${like}"?`}`);
    } else if (typeof value === 'boolean' && !isSwitch) problems.push(`${name}: has no value (expected ${key.node.declaration.expected})`);
    else draft.lay(key.path, value, { source: 'flag', where: name }, twinOf(key));
  }
  return problems;
}

/** The other name of the same setting: the secret of a file, or the file of a secret. */
function twinOf({ path, node }: Key): string | undefined {
  if (node.declaration.twinOf !== undefined) return node.declaration.twinOf;
  const twin = `${path.at(-1)}File`;
  return node.declaration.secret === true && nodeAt(CONFIG_TREE, [...path.slice(0, -1), twin], {}) !== undefined ? twin : undefined;
}

function hintFor(name: string, known: Iterable<string>): string {
  if (isLaterVariable(name)) return '; not available in this version';
  const like = nearest(name, known);
  return like === undefined ? '' : `; did you mean "${like}"?`;
}

/** Kubernetes and Docker links: `TURNPIKE_SERVICE_HOST`, `TURNPIKE_PORT=tcp://…`, `TURNPIKE_PORT_8080_TCP_ADDR`. */
function isServiceVariable(name: string, value: string): boolean {
  if (/^TURNPIKE_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$/.test(name) || /^TURNPIKE_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)) return true;
  return name === 'TURNPIKE_PORT' && /^(tcp|udp|sctp):\/\//.test(value);
}
