import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../../../core/errors.ts';
import { toWire } from '../../../core/to-wire.ts';
import {
  CredentialRejectedError,
  InvalidUrlError,
  isAuthenticationFailure,
  MalformedCredentialError,
  PoolCapacityError,
  UpstreamUnavailableError,
} from './errors.ts';

describe('errors as they leave (gitlab.md 2.5)', () => {
  it.each<[TurnpikeError, number, string, string | undefined, string | undefined, boolean]>([
    [new MalformedCredentialError(), 401, 'Malformed GitLab token', 'A token has at least 20 characters of A-Z a-z 0-9 - _ .', undefined, true],
    [new CredentialRejectedError(), 401, 'Invalid GitLab token', 'GitLab rejected the token.', undefined, true],
    [new CredentialRejectedError(['api']), 403, 'Insufficient GitLab token scope', 'One of api, read_api, read_user is needed.', undefined, true],
    [
      new InvalidUrlError({ kind: 'invalid', detail: 'has a query or a fragment' }),
      400,
      'Invalid custom API URL provided',
      'has a query or a fragment',
      undefined,
      false,
    ],
    [new InvalidUrlError({ kind: 'forbidden', reason: 'user info' }), 403, 'GitLab API URL is not allowed', undefined, undefined, true],
    [
      new PoolCapacityError('max 100 instances'),
      503,
      'Server capacity reached',
      'Connection pool is full (max 100 instances). Please try again later.',
      '5',
      false,
    ],
    [new UpstreamUnavailableError(), 503, 'GitLab is unreachable', 'The credential could not be checked.', '5', false],
    [new UpstreamUnavailableError(6.2, 'server_error 502'), 503, 'GitLab is unreachable', 'The credential could not be checked.', '7', false],
  ])('%s', (error, status, message, detail, retryAfter, counts) => {
    const wire = toWire(error);
    expect([wire.status, wire.error.message, wire.headers['retry-after']]).toEqual([status, message, retryAfter]);
    expect((wire.error.data as { detail?: string } | undefined)?.detail).toBe(detail);
    expect(JSON.stringify(wire)).not.toMatch(/502|user info/);
    expect(isAuthenticationFailure(error)).toBe(counts);
  });

  it('a missing credential is no failure', () => {
    expect(isAuthenticationFailure(new TurnpikeError('auth/missing'))).toBe(false);
  });
});
