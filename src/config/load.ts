import { dirname, isAbsolute, resolve } from 'node:path';
import { TurnpikeError } from '../core/errors.ts';
import { isWildcardHost } from './addresses.ts';
import { MAX_FILE_BYTES, readDocument, type SourceFile } from './document.ts';
import { Draft, type Origin, settingsIn } from './draft.ts';
import { CONFIG_TREE } from './keys.ts';
import { layEnvironment, layFlags } from './overrides.ts';
import { type Problem, problemsOf } from './problems.ts';
import { provenanceOf } from './provenance.ts';
import { type ReadFile, readProblem } from './references.ts';
import { resolveDraft } from './resolve.ts';
import { type Config, configSchema } from './schema.ts';
import { readFileBounded } from './sources.ts';
import { nodeAt, pathText } from './tree.ts';

/** What a configuration is made from. */
export interface LoadInput {
  /** The file; relative to `cwd`. Default: `TURNPIKE_CONFIG`, or `turnpike.yaml` in `cwd` where there is one. */
  readonly file?: string;
  /** Absolute. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By flag, as `flagOptions` names them: `{'--listen-port': '9000', '--yolo': true}`. */
  readonly flags?: Readonly<Record<string, string | boolean>>;
  /** Whether the front is a pipe: `store.type` is `memory` by default then. */
  readonly stdio?: boolean;
  /** Default: the file system. Rejects with an error that has a Node error code. */
  readonly readFile?: ReadFile;
}

export interface LoadedConfig {
  readonly config: Config;
  /** The file as it was named, when there was one. */
  readonly file?: string;
  /** Where each setting came from, by its path (`listen.port`, `upstreams[0].url`). */
  readonly provenance: ReadonlyMap<string, Origin>;
  /** Settings whose value came from a reference: never printed. */
  readonly referenced: ReadonlySet<string>;
  readonly warnings: readonly string[];
}

const DEFAULT_FILE = 'turnpike.yaml';
const NO_PLACES = { keyPlaces: new Map(), valuePlaces: new Map() };

/**
 * Loads the configuration: file < environment < flags (configuration.md).
 * @throws TurnpikeError `config/invalid`; its message lists every problem, one a line:
 *   `FILE:LINE:COLUMN path.to.key: what is wrong (expected …); did you mean "x"?`. No value of the file is quoted.
 */
export async function loadConfig(input: LoadInput): Promise<LoadedConfig> {
  const { cwd, env, flags = {}, stdio = false, readFile = (path) => readFileBounded(path, MAX_FILE_BYTES) } = input;
  const file = await openFile(input, readFile);
  const source = file?.source;
  const raw = source === undefined ? {} : (source.value as Record<string, unknown>);
  const draft = new Draft(file?.name, raw, source ?? NO_PLACES);
  const nameProblems = [...layEnvironment(draft, env), ...layFlags(draft, flags)];

  const problems = await resolveDraft(draft, { cwd, env, readFile, folder: file === undefined ? cwd : dirname(resolve(cwd, file.name)) });
  if (stdio) layDefault(raw, 'store', 'type', 'memory');
  const broken = new Set(problems.map(({ path }) => JSON.stringify(path)));
  const parsed = configSchema.safeParse(raw);
  if (!parsed.success) problems.push(...problemsOf(parsed.error.issues, CONFIG_TREE, raw).filter(({ path }) => !broken.has(JSON.stringify(path))));
  if (!parsed.success || problems.length + nameProblems.length > 0) throw invalid([...inOrder(draft, problems), ...nameProblems]);

  return {
    config: parsed.data,
    ...(file === undefined ? {} : { file: file.name }),
    provenance: provenanceOf(parsed.data, draft),
    referenced: draft.referenced,
    warnings: [...literalSecrets(draft), ...unreachable(parsed.data, draft)],
  };
}

interface OpenedFile {
  readonly name: string;
  readonly source: SourceFile;
}

async function openFile({ file, cwd, env }: LoadInput, readFile: ReadFile): Promise<OpenedFile | undefined> {
  const named = file ?? (env.TURNPIKE_CONFIG === '' ? undefined : env.TURNPIKE_CONFIG);
  const name = named ?? DEFAULT_FILE;
  let bytes: Uint8Array;
  try {
    bytes = await readFile(isAbsolute(name) ? name : resolve(cwd, name));
  } catch (error) {
    const problem = readProblem(error);
    if (named === undefined && problem === 'does not exist') return undefined;
    throw invalid([`${name}: the configuration file ${problem === 'is too large' ? `is larger than ${MAX_FILE_BYTES / 1024 ** 2} MiB` : problem}`]);
  }
  const read = readDocument(name, bytes);
  if (read.ok) return { name, source: read.value };
  const draft = new Draft(name, {}, NO_PLACES);
  throw invalid(
    read.error.map(({ place, path = [], message }) =>
      place === undefined
        ? draft.line({ path, message })
        : `${name}:${place.line}:${place.column} ${new Draft(undefined, {}, NO_PLACES).line({ path, message })}`,
    ),
  );
}

/** A default that depends on how the gateway is run; it stays a default in the provenance. */
function layDefault(raw: Record<string, unknown>, section: string, key: string, value: string): void {
  if (!Object.hasOwn(raw, section)) raw[section] = {};
  const object = raw[section];
  if (typeof object === 'object' && object !== null && !Array.isArray(object) && !Object.hasOwn(object, key)) Reflect.set(object, key, value);
}

/** Secrets that stand in the file in so many words although they have a twin for a file of their own. */
function literalSecrets(draft: Draft): string[] {
  const settings = settingsIn(CONFIG_TREE, draft.raw);
  return settings.flatMap(({ path, node }): string[] => {
    const origin = draft.origin(path);
    const twin = nodeAt(CONFIG_TREE, [...path.slice(0, -1), `${path.at(-1)}File`], draft.raw);
    const isSecret = node.declaration.kind === 'secret' && twin?.type === 'leaf' && twin.declaration.twinOf === path.at(-1);
    if (!isSecret || origin.source !== 'file' || draft.isAlias(path) || draft.referenced.has(pathText(path))) return [];
    return [`${draft.line({ path, message: `is a secret in the file itself; a reference such as \${env:NAME} or \${file:/path} keeps it out` })}`];
  });
}

/** Listening everywhere without a name of one's own answers 403 to everybody who comes from elsewhere. */
function unreachable({ listen }: Config, draft: Draft): string[] {
  const isNamed = ['publicUrl', 'allowedHosts'].some((key) => draft.origin(['listen', key]).source !== 'default');
  if (isNamed || !isWildcardHost(listen.host)) return [];
  return [draft.line({ path: ['listen', 'host'], message: 'is every address, but only loopback names are allowed hosts; set listen.publicUrl' })];
}

function inOrder(draft: Draft, problems: readonly Problem[]): string[] {
  const ranked = problems.map((problem) => ({ problem, rank: draft.rank(problem) }));
  ranked.sort((a, b) => a.rank[0] - b.rank[0] || a.rank[1] - b.rank[1]);
  return [...new Set(ranked.map(({ problem }) => draft.line(problem)))];
}

function invalid(lines: readonly string[]): TurnpikeError {
  return new TurnpikeError('config/invalid', lines.join('\n'));
}
