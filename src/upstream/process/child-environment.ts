import { TurnpikeError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';

/** What a child gets of our own environment; everything else of ours stays ours (security.md class 21). */
export const INHERITED_VARIABLES = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'] as const;

/** Variables that make a process run code before its own: refused unless the operator allows them. */
export function isUnsafeVariable(name: string): boolean {
  return /^(LD_|DYLD_)/.test(name) || name === 'NODE_OPTIONS' || name === 'BASH_ENV';
}

/**
 * The complete environment of a child: the inherited names of `own`, and `configured` on top.
 * Secrets are revealed here, so call it where the process is started and keep the result nowhere.
 * @throws TurnpikeError `config/refused` for an unsafe name without `allowUnsafeEnv`, `config/invalid` for a name or
 *   value that no environment can hold
 */
export function childEnvironment(
  own: Readonly<Record<string, string | undefined>>,
  configured: Readonly<Record<string, string | Secret>>,
  { allowUnsafeEnv = false }: { readonly allowUnsafeEnv?: boolean } = {},
): Record<string, string> {
  const environment: Record<string, string> = Object.create(null);
  for (const name of INHERITED_VARIABLES) {
    const value = own[name];
    if (value !== undefined) environment[name] = value;
  }
  for (const [name, given] of Object.entries(configured)) {
    if (!allowUnsafeEnv && isUnsafeVariable(name)) {
      throw new TurnpikeError('config/refused', `env.${name} makes a process run foreign code; set allowUnsafeEnv: true if that is wanted`);
    }
    const value = given instanceof Secret ? given.reveal() : given;
    if (name === '' || name.includes('=') || name.includes('\0') || value.includes('\0')) {
      throw new TurnpikeError('config/invalid', `env.${JSON.stringify(name)} is not a name and value that an environment can hold`);
    }
    environment[name] = value;
  }
  return environment;
}
