import { ANONYMOUS, type Identity, STDIO } from '../../auth/identity.ts';
import type { Config } from '../../config/schema.ts';
import { type Caller, STATIC_ISSUER } from '../../core/caller.ts';

/** Somebody who may call, by a name that a person can type. */
export interface NamedCaller {
  readonly name: string;
  readonly caller: Caller;
}

/** Everybody whom the configuration knows by name; whoever comes without a credential in mode `none` is `anonymous`. */
export function namedCallers({ auth }: Config, stdio: boolean): NamedCaller[] {
  if (stdio) return [named(STDIO)];
  return auth.modes.flatMap((mode) =>
    mode === 'none'
      ? [named(ANONYMOUS)]
      : auth.static.map(({ name, tenant, scopes }) => ({
          name,
          caller: { principal: { issuer: STATIC_ISSUER, subject: name }, tenant, scopes: new Set(scopes) },
        })),
  );
}

function named({ principal, tenant, scopes }: Identity): NamedCaller {
  return { name: principal.subject, caller: { principal, tenant, scopes } };
}
