import type { Extractor } from './auth/authenticator.ts';
import { Credential } from './auth/credential.ts';
import { type DistinctHeaders, extractCredential } from './auth/extract.ts';
import { looksLikeGitLabs } from './auth/gitlab-token.ts';
import { extractCredential as extractFirst, extractOnlyCredential } from './builtin/gitlab/pool/credential.ts';
import type { Config } from './config/schema.ts';
import { TurnpikeError } from './core/errors.ts';

/** gitlab.md 2.5. */
const MISSING = 'Missing Authorization or Private-Token header';
const BESIDE = ['private-token', 'job-token'];
const ALL = [...BESIDE, 'authorization'];

/** Standalone the first that is there wins (gitlab.md 1.1). */
export const standaloneExtractor: Extractor = (headers) => {
  const found = extractFirst(carrierOf(headers, ALL));
  if (found === undefined) throw new TurnpikeError('auth/missing', MISSING);
  return new Credential(found.kind, found.token);
};

/** Whether somebody with a Bearer of ours may bring a token of GitLab besides (identity.md 1). */
export function mayBringGitLabs({ auth: { modes }, upstreams }: Config): boolean {
  return modes.includes('static') && upstreams.some((upstream) => upstream.type === 'gitlab' && upstream.auth.mode === 'passthrough');
}

/**
 * In the gateway two different credentials conflict, but for a token of GitLab that comes beside a Bearer of ours for an upstream
 * that it may be passed on to (gitlab.md 1.1; identity.md 1). Undefined where GitLab has no part in it.
 */
export function gatewayExtractor(config: Config): Extractor | undefined {
  const { modes } = config.auth;
  const [takesGitLabs, takesOurs, mayBring] = [modes.includes('gitlab'), modes.includes('static'), mayBringGitLabs(config)];
  if (!takesGitLabs && !mayBring) return undefined;
  return (headers, usual) => {
    const own = takesOurs ? bearerOf(headers) : undefined;
    if (own !== undefined && !(takesGitLabs && looksLikeGitLabs(own))) {
      if (!BESIDE.some((name) => headers[name]?.some((value) => value.trim() !== ''))) return own;
      if (!mayBring) throw new TurnpikeError('auth/conflict', 'Conflicting credentials');
      const brought = extractOnlyCredential(carrierOf(headers, BESIDE));
      return brought === undefined ? own : new Credential(own.scheme, own.token, new Credential(brought.kind, brought.token));
    }
    if (!takesGitLabs) return usual();
    const found = extractOnlyCredential(carrierOf(headers, ALL));
    if (found !== undefined) return new Credential(found.kind, found.token);
    if (modes.includes('none')) return undefined;
    throw new TurnpikeError('auth/missing', MISSING);
  };
}

function bearerOf({ authorization }: DistinctHeaders): Credential | undefined {
  if (authorization === undefined) return undefined;
  const extracted = extractCredential({ authorization });
  return extracted.ok ? extracted.value : undefined;
}

function carrierOf(headers: DistinctHeaders, names: readonly string[]): { readonly rawHeaders: string[] } {
  return { rawHeaders: names.flatMap((name) => (headers[name] ?? []).flatMap((value) => [name, value])) };
}
