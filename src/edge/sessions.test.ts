import { describe, expect, it } from 'vitest';
import type { Caller } from '../core/caller.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { OwnAbort } from '../core/own-abort.ts';
import { KeepAlive } from './keep-alive.ts';
import { SampleResponse } from './sample-response.ts';
import { Sessions } from './sessions.ts';
import { SseWriter } from './sse-writer.ts';

const MINUTE = 60_000;
const caller = (subject: string, issuer = 'static', tenant = 'default'): Caller => ({ principal: { issuer, subject }, tenant, scopes: new Set() });

function made(max = 10, idle = 60 * MINUTE) {
  const clock = new ManualClock();
  const ended: string[] = [];
  const sessions = new Sessions({ clock, patience: 600_000, max, idle, onEnd: (session) => ended.push(session.id) });
  const create = (who: Caller = caller('alice')) => sessions.create(who, '2025-11-25', {});
  return { clock, ended, sessions, create };
}

const refused = (code: string) => expect.objectContaining({ code });

it('sessions of callers who may not come in any more end, and no others', () => {
  const { sessions, create, ended } = made();
  const [hers, his] = [create(caller('alice')), create(caller('bob'))];
  sessions.endOf(({ principal }) => principal.subject === 'alice');
  expect([ended, hers.ended.aborted, his.ended.aborted]).toEqual([[hers.id], true, false]);
  expect(() => sessions.find(hers.id)).toThrow();
});

describe('a session', () => {
  it('is found by its id, which is 256 random bits', () => {
    const { sessions, create } = made();
    const session = create();
    expect(sessions.find(session.id)).toBe(session);
    expect(Buffer.from(session.id, 'base64url')).toHaveLength(32);
    expect(create().id).not.toBe(session.id);
    expect(session.caller.sessionId).toBe(session.id);
  });

  it.each([
    ['another subject', caller('bob')],
    ['another issuer', caller('alice', 'https://idp.example.com')],
    ['another tenant', caller('alice', 'static', 'other')],
  ])('is unknown to %s', (_who, other) => {
    const { sessions, create } = made();
    const session = create();
    expect(() => sessions.own(session, other)).toThrow(refused('session/unknown'));
    expect(sessions.own(session, caller('alice'))).toBe(session);
  });

  it('that ended is unknown, also to whoever found it a moment ago; its connections go once', () => {
    const { ended, sessions, create } = made();
    const session = create();
    sessions.end(session);
    sessions.end(session);
    expect(ended).toEqual([session.id]);
    expect(session.ended.aborted).toBe(true);
    expect(() => sessions.find(session.id)).toThrow(refused('session/unknown'));
    expect(() => sessions.own(session, caller('alice'))).toThrow(refused('session/unknown'));
  });

  it('that a foreigner tries to use is not kept alive by that', () => {
    const { clock, sessions, create } = made();
    const session = create();
    for (let minute = 0; minute < 62; minute++) {
      clock.advance(MINUTE);
      if (session.ended.aborted) break;
      expect(() => sessions.own(session, caller('bob'))).toThrow();
    }
    expect(session.ended.aborted).toBe(true);
  });
});

describe('an unused session', () => {
  it('ends after the idle time, at most a minute late, and its use puts that off', () => {
    const { clock, ended, sessions, create } = made();
    const [used, unused] = [create(), create()];
    clock.advance(59 * MINUTE);
    sessions.own(used, caller('alice'));
    clock.advance(2 * MINUTE);
    expect(ended).toEqual([unused.id]);
    clock.advance(60 * MINUTE);
    expect(ended).toEqual([unused.id, used.id]);
    expect([sessions.size, clock.pending]).toEqual([0, 0]);
  });

  it('is in use while a request runs or its GET stream is open', () => {
    const { clock, ended, create } = made();
    const [running, listening] = [create(), create()];
    const place = running.begin(1, new OwnAbort());
    listening.standing = listening.replay.create();
    const response = new SampleResponse();
    listening.replay.attach(listening.standing, new SseWriter(response.response, new KeepAlive(new ManualClock())));
    clock.advance(300 * MINUTE);
    expect(ended).toEqual([]);
    running.finish(place);
    response.emit('close');
    clock.advance(62 * MINUTE);
    expect(ended.toSorted()).toEqual([running.id, listening.id].toSorted());
  });
});

describe('the cap', () => {
  it('refuses one more and closes nobody, until one ended or is idle', () => {
    const { clock, ended, sessions, create } = made(2, 10 * MINUTE);
    const first = create(caller('alice'));
    create(caller('bob'));
    expect(() => create(caller('carol'))).toThrow(expect.objectContaining({ code: 'session/full', details: { retryAfter: 30 } }));
    expect(ended).toEqual([]);
    sessions.end(first);
    create(caller('carol'));
    clock.advance(10 * MINUTE + 1);
    create(caller('dora'));
    expect(sessions.size).toBe(1);
  });

  it('leaves half of the places to others, and the count of a principal falls with its sessions', () => {
    const { sessions, create } = made(10);
    const mine = Array.from({ length: 5 }, () => create());
    expect(() => create()).toThrow(refused('session/full'));
    create(caller('bob'));
    for (let round = 0; round < 3; round++) {
      for (const session of mine.splice(0)) sessions.end(session);
      mine.push(...Array.from({ length: 5 }, () => create()));
    }
    expect(() => create()).toThrow(refused('session/full'));
    expect(sessions.size).toBe(6);
  });

  it('is for everybody together where nobody is told apart', () => {
    const { sessions, create } = made(10);
    for (let index = 0; index < 10; index++) create(caller('anonymous', 'local'));
    expect(() => create(caller('anonymous', 'local'))).toThrow(refused('session/full'));
    sessions.endAll();
    expect(sessions.size).toBe(0);
  });

  it('lets a single place be taken', () => {
    expect(made(1).create().ended.aborted).toBe(false);
  });
});
