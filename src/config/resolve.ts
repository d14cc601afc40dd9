import { isAbsolute, join, resolve } from 'node:path';
import { type Draft, type Found, put, settingsIn } from './draft.ts';
import { CONFIG_TREE } from './keys.ts';
import type { Kind } from './leaf.ts';
import { isTree, type Problem } from './problems.ts';
import { expandReferences, type ReadFile, readProblem, readSecretFile } from './references.ts';
import { nodeAt, type Path, pathText } from './tree.ts';

export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: ReadFile;
  /** Folder of the configuration file: its relative paths count from there. */
  readonly folder: string;
}

/**
 * Everything that needs the outside, in order: references, numbers out of text, paths, files of secrets, files that
 * must exist. Changes the draft; returns every problem.
 */
export async function resolveDraft(draft: Draft, around: Surroundings): Promise<Problem[]> {
  const problems: Problem[] = [];
  await expandAll(draft, around, problems);
  // What a reference could not be resolved in is told once, and looked at no more.
  const failed = new Set(problems.map(({ path }) => pathText(path)));
  const settings = () => settingsIn(CONFIG_TREE, draft.raw).filter(({ path }) => !failed.has(pathText(path)));
  readTexts(draft, settings(), problems);
  layStateDirectory(draft, around, problems);
  makeAbsolute(draft, settings(), around, problems);
  await readTwins(draft, settings(), around, problems);
  for (const { path, node, value } of settings()) {
    const { mustExist, referenceOnly } = node.declaration;
    if (mustExist === true && typeof value === 'string' && value !== '') await checkReadable(path, value, around, problems);
    if (referenceOnly === true && typeof value === 'string' && !draft.referenced.has(pathText(path)) && !draft.isAlias(path)) {
      problems.push({ path, message: `is written down (expected a reference such as \${env:NAME} or \${file:/path})` });
    }
  }
  return problems;
}

async function expandAll(draft: Draft, { env, readFile }: Surroundings, problems: Problem[]): Promise<void> {
  const visit = async (value: unknown, path: Path): Promise<void> => {
    if (!isTree(value)) return;
    for (const [name, child] of Object.entries(value)) {
      const key = Array.isArray(value) ? Number(name) : name;
      const here = [...path, key];
      if (typeof child !== 'string') await visit(child, here);
      else if (child.includes('${')) {
        const expanded = await expandReferences(child, env, readFile);
        if (!expanded.ok) problems.push({ path: here, message: expanded.error });
        else {
          put(value, key, expanded.value.text);
          if (!expanded.value.referenced) continue;
          draft.referenced.add(pathText(here));
          draft.texts.add(pathText(here));
        }
      }
    }
  };
  await visit(draft.raw, []);
}

/** Variables, flags and references are text: numbers and switches are read from it here. */
function readTexts(draft: Draft, settings: readonly Found[], problems: Problem[]): void {
  for (const { path, node, holder, key, value } of settings) {
    if (typeof value !== 'string' || !draft.texts.has(pathText(path))) continue;
    const read = readAs(node.declaration.kind, value);
    if (read === undefined) problems.push({ path, message: `is a text (expected ${node.declaration.expected})` });
    else put(holder, key, read);
  }
}

function readAs(kind: Kind | undefined, value: string): string | number | boolean | undefined {
  if (kind === 'boolean') return value === 'true' ? true : value === 'false' ? false : undefined;
  if (kind === 'integer') return /^-?\d{1,15}$/.test(value) ? Number(value) : undefined;
  if (kind === 'number') return /^-?\d{1,15}(\.\d{1,15})?$/.test(value) ? Number(value) : undefined;
  return value;
}

/** `$XDG_STATE_HOME/turnpike`, or `~/.local/state/turnpike` (XDG Base Directory Specification). */
function layStateDirectory(draft: Draft, { env }: Surroundings, problems: Problem[]): void {
  if (!Object.hasOwn(draft.raw, 'store')) draft.raw.store = {};
  const { store } = draft.raw;
  if (!isTree(store) || Array.isArray(store) || Object.hasOwn(store, 'dir')) return;
  // The specification has relative ones ignored.
  const state = env.XDG_STATE_HOME;
  if (state !== undefined && isAbsolute(state)) store.dir = join(state, 'turnpike');
  else if (env.HOME !== undefined && isAbsolute(env.HOME)) store.dir = join(env.HOME, '.local/state/turnpike');
  else problems.push({ path: ['store', 'dir'], message: 'has no default, as neither HOME nor XDG_STATE_HOME is set (expected a path)' });
}

function makeAbsolute(draft: Draft, settings: readonly Found[], { cwd, env, folder }: Surroundings, problems: Problem[]): void {
  for (const { path, node, holder, key, value } of settings) {
    if (node.declaration.kind !== 'path' || typeof value !== 'string' || value === '') continue;
    const base = draft.origin(path).source === 'file' ? folder : cwd;
    if (value !== '~' && !value.startsWith('~/')) put(holder, key, resolve(base, value));
    else if (env.HOME !== undefined && isAbsolute(env.HOME)) put(holder, key, join(env.HOME, value.slice(1)));
    else problems.push({ path, message: 'begins with ~, and HOME is not set (expected an absolute path)' });
  }
}

async function readTwins(draft: Draft, settings: readonly Found[], { readFile }: Surroundings, problems: Problem[]): Promise<void> {
  for (const { path, node, holder, value } of settings) {
    const { twinOf } = node.declaration;
    if (twinOf === undefined || typeof value !== 'string' || value === '' || Array.isArray(holder) || Object.hasOwn(holder, twinOf)) continue;
    const content = await readSecretFile(value, readFile);
    if (!content.ok) {
      problems.push({ path, message: `names a file that ${content.error}` });
      continue;
    }
    const secretPath = [...path.slice(0, -1), twinOf];
    delete holder[String(path.at(-1))];
    put(holder, twinOf, content.value);
    draft.alias(secretPath, path);
    if (nodeAt(CONFIG_TREE, secretPath, draft.raw) === undefined) throw new TypeError(`${pathText(path)} is the twin of nothing`);
  }
}

async function checkReadable(path: Path, file: string, { readFile }: Surroundings, problems: Problem[]): Promise<void> {
  try {
    await readFile(file);
  } catch (error) {
    problems.push({ path, message: `names a file that ${readProblem(error)}` });
  }
}
