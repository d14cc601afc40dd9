import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/manual-clock.ts';
import { Secret } from '../core/secret.ts';
import { Authentication, type Authenticator, UNCLAIMED, type Verdict } from './authenticator.ts';
import { Credential } from './credential.ts';
import { ANONYMOUS, STDIO } from './identity.ts';
import { NoAuthenticator } from './none.ts';
import { StaticTokens } from './static-token.ts';

const signal = new AbortController().signal;
const loopback = { peer: '127.0.0.1', address: '127.0.0.1' };
const remote = { peer: '192.0.2.1', address: '192.0.2.1' };

function bearer(token: string): Credential {
  return new Credential('bearer', new Secret(token));
}

function mode(answer: () => Verdict | Promise<Verdict>, asked: string[] = [], name = 'x'): Authenticator {
  return {
    mode: 'static',
    authenticate() {
      asked.push(name);
      return answer();
    },
  };
}

const accepted = (subject: string): Verdict => ({ kind: 'accepted', identity: { ...ANONYMOUS, principal: { issuer: 'static', subject } } });
const refused: Verdict = { kind: 'refused', reason: 'revoked' };

describe('ordered authenticators', () => {
  it('ask one after the other until one claims', async () => {
    const asked: string[] = [];
    const authentication = new Authentication([
      mode(() => UNCLAIMED, asked, 'first'),
      mode(() => accepted('b'), asked, 'second'),
      mode(() => accepted('c'), asked, 'third'),
    ]);
    expect((await authentication.authenticate(bearer('t'), remote, signal)).principal.subject).toBe('b');
    expect(asked).toEqual(['first', 'second']);
  });

  it('answer at once when no mode asks anybody, else with a promise, and never throw', async () => {
    const atOnce = new Authentication([mode(() => UNCLAIMED), mode(() => accepted('b'))]);
    expect(atOnce.authenticate(bearer('t'), remote, signal)).toMatchObject({ principal: { subject: 'b' } });
    const late = new Authentication([mode(() => UNCLAIMED), mode(async () => UNCLAIMED), mode(() => UNCLAIMED), mode(async () => accepted('d'))]);
    const answering = late.authenticate(bearer('t'), remote, signal);
    expect(answering).toBeInstanceOf(Promise);
    expect((await answering).principal.subject).toBe('d');
    for (const bad of [mode(() => refused), mode(() => UNCLAIMED), mode(async () => refused)]) {
      const refusing = new Authentication([bad]).authenticate(bearer('t'), remote, signal);
      await expect(refusing).rejects.toMatchObject({ code: 'auth/invalid' });
    }
    const thrower = mode(() => {
      throw new Error('bug');
    });
    await expect(new Authentication([thrower]).authenticate(bearer('t'), remote, signal)).rejects.toMatchObject({ code: 'auth/unavailable' });
  });

  it('end with the reason of the signal that aborts while a mode asks', async () => {
    for (const answer of [() => UNCLAIMED, () => Promise.reject(new Error('bug'))]) {
      const gone = new AbortController();
      const asking = mode(async () => {
        gone.abort('gone');
        return answer();
      });
      await expect(new Authentication([asking, mode(() => accepted('b'))]).authenticate(bearer('t'), remote, gone.signal)).rejects.toBe('gone');
    }
  });

  it('stop at a refusal although a later mode would accept', async () => {
    const authentication = new Authentication([mode(() => refused), mode(() => accepted('b'))]);
    await expect(authentication.authenticate(bearer('t'), remote, signal)).rejects.toMatchObject({ code: 'auth/invalid' });
  });

  it('refuse what nobody claims: 401, with and without a credential', async () => {
    const authentication = new Authentication([mode(() => UNCLAIMED)]);
    await expect(authentication.authenticate(bearer('t'), remote, signal)).rejects.toMatchObject({ code: 'auth/invalid' });
    await expect(authentication.authenticate(undefined, remote, signal)).rejects.toMatchObject({ code: 'auth/missing' });
  });

  it('answer 503 when a mode cannot check or breaks, and ask no other', async () => {
    const unavailable: Verdict = { kind: 'unavailable', reason: 'provider is down', retryAfter: 5 };
    const down = new Authentication([mode(() => unavailable), mode(() => accepted('b'))]);
    await expect(down.authenticate(bearer('t'), remote, signal)).rejects.toMatchObject({ code: 'auth/unavailable', details: { retryAfter: 5 } });
    const broken = new Authentication([mode(() => Promise.reject(new Error('bug'))), mode(() => accepted('b'))]);
    await expect(broken.authenticate(bearer('t'), remote, signal)).rejects.toMatchObject({ code: 'auth/unavailable' });
  });

  it.each([
    { issuer: 'static', subject: '' },
    { issuer: '', subject: 'a' },
  ])('refuse an empty identity %o', async (principal) => {
    const authentication = new Authentication([mode(() => ({ kind: 'accepted', identity: { ...ANONYMOUS, principal } }))]);
    await expect(authentication.authenticate(bearer('t'), remote, signal)).rejects.toMatchObject({ code: 'auth/invalid' });
  });

  it('refuse an empty tenant', async () => {
    const authentication = new Authentication([mode(() => ({ kind: 'accepted', identity: { ...ANONYMOUS, tenant: '' } }))]);
    await expect(authentication.authenticate(bearer('t'), remote, signal)).rejects.toMatchObject({ code: 'auth/invalid' });
  });

  it('end with the reason of the signal', async () => {
    const authentication = new Authentication([mode(() => accepted('b'))]);
    await expect(authentication.authenticate(bearer('t'), remote, AbortSignal.abort('gone'))).rejects.toBe('gone');
  });

  it('count what was decided, by the mode that decided', async () => {
    const counted: string[] = [];
    const count = (name: string, result: string) => void counted.push(`${name} ${result}`);
    const tokens = new StaticTokens([{ name: 'a', token: new Secret('abc') }], new ManualClock());
    const authentication = new Authentication([tokens], count);
    await authentication.authenticate(bearer('abc'), remote, signal);
    await expect(authentication.authenticate(bearer('abd'), remote, signal)).rejects.toThrow();
    await expect(authentication.authenticate(undefined, remote, signal)).rejects.toThrow();
    const broken = new Authentication([mode(() => Promise.reject(new Error('bug')))], count);
    await expect(broken.authenticate(undefined, remote, signal)).rejects.toThrow();
    expect(counted).toEqual(['static success', 'all failure', 'static failure']);
  });

  it('are never none at all', () => {
    expect(() => new Authentication([])).toThrow(expect.objectContaining({ code: 'config/refused' }));
  });
});

