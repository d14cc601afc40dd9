import { err, ok, type Result } from '../../core/result.ts';

/** A variable of the standalone server (gitlab.md 2.1), which is a flag, too. */
export interface Variable {
  readonly name: string;
  readonly kind: 'boolean' | 'text' | 'secret' | { readonly from: number; readonly to: number } | { readonly choices: readonly string[] };
  readonly about: string;
}

const bool = (name: string, about: string): Variable => ({ name, kind: 'boolean', about });
const text = (name: string, about: string): Variable => ({ name, kind: 'text', about });
const secret = (name: string, about: string): Variable => ({ name, kind: 'secret', about });
const choice = (name: string, choices: readonly string[], about: string): Variable => ({ name, kind: { choices }, about });
const whole = (name: string, from: number, to: number, about: string): Variable => ({ name, kind: { from, to }, about });

export const VARIABLES = [
  bool('STREAMABLE_HTTP', 'serve HTTP, not stdio'),
  text('HOST', 'address to listen on (default: 127.0.0.1)'),
  whole('PORT', 0, 65_535, 'port to listen on (default: 3002)'),
  bool('REMOTE_AUTHORIZATION', 'each request brings its own credential'),
  bool('ENABLE_DYNAMIC_API_URL', 'honour X-GitLab-API-URL'),
  text('GITLAB_API_URL', 'the instance; a comma list adds allowed ones (default: https://gitlab.com)'),
  text('GITLAB_ALLOWED_HOSTS', 'instances that callers may name: a comma list of [http://]host[:port][/prefix], *.suffix, or *'),
  text('GITLAB_ALLOW_PRIVATE_HOSTS', 'hosts of these that may be at private addresses'),
  whole('GITLAB_POOL_MAX_SIZE', 1, 10_000, 'instances in the pool (default: 100)'),
  whole('GITLAB_POOL_IDLE_TIMEOUT', 1_000, 86_400_000, 'milliseconds after which an idle instance closes (default: 300000)'),
  whole('GITLAB_POOL_CLEANUP_INTERVAL', 1_000, 86_400_000, 'milliseconds between two looks for such (default: 60000)'),
  whole('GITLAB_SERVER_POOL_MAX_SIZE', 1, 1_000_000, 'credentials in use (default: MAX_SESSIONS, at least 100)'),
  whole('MAX_SESSIONS', 1, 10_000, 'open sessions (default: 1000)'),
  whole('MAX_REQUESTS_PER_MINUTE', 1, 1_000, 'requests of one principal in a minute (default: 60)'),
  whole('SESSION_TIMEOUT_SECONDS', 1, 86_400, 'seconds after which an unused session ends (default: 3600)'),
  choice('NODE_TLS_REJECT_UNAUTHORIZED', ['0', '1'], '0: certificates of GitLab are not checked; towards nothing else (default: 1)'),
  text('GITLAB_CA_CERT_PATH', 'PEM file with roots that are trusted besides those of the system'),
  secret('GITLAB_PERSONAL_ACCESS_TOKEN', 'the credential for stdio, or for HTTP without REMOTE_AUTHORIZATION'),
  secret('GITLAB_JOB_TOKEN', 'the same, of a CI job'),
  secret('STREAMABLE_HTTP_AUTH_TOKEN', 'bearer that callers must show when HTTP uses a configured credential'),
  bool('GITLAB_READ_ONLY_MODE', 'only tools that read'),
  bool('GITLAB_MASKING_ENABLED', 'mask secrets in results (default: true)'),
  text('GITLAB_TOOLSETS', 'toolsets, separated by commas (default: default)'),
  text('GITLAB_TOOLS', 'single tools besides'),
  text('GITLAB_DENIED_TOOLS_REGEX', 'tools that are not offered'),
  text('GITLAB_PROJECT_ID', 'project of calls that name none'),
  text('GITLAB_ALLOWED_PROJECT_IDS', 'the only projects that may be reached'),
  choice('GITLAB_CONFIRM', ['ask', 'allow', 'deny'], 'destructive calls: ask the human, let them pass, or refuse them (default: ask)'),
  bool('GITLAB_ALLOW_REVEAL', 'let get_project_variable show values'),
  whole('GITLAB_MAX_RESULT_BYTES', 1_000, 10_000_000, 'bytes of one result (default: 100000)'),
  choice('LOG_LEVEL', ['debug', 'info', 'warn', 'error'], 'what is logged, from the least important on (default: info)'),
] as const satisfies readonly Variable[];

export type VariableName = (typeof VARIABLES)[number]['name'];

/** `GITLAB_POOL_MAX_SIZE` → `--gitlab-pool-max-size`. */
export function flagOf(name: string): string {
  return `--${name.toLowerCase().replaceAll('_', '-')}`;
}

const TRUE = ['true', '1', 'yes'];
const FALSE = ['false', '0', 'no'];

/** What was given, by variable; empty ones are absent. */
export class Given {
  readonly #texts: ReadonlyMap<string, string>;
  /** Of the variables that were given as flags. */
  readonly #flags: ReadonlySet<string>;

  private constructor(texts: ReadonlyMap<string, string>, flags: ReadonlySet<string>) {
    this.#texts = texts;
    this.#flags = flags;
  }

  /**
   * Flags win over variables. Fails with every value that cannot be read, naming its variable or flag.
   * @param flags by variable
   */
  static read(env: Readonly<Record<string, string | undefined>>, flags: Readonly<Record<string, string>>): Result<Given, readonly string[]> {
    const texts = new Map<string, string>();
    const problems: string[] = [];
    for (const { name, kind } of VARIABLES) {
      const value = (flags[name] ?? env[name] ?? '').trim();
      if (value === '') continue;
      const called = flags[name] === undefined ? name : flagOf(name);
      if (kind === 'boolean' && ![...TRUE, ...FALSE].includes(value.toLowerCase()))
        problems.push(`${called} must be one of ${[...TRUE, ...FALSE].join(', ')}`);
      if (typeof kind === 'object' && 'choices' in kind && !kind.choices.includes(value.toLowerCase()))
        problems.push(`${called} must be one of ${kind.choices.join(', ')}`);
      if (typeof kind === 'object' && 'from' in kind && !(/^\d{1,9}$/.test(value) && Number(value) >= kind.from && Number(value) <= kind.to))
        problems.push(`${called} must be a whole number from ${kind.from} to ${kind.to}`);
      texts.set(name, value);
    }
    return problems.length > 0 ? err(problems) : ok(new Given(texts, new Set(Object.keys(flags))));
  }

  has(name: VariableName): boolean {
    return this.#texts.has(name);
  }

  text(name: VariableName): string | undefined {
    return this.#texts.get(name);
  }

  flag(name: VariableName, otherwise = false): boolean {
    const value = this.#texts.get(name);
    return value === undefined ? otherwise : TRUE.includes(value.toLowerCase());
  }

  number(name: VariableName, otherwise: number): number {
    const value = this.#texts.get(name);
    return value === undefined ? otherwise : Number(value);
  }

  /** What stands between its commas, each once. */
  list(name: VariableName): string[] {
    const items = (this.#texts.get(name) ?? '').split(',').map((item) => item.trim());
    return [...new Set(items)].filter((item) => item !== '');
  }

  /** How whoever gave the value calls it: by the variable, or the flag. */
  nameOf(name: VariableName): string {
    return this.#flags.has(name) ? flagOf(name) : name;
  }
}
