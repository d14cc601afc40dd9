import type { Config } from './schema.ts';

/** A launch line that fetches a package whose version nobody fixed. */
export interface UnpinnedLaunch {
  readonly upstream: string;
  /** What fetches, and the package: `npx x`. The other arguments may hold secrets. */
  readonly line: string;
  readonly package: string;
}

/** How a program that runs packages reads its arguments. */
interface Fetcher {
  /** Words after the program that make it fetch: `dlx`, `tool run`. */
  readonly verb: readonly string[];
  /** Options with a value of their own. */
  readonly valued: RegExp;
  /** Options whose value is a package. */
  readonly packages: RegExp;
  /** Options that forbid fetching. */
  readonly offline?: RegExp;
  readonly pinned: (spec: string) => boolean;
}

const NODE: Omit<Fetcher, 'verb'> = {
  valued: /^(-c|--call|-w|--workspace|--registry|--userconfig|--cache|--prefix|--node-options|--shell|--loglevel|-C|--dir|--reporter)$/,
  packages: /^(-p|--package)$/,
  offline: /^(--no|--no-install|--offline)$/,
  pinned: isPinnedNode,
};
const PYTHON: Omit<Fetcher, 'verb'> = {
  valued:
    /^(-p|--python|--index|--index-url|-i|--default-index|--extra-index-url|-f|--find-links|--env-file|--directory|--project|--cache-dir|--config-file|-c|--constraints|--with-requirements|--pip-args|--refresh-package|--exclude-newer)$/,
  packages: /^(--from|--spec|--with)$/,
  offline: /^--offline$/,
  pinned: isPinnedPython,
};
const CONTAINER_SWITCH =
  /^(-[itdP]+|--(rm|init|interactive|tty|detach|privileged|read-only|quiet|publish-all|no-healthcheck|oom-kill-disable|sig-proxy)(=.*)?)$/;

const FETCHERS: Readonly<Record<string, readonly Fetcher[]>> = {
  npx: [{ verb: [], ...NODE }],
  pnpx: [{ verb: [], ...NODE }],
  bunx: [{ verb: [], ...NODE }],
  npm: [
    { verb: ['exec'], ...NODE },
    { verb: ['x'], ...NODE },
  ],
  pnpm: [{ verb: ['dlx'], ...NODE }],
  yarn: [{ verb: ['dlx'], ...NODE }],
  bun: [{ verb: ['x'], ...NODE }],
  uvx: [{ verb: [], ...PYTHON }],
  uv: [{ verb: ['tool', 'run'], ...PYTHON }],
  pipx: [{ verb: ['run'], ...PYTHON }],
};
const CONTAINERS = new Set(['docker', 'podman', 'nerdctl']);
const SHELLS = /^(ba|da|z|k|a)?sh$/;

/** Launch lines that fetch unpinned packages (security class 30): the code they run may be another one tomorrow. */
export function unpinnedLaunches(config: Pick<Config, 'upstreams'>): UnpinnedLaunch[] {
  return config.upstreams.flatMap((upstream) => {
    if (upstream.type !== 'stdio') return [];
    return packagesOf([upstream.command, ...upstream.args]).map(({ by, spec }) => ({
      upstream: upstream.name,
      line: `${by} ${spec}`,
      package: spec,
    }));
  });
}

interface Fetched {
  readonly by: string;
  readonly spec: string;
}

function packagesOf(argv: readonly string[]): Fetched[] {
  const [program = '', ...args] = argv;
  const name = nameOf(program);
  if (name === 'env') return packagesOf(args.slice(args.findIndex((arg) => !arg.startsWith('-') && !arg.includes('='))));
  if (name === 'cmd' && /^\/c$/i.test(args[0] ?? '')) return packagesOf(args.slice(1));
  if (SHELLS.test(name)) return shellPackages(args);
  if (CONTAINERS.has(name)) return containerPackages(name, args);
  for (const fetcher of FETCHERS[name] ?? []) {
    const rest = afterVerb(args, fetcher.verb);
    if (rest !== undefined) return fetchedBy([name, ...fetcher.verb].join(' '), rest, fetcher);
  }
  return [];
}