describe('the form of a credential', () => {
  const closed = new Authentication([new StaticTokens([], new ManualClock())]);
  const open = new Authentication([new NoAuthenticator()]);

  it('is required without mode none', () => {
    expect(() => closed.extract({})).toThrow(expect.objectContaining({ code: 'auth/missing' }));
    expect(() => closed.extract({ authorization: ['Bearer a b'] })).toThrow(expect.objectContaining({ code: 'auth/invalid' }));
  });

  it('does not matter to mode none', () => {
    expect(open.extract({})).toBeUndefined();
    expect(open.extract({ authorization: ['Bearer a b'] })).toBeUndefined();
  });

  it.each([closed, open])('two are a conflict in every mode', (authentication) => {
    expect(() => authentication.extract({ authorization: ['Bearer a'], 'private-token': ['b'] })).toThrow(
      expect.objectContaining({ code: 'auth/conflict', message: 'Conflicting credentials' }),
    );
  });
});

describe('mode none', () => {
  const authentication = new Authentication([new NoAuthenticator()]);

  it('makes everybody on loopback local/anonymous with every scope, whatever they send', async () => {
    for (const credential of [undefined, bearer('anything')]) {
      const identity = await authentication.authenticate(credential, loopback, signal);
      expect(identity.principal).toEqual({ issuer: 'local', subject: 'anonymous' });
      expect([...identity.scopes]).toEqual(['turnpike:read', 'turnpike:write', 'turnpike:admin']);
      expect(identity.tenant).toBe('default');
    }
  });

  it.each([
    remote,
    { peer: '127.0.0.1', address: '192.0.2.1' },
    { peer: '192.0.2.1', address: '127.0.0.1' },
    { peer: undefined, address: undefined },
  ])('refuses %o', async (context) => {
    await expect(authentication.authenticate(undefined, context, signal)).rejects.toMatchObject({ code: 'auth/invalid' });
  });

  it('is not stdio, which is another principal', () => {
    expect(STDIO.principal).toEqual({ issuer: 'local', subject: 'stdio' });
  });

  it('behind static serves who sends no known token, and static keeps its refusals', async () => {
    const clock = new ManualClock();
    const tokens = new StaticTokens([{ name: 'old', token: new Secret('abc'), expires: new Date(clock.now()) }], clock);
    const both = new Authentication([tokens, new NoAuthenticator()]);
    expect((await both.authenticate(undefined, loopback, signal)).mode).toBe('none');
    await expect(both.authenticate(bearer('abc'), loopback, signal)).rejects.toMatchObject({ code: 'auth/invalid' });
  });
});
