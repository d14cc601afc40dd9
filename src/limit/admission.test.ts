import { describe, expect, it } from 'vitest';
import type { TurnpikeError } from '../core/errors.ts';
import { ManualClock } from '../core/manual-clock.ts';
import { Admission } from './admission.ts';

const limits = { ip: 10, ipBurst: 20, user: 100, userBurst: 200 };
const failures = { max: 10, windowMs: 60_000 };

async function refusal(work: () => void | Promise<void>, tries: number): Promise<{ after: number; error: TurnpikeError } | undefined> {
  for (let after = 0; after < tries; after++) {
    try {
      await work();
    } catch (thrown) {
      return { after, error: thrown as TurnpikeError };
    }
  }
  return undefined;
}

describe('admission', () => {
  it('refuses the 21st request of an address with the text and Retry-After of the page', async () => {
    const admission = new Admission({ clock: new ManualClock(), limits, failures });
    const refused = await refusal(() => admission.admitAddress('192.0.2.1'), 100);
    expect(refused?.after).toBe(20);
    expect(refused?.error).toMatchObject({ code: 'limit/ip', message: 'Rate limit exceeded. Please try again later.', details: { retryAfter: 0.1 } });
    await admission.admitAddress('192.0.2.2');
  });

  it('answers at once: a promise would cost more than the limit', () => {
    const admission = new Admission({ clock: new ManualClock(), limits, failures });
    expect(admission.admitAddress('192.0.2.1')).toBeUndefined();
    expect(admission.admitPrincipal({ issuer: 'static', subject: 'ci' })).toBeUndefined();
  });

  it('counts IPv6 addresses of one /64 together', async () => {
    const admission = new Admission({ clock: new ManualClock(), limits, failures });
    let host = 0;
    const refused = await refusal(() => admission.admitAddress(`2001:db8::${(++host).toString(16)}`), 100);
    expect(refused?.after).toBe(20);
  });

  it('refuses the 201st request of a principal, whoever has the same subject elsewhere', async () => {
    const admission = new Admission({ clock: new ManualClock(), limits, failures });
    const refused = await refusal(() => admission.admitPrincipal({ issuer: 'static', subject: 'ci' }), 300);
    expect(refused?.after).toBe(200);
    expect(refused?.error).toMatchObject({ code: 'limit/user', message: 'Rate limit exceeded for user. Please try again later.' });
    await admission.admitPrincipal({ issuer: 'https://idp.example', subject: 'ci' });
  });

  it('has no bucket for the principal local', async () => {
    const admission = new Admission({ clock: new ManualClock(), limits, failures });
    expect(await refusal(() => admission.admitPrincipal({ issuer: 'local', subject: 'anonymous' }), 1000)).toBeUndefined();
  });

  it('refuses an address after 10 failures, for as long as they are recent', async () => {
    const clock = new ManualClock();
    const admission = new Admission({ clock, limits, failures });
    for (let index = 0; index < 10; index++) admission.recordFailure('192.0.2.1');
    const refused = await refusal(() => admission.admitAddress('192.0.2.1'), 1);
    expect(refused?.error).toMatchObject({ code: 'limit/failures', message: 'Too many authentication failures', details: { retryAfter: 60 } });
    clock.advance(60_000);
    await admission.admitAddress('192.0.2.1');
  });
});
