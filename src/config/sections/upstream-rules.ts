import type { z } from 'zod';
import { listOf, objectOf, uniqueNames } from '../rules.ts';

type Context = Pick<z.RefinementCtx, 'addIssue'>;

/** Names that mean something of ours (aggregator.md 1). */
export const RESERVED_NAMES: readonly string[] = ['core', 'workflow', 'account', 'meta', 'events'];

/** RFC 9110, section 7.6.1, and what connections and we ourselves say. */
const HOP_BY_HOP = /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;
const OURS = /^(host|content-length|content-type|accept|last-event-id|mcp-.*)$/i;
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

/** Variables that make a process run code before its own (security class 21). */
const UNSAFE_VARIABLE = /^(LD_.*|DYLD_.*|NODE_OPTIONS|BASH_ENV)$/;

/** What is wrong with a header that carries a credential, if anything. */
export function headerNameProblem(name: string): string | undefined {
  if (!TOKEN.test(name) || name.length > 200) return 'is no header name';
  if (HOP_BY_HOP.test(name)) return 'is a hop-by-hop header';
  return OURS.test(name) ? 'is a header that Turnpike sets itself' : undefined;
}

/** RFC 9110, section 5.5: visible characters, blanks and tabs, none of them at an end. */
export function headerValueProblem(value: string): string | undefined {
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return 'holds characters that no header may hold';
  return value === value.trim() ? undefined : 'begins or ends with a blank';
}

/** Rules for every type. */
export function sharedRules(upstream: unknown, context: Context): void {
  const given = objectOf(upstream);
  const { naming, timeouts, retry } = given;
  for (const key of naming === 'passthrough' ? ['toolPrefix', 'family'] : []) {
    if (given[key] === undefined) continue;
    context.addIssue({ code: 'custom', path: [key], message: 'has no use with naming passthrough (expected one or the other)' });
  }
  const { call, callMax } = objectOf(timeouts);
  if (typeof call === 'number' && typeof callMax === 'number' && callMax < call) {
    context.addIssue({ code: 'custom', path: ['timeouts', 'callMax'], message: 'is shorter than timeouts.call (expected at least that)' });
  }
  const { initial, max } = objectOf(retry);
  if (typeof initial === 'number' && typeof max === 'number' && max < initial) {
    context.addIssue({ code: 'custom', path: ['retry', 'max'], message: 'is shorter than retry.initial (expected at least that)' });
  }
}

export function stdioRules(upstream: unknown, context: Context): void {
  const { env, allowUnsafeEnv } = objectOf(upstream);
  for (const name of Object.keys(objectOf(env))) {
    if (name === '' || /[=\0]/.test(name)) {
      context.addIssue({ code: 'custom', path: ['env', name], message: 'is no name of a variable (expected one without = and NUL)' });
    } else if (UNSAFE_VARIABLE.test(name) && allowUnsafeEnv !== true) {
      context.addIssue({
        code: 'custom',
        path: ['env', name],
        message: 'makes a process run foreign code (expected allowUnsafeEnv: true if that is wanted)',
      });
    }
  }
}

export function remoteRules(upstream: unknown, context: Context): void {
  const given = objectOf(upstream);
  const addresses = ['url', 'endpoints'].filter((key) => Object.hasOwn(given, key));
  if (addresses.length !== 1) {
    context.addIssue({
      code: 'custom',
      message: `has ${addresses.length === 0 ? 'neither url nor endpoints' : 'url and endpoints'} (expected exactly one of url and endpoints)`,
    });
  }
  headerRules(objectOf(given.headers), context);
  tlsRules(objectOf(given.tls), context);
  authRules(objectOf(given.auth), context);
}

/** Rules between upstreams. */
export function upstreamsRules(upstreams: unknown, context: Context): void {
  uniqueNames(upstreams, context);
  const passthrough = [...listOf(upstreams).entries()].filter(([, upstream]) => objectOf(upstream).naming === 'passthrough');
  for (const [index] of passthrough.slice(1)) {
    context.addIssue({
      code: 'custom',
      path: [index, 'naming'],
      message: 'is passthrough, as that of another upstream is already (expected one at most)',
    });
  }
}

function headerRules(headers: Readonly<Record<string, unknown>>, context: Context): void {
  const seen = new Set<string>();
  for (const name of Object.keys(headers)) {
    const lower = name.toLowerCase();
    const problem = headerNameProblem(name);
    const say = (message: string) => context.addIssue({ code: 'custom', path: ['headers', name], message });
    if (lower === 'authorization') say('is not allowed here (expected the credential in auth, mode header)');
    else if (problem !== undefined) say(`${problem} (expected another header)`);
    else if (seen.has(lower)) say('is here twice but for case (expected it once)');
    seen.add(lower);
  }
}

function tlsRules(tls: Readonly<Record<string, unknown>>, context: Context): void {
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    context.addIssue({ code: 'custom', path: ['tls'], message: 'has one of certFile and keyFile (expected both or none)' });
  }
}

/** Rules for `type: gitlab`. */
export function gitlabRules(upstream: unknown, context: Context): void {
  authRules(objectOf(objectOf(upstream).auth), context, 'passthrough');
}

function authRules(auth: Readonly<Record<string, unknown>>, context: Context, other = 'none'): void {
  const { mode, header } = auth;
  if (mode === other && header !== undefined) {
    context.addIssue({ code: 'custom', path: ['auth', 'header'], message: 'is the block of another mode (expected mode: header, or no block)' });
  }
  if (mode === 'header' && header === undefined) {
    context.addIssue({ code: 'custom', path: ['auth', 'header'], message: 'is missing (expected name and value of the header)' });
  }
  const { value, valueFile } = objectOf(header);
  if (header !== undefined && (value === undefined) === (valueFile === undefined)) {
    context.addIssue({
      code: 'custom',
      path: ['auth', 'header'],
      message: `has ${value === undefined ? 'no value' : 'value and valueFile'} (expected exactly one of value and valueFile)`,
    });
  }
}