/** The words of a shell line are enough: a line that hides its package better is not found, and no shell is needed for one. */
function shellPackages(args: readonly string[]): Fetched[] {
  const at = args.findIndex((arg) => /^-[a-z]*c$/.test(arg));
  if (at === -1) return [];
  const commands = (args[at + 1] ?? '').split(/&&|\|\||[;|\n]/);
  return commands.flatMap((command) => {
    const words = command.split(/\s+/).flatMap((word) => (word === '' || word === 'exec' ? [] : [word.replaceAll(/["']/g, '')]));
    return packagesOf(words);
  });
}

function fetchedBy(by: string, args: readonly string[], { valued, packages, offline, pinned }: Fetcher): Fetched[] {
  const specs: string[] = [];
  let command: string | undefined;
  for (let at = 0; at < args.length && command === undefined; at++) {
    const arg = args[at] ?? '';
    const [option = '', value] = arg.split(/=(.*)/s, 2);
    if (offline?.test(option) === true) return [];
    if (arg === '--') command = args[at + 1];
    else if (!arg.startsWith('-')) command = arg;
    else if (packages.test(option)) specs.push(...(value ?? args[++at] ?? '').split(','));
    else if (valued.test(option) && value === undefined) at++;
  }
  // With a package named, the command is a program of it; `--with` only adds, so the command is one more.
  const named = specs.length > 0 && !args.every((arg) => !/^(-p|--package|--from|--spec)(=|$)/.test(arg));
  const wanted = named || command === undefined ? specs : [...specs, command];
  return wanted.filter((spec) => spec !== '' && !pinned(spec)).map((spec) => ({ by, spec }));
}

function containerPackages(name: string, args: readonly string[]): Fetched[] {
  const at = args[0] === 'container' ? 1 : 0;
  if (args[at] !== 'run' && args[at] !== 'create') return [];
  const rest = args.slice(at + 1);
  for (let index = 0; index < rest.length; index++) {
    const arg = rest[index] ?? '';
    if (!arg.startsWith('-')) return isPinnedImage(arg) ? [] : [{ by: `${name} ${args[at]}`, spec: arg }];
    if (!CONTAINER_SWITCH.test(arg) && !arg.includes('=')) index++;
  }
  return [];
}

function afterVerb(args: readonly string[], verb: readonly string[]): readonly string[] | undefined {
  const start = args.findIndex((arg) => !arg.startsWith('-'));
  if (verb.length === 0) return args;
  return start !== -1 && verb.every((word, index) => args[start + index] === word) ? args.slice(start + verb.length) : undefined;
}

function nameOf(program: string): string {
  const base = program.split(/[/\\]/).at(-1) ?? '';
  return base.replace(/\.(exe|cmd|ps1)$/i, '');
}

/** `x@1.2.3`, a path, or a commit; a range, a tag or no version is not. */
function isPinnedNode(spec: string): boolean {
  if (/^(\.{0,2}\/|~\/|file:)/.test(spec)) return true;
  if (/^(git|https?|ssh|github:|gitlab:|bitbucket:)/.test(spec) || /^[^@/]+\/[^@/]+(#|$)/.test(spec)) return /#[0-9a-f]{40}$/.test(spec);
  return /^(@[^@/]+\/)?[^@/]+@v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$/.test(spec);
}

/** `x==1.2.3`, `x@1.2.3`, a path, or a commit. */
function isPinnedPython(spec: string): boolean {
  if (/^(\.{0,2}\/|~\/|file:)/.test(spec)) return true;
  if (/^(git\+|https?:|[A-Za-z0-9._[\],-]+ ?@ ?(git\+|https?:))/.test(spec)) return /@[0-9a-f]{40}(#.*)?$/.test(spec);
  return /^[A-Za-z0-9._-]+(\[[^\]]*\])?(===?|@)v?\d+(\.\d+)*([a-z]+\d*)?([.+-][0-9A-Za-z.]+)?$/.test(spec);
}

/** An image with a digest, or with a tag other than `latest`. */
function isPinnedImage(image: string): boolean {
  if (/@sha256:[0-9a-f]{64}$/.test(image)) return true;
  const tag = /:([^:/@]+)$/.exec(image)?.[1];
  return tag !== undefined && tag !== 'latest';
}
