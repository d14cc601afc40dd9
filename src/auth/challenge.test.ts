import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { toWire } from '../core/to-wire.ts';
import { challengeFor, scopeError } from './challenge.ts';

const plain = { publicUrl: 'https://mcp.example.com', metadata: false };
const oauth = { publicUrl: 'https://mcp.example.com/', metadata: true };

describe('challenges', () => {
  it('of a request without a credential name no error', () => {
    const error = new TurnpikeError('auth/missing');
    expect(challengeFor(error, plain)).toBe('Bearer scope="turnpike:read"');
    expect(challengeFor(error, oauth)).toBe(
      'Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="turnpike:read"',
    );
  });

  it('of a bad credential say so', () => {
    const error = new TurnpikeError('auth/invalid');
    expect(challengeFor(error, plain)).toBe('Bearer scope="turnpike:read", error="invalid_token"');
    expect(challengeFor(error, oauth)).toBe(
      'Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="turnpike:read", error="invalid_token"',
    );
  });

  it('of a missing scope name every scope the call needs', () => {
    const error = scopeError(['turnpike:read', 'turnpike:write']);
    expect(challengeFor(error, plain)).toBe('Bearer scope="turnpike:read turnpike:write", error="insufficient_scope"');
    expect(toWire(error)).toMatchObject({ status: 403, error: { data: { requiredScopes: ['turnpike:read', 'turnpike:write'] } } });
  });

  it.each(['auth/conflict', 'auth/unavailable', 'limit/ip', 'internal'] as const)('are not for %s', (code) => {
    expect(challengeFor(new TurnpikeError(code), oauth)).toBeUndefined();
  });

  it('keep the path of the public URL and cannot be broken by it', () => {
    const error = new TurnpikeError('auth/missing');
    expect(challengeFor(error, { publicUrl: 'https://h/base/', metadata: true })).toContain(
      '"https://h/base/.well-known/oauth-protected-resource/mcp"',
    );
    const value = challengeFor(error, { publicUrl: 'https://h/a"b\r\nX: y', metadata: true });
    expect(value).not.toMatch(/[\r\n]/);
    expect(value?.match(/"/g)).toHaveLength(4);
  });
});
