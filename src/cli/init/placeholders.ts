import { basename } from 'node:path';
import type { ClientFile, ClientServer } from './client-file.ts';
import { shortPath } from './client-places.ts';
import { hasSecretLook } from './secret-look.ts';
import type { Variables } from './variables.ts';
import { variableName } from './variables.ts';

export interface PlaceholderContext {
  readonly file: Pick<ClientFile, 'project' | 'inputs' | 'client' | 'file'>;
  readonly server: Pick<ClientServer, 'path'>;
  /** The upstream that is made. */
  readonly name: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly variables: Variables;
  /** Says what another form of the same value had to lose. */
  readonly note: (text: string) => void;
}

const PLACEHOLDER = /\$\{([^}]*)\}/g;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** `$NAME` as a whole value, as one client writes it. */
const BARE = /^\$([A-Z_][A-Z0-9_]*)$/;

/** Names of variables that the texts below `value` refer to. */
export function namesReferredTo(value: unknown): string[] {
  const text = JSON.stringify(value) ?? '';
  return Array.from(text.matchAll(/\$\{?(?:env:)?([A-Za-z_][A-Za-z0-9_]*)/g), ([, name = '']) => name);
}

/** Whether a text takes anything from outside. */
export function hasPlaceholder(text: string): boolean {
  return /\$\{[^}]*\}/.test(text) || BARE.test(text);
}

/** A text of a client with its placeholders as references of ours (aggregator.md 1), and literal `${` as `$${`. */
export function translate(text: string, context: PlaceholderContext): string {
  const bare = BARE.exec(text)?.[1];
  if (bare !== undefined) return context.variables.outside(bare, 'your environment');
  let result = '';
  let from = 0;
  for (const found of text.matchAll(PLACEHOLDER)) {
    const before = piece(text.slice(from, found.index), context);
    const value = one(found[0], found[1] ?? '', context);
    const isTorn = before.endsWith('$') && value.startsWith('${');
    // `$${` is a literal `${` in our file, so this one thing has no form there.
    if (isTorn) context.note('a $ right before a placeholder cannot be written, and is left out');
    result += (isTorn ? before.slice(0, -1) : before) + value;
    from = found.index + found[0].length;
  }
  return result + piece(text.slice(from), context);
}

/** What stands between placeholders; a secret does not stay there. */
function piece(text: string, { variables, name, server, file, env }: PlaceholderContext): string {
  if (text.includes('/') || !hasSecretLook(text)) return literal(text);
  return variables.holding(text, { wanted: `${name}_PART`, upstream: name, source: `${server.path} in ${shortPath(file.file, env.HOME)}` });
}

/** A text that is no reference, as it must stand in our file. */
export function literal(text: string): string {
  // As a function: in a text, `$$` would stand for one `$`.
  return text.replaceAll('${', () => '$${');
}

function one(whole: string, inside: string, context: PlaceholderContext): string {
  const { file, env, variables, note } = context;
  const [kind, rest] =
    inside.includes(':') && !inside.includes(':-') ? [inside.slice(0, inside.indexOf(':')), inside.slice(inside.indexOf(':') + 1)] : ['', ''];
  if (kind === 'env' && NAME.test(rest)) return variables.outside(rest, 'your environment');
  if (kind === 'input') {
    const description = file.inputs.get(rest)?.description;
    return variables.outside(variableName(rest), `${file.client} asks for it${description === undefined ? '' : `: ${description}`}`);
  }
  const fixed = fixedValue(inside, context);
  if (fixed !== undefined) return literal(fixed);
  const [name = '', otherwise] = inside.split(/:-(.*)/s, 2);
  if (NAME.test(name) && otherwise === undefined) return variables.outside(name, 'your environment');
  if (NAME.test(name) && otherwise !== undefined) {
    if (env[name] === undefined) {
      note(`${name} is not set here, so its default was written; a reference has no default`);
      return literal(otherwise);
    }
    note(`the default of ${name} is lost; a reference has none`);
    return variables.outside(name, 'your environment');
  }
  note(`'${whole}' is written as it is; nothing replaces it`);
  return literal(whole);
}

/** Placeholders whose value is known now. */
function fixedValue(name: string, { file, env }: PlaceholderContext): string | undefined {
  if (name === 'userHome') return env.HOME;
  if (name === 'pathSeparator' || name === '/') return '/';
  if (file.project === undefined) return undefined;
  if (name === 'workspaceFolder' || name === 'workspaceRoot' || name === 'cwd' || name === 'CLAUDE_PROJECT_DIR') return file.project;
  return name === 'workspaceFolderBasename' ? basename(file.project) : undefined;
}
