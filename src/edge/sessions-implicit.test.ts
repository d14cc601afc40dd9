import { describe, expect, it } from 'vitest';
import type { Caller } from '../core/caller.ts';
import { TurnpikeError } from '../core/errors.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { Secret } from '../core/secret.ts';
import { Sessions, type SessionsOptions } from './sessions.ts';

const VERSION = '2025-03-26';

function callerOf(subject: string, token = 'token', issuer = 'https://gitlab.example'): Caller {
  const credential = { scheme: 'private-token', token: new Secret(token), instance: `${issuer}/api/v4` } as const;
  return { principal: { issuer, subject }, tenant: 'default', scopes: new Set(), credential };
}

function make(options: Partial<SessionsOptions> = {}) {
  const clock = new ManualClock();
  const ended: string[] = [];
  const sessions = new Sessions({ clock, patience: 1_000, max: 2, idle: 10_000, onEnd: ({ id }) => ended.push(id), ...options });
  return { clock, sessions, ended };
}

describe('a session that nobody asked for', () => {
  it('is one for each principal and instance, until it ends', () => {
    const { sessions } = make({ max: 10 });
    const session = sessions.implicit(callerOf('42'), VERSION);
    expect(sessions.implicit(callerOf('42'), VERSION)).toBe(session);
    expect(sessions.implicit(callerOf('43'), VERSION)).not.toBe(session);
    expect(sessions.implicit(callerOf('42', 'token', 'https://other.example'), VERSION)).not.toBe(session);
    expect(sessions.create(callerOf('42'), VERSION, {})).not.toBe(session);
    sessions.end(session);
    const next = sessions.implicit(callerOf('42'), VERSION);
    expect(next).not.toBe(session);
    expect(sessions.find(next.id)).toBe(next);
    expect(sessions.totals).toEqual({ opened: 5, expired: 0 });
  });

  it('is used by each request, and expires like others', () => {
    const { clock, sessions, ended } = make({ sweep: 500 });
    const session = sessions.implicit(callerOf('42'), VERSION);
    clock.advance(9_000);
    sessions.implicit(callerOf('42'), VERSION);
    clock.advance(9_000);
    expect(ended).toEqual([]);
    clock.advance(1_600);
    expect(ended).toEqual([session.id]);
    expect(sessions.totals).toEqual({ opened: 1, expired: 1 });
    expect(sessions.implicit(callerOf('42'), VERSION)).not.toBe(session);
  });
});

describe('a session with a credential', () => {
  it('has the newest of its owner, and none when it is over', () => {
    const { sessions } = make();
    const session = sessions.create(callerOf('42', 'old'), VERSION, {});
    expect(session.instance).toBe('https://gitlab.example/api/v4');
    sessions.own(session, callerOf('42', 'new'));
    expect(session.caller.credential?.token.reveal()).toBe('new');
    expect(() => sessions.own(session, callerOf('43', 'bob'))).toThrow(TurnpikeError);
    expect(session.caller.credential?.token.reveal()).toBe('new');
    sessions.end(session);
    expect(session.caller.credential).toBeUndefined();
  });
});

describe('places', () => {
  it('may all be one principal’s where that is the rule, and none is left with the answer of the rule', () => {
    const half = make().sessions;
    half.create(callerOf('42'), VERSION, {});
    expect(() => half.create(callerOf('42'), VERSION, {})).toThrow(expect.objectContaining({ code: 'session/full' }));
    const whole = make({ share: 1, full: (max) => new TurnpikeError('session/full', `all ${max}`) }).sessions;
    for (let index = 0; index < 2; index++) whole.create(callerOf('42'), VERSION, {});
    expect(whole.full).toBe(true);
    expect(() => whole.implicit(callerOf('42'), VERSION)).toThrow('all 2');
    expect(whole.authenticated).toBe(2);
  });
});
