import * as z from 'zod';
import { SCOPES } from '../../core/caller.ts';
import { choices, date, duration, hasControlCharacters, integer, secret, secretFile, text } from '../leaves.ts';
import { ALWAYS, listOf, objectOf, uniqueNames } from '../rules.ts';

export const AUTH_MODES = ['none', 'static', 'gitlab'] as const;
const LATER_MODES = ['oauth', 'jwt'];

/** Longest Bearer that is read from a request. */
const MAX_TOKEN = 16_384;

const staticToken = z
  .strictObject({
    name: text('a name', nameProblem).meta({ description: 'Who presents it: the subject of the principal. Unique.' }),
    token: secret('a Bearer token: letters, digits and -._~+/ (RFC 6750)', tokenProblem).exactOptional().meta({ description: 'The token.' }),
    tokenFile: secretFile('token').exactOptional(),
    sha256: text('64 hexadecimal digits', digestProblem).exactOptional().meta({ description: 'SHA-256 of the token, in place of the token itself.' }),
    tenant: text('a name', nameProblem).prefault('default').meta({ description: 'Isolation key of whoever presents it.' }),
    scopes: choices(SCOPES, { min: 1, separator: /[\s,]+/ })
      .prefault(['turnpike:read', 'turnpike:write'])
      .meta({ description: 'What it allows; a list, or one text with spaces.' }),
    expires: date().exactOptional().meta({ description: 'When it stops working; a bare day ends it as the day begins, in UTC.' }),
  })
  .superRefine((entry, context) => {
    const given = ['token', 'tokenFile', 'sha256'].filter((key) => Object.hasOwn(objectOf(entry), key));
    if (given.length !== 1)
      context.addIssue({ code: 'custom', message: `has ${given.join(' and ') || 'no token'} (expected exactly one of token, tokenFile and sha256)` });
  }, ALWAYS);

/** `auth`: who may come in (identity.md 1 and 6). */
export const authSection = z
  .strictObject({
    modes: choices(AUTH_MODES, { later: LATER_MODES, min: 1 })
      .prefault(['none'])
      .meta({ description: 'How callers are identified, in this order. `none` takes everybody and is for loopback only.' }),
    failures: z
      .strictObject({
        max: integer(1, 1_000_000).prefault(10).meta({ description: 'Failed authentications per address in the window.' }),
        window: duration({ min: 1000 }).prefault('60s').meta({ description: 'The sliding window.' }),
      })
      .prefault({}),
    static: z.array(staticToken).superRefine(uniqueNames, ALWAYS).prefault([]).meta({ description: 'The tokens of mode `static`.' }),
  })
  .superRefine((auth, context) => {
    const modes = listOf(auth.modes);
    const tokens = listOf(auth.static).length;
    if (modes.includes('static') && tokens === 0) {
      context.addIssue({
        code: 'custom',
        path: ['static'],
        message: 'is empty, so that nobody could come in by mode static (expected at least one token)',
      });
    }
    if (tokens > 0 && !modes.includes('static')) {
      context.addIssue({ code: 'custom', path: ['static'], message: 'holds tokens that nobody checks (expected static in auth.modes)' });
    }
  }, ALWAYS)
  .prefault({})
  .meta({ description: 'Who may come in.' });

function tokenProblem(token: string): string | undefined {
  if (token.length > MAX_TOKEN) return `is longer than ${MAX_TOKEN} characters`;
  return /^[A-Za-z0-9\-._~+/]+=*$/.test(token) ? undefined : 'cannot be sent as a Bearer token';
}

function digestProblem(digest: string): string | undefined {
  return /^[0-9a-fA-F]{64}$/.test(digest) ? undefined : 'is no SHA-256';
}

function nameProblem(name: string): string | undefined {
  if (name.length > 200) return 'is longer than 200 characters';
  return hasControlCharacters(name) ? 'has control characters' : undefined;
}
