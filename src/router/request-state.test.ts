import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openState, sealState } from './request-state.ts';
import { ALICE, sampleExchange, sampleServices } from './sample-services.ts';
import type { Services } from './services.ts';

const SUBJECT = { upstream: 'a', original: 'read' };
const UPSTREAM_STATE = 'state "of" the upstream \u00e9\u0000';
const STATE = { kind: 'relay', state: UPSTREAM_STATE } as const;

const asking = (more: Parameters<typeof sampleExchange>[0] = {}) =>
  sampleExchange({ body: { name: 'x_a_read', arguments: { n: 1, m: [2] } }, ...more }).exchange;
/** The same request with a state in it. */
const retry = (requestState: unknown, more: Parameters<typeof sampleExchange>[0] = {}) =>
  sampleExchange({ body: { name: 'x_a_read', arguments: { n: 1, m: [2] }, requestState }, ...more }).exchange;
const opening =
  (services: Services, exchange: ReturnType<typeof retry>, subject = SUBJECT) =>
  () =>
    openState(services, exchange, subject);
const REFUSED = expect.objectContaining({ code: 'state/invalid', message: 'Invalid or expired request state' });

describe('request state', () => {
  it('comes back to its upstream byte for byte, and is not readable on the way', () => {
    const { services } = sampleServices();
    const sealed = sealState(services, asking(), SUBJECT, STATE);
    expect(sealed).toMatch(/^rs1\.[A-Za-z0-9_-]+$/);
    expect(Buffer.from(sealed.slice(4), 'base64url').toString()).not.toContain('upstream');
    expect(sealState(services, asking(), SUBJECT, STATE)).not.toBe(sealed);
    expect(opening(services, retry(sealed))()).toMatchObject(STATE);
    expect(opening(services, asking())()).toBeUndefined();
  });

  it('opens for the same arguments in another spelling', () => {
    const { services } = sampleServices();
    const sealed = sealState(services, asking(), SUBJECT, STATE);
    const spelled = sampleExchange({ body: `{"arguments":{ "m" :[2],"n":1},"requestState":${JSON.stringify(sealed)},"name":"x_a_read"}` }).exchange;
    expect(opening(services, spelled)()).toMatchObject(STATE);
  });

  it('is void for everything it was not made for, with one text', () => {
    const { services, clock } = sampleServices();
    const sealed = sealState(services, asking(), SUBJECT, STATE);
    const principal = (subject: string, issuer = 'static') => ({ caller: { ...ALICE, principal: { issuer, subject } } });
    const ofA = services.settings.upstreams.get('a');
    if (ofA === undefined) throw new Error('no upstream');
    const otherConfig = {
      ...services,
      settings: { ...services.settings, upstreams: new Map([['a', { ...ofA, configHash: 'moved' }]]) },
    };
    const twin = {
      ...services,
      settings: {
        ...services.settings,
        upstreams: new Map([
          ['a', ofA],
          ['b', ofA],
        ]),
      },
    };
    const wrong: readonly (() => unknown)[] = [
      opening(services, retry(sealed, principal('bob'))),
      opening(services, retry(sealed, principal('alice', 'other'))),
      opening(services, retry(sealed, { caller: { ...ALICE, tenant: 't2' } })),
      opening(services, retry(sealed), { ...SUBJECT, original: 'write' }),
      opening(twin, retry(sealed), { ...SUBJECT, upstream: 'b' }),
      opening(otherConfig, retry(sealed)),
      opening(services, retry(sealed, { method: 'prompts/get' })),
      opening(services, sampleExchange({ body: { arguments: { n: 2, m: [2] }, requestState: sealed } }).exchange),
      opening(services, sampleExchange({ body: `{"arguments":{"n":1.0,"m":[2]},"requestState":${JSON.stringify(sealed)}}` }).exchange),
      opening(services, sampleExchange({ body: { requestState: sealed } }).exchange),
      opening(services, retry(`${sealed}-TAMPERED`)),
      opening(services, retry(services.seals.task.seal('tools/call', { kind: 'relay' }))),
      opening(services, retry(UPSTREAM_STATE)),
      opening(services, retry('')),
      opening(services, retry(7)),
      opening(services, retry(null)),
      opening(services, retry({})),
    ];
    for (const [index, attempt] of wrong.entries()) expect(attempt, String(index)).toThrow(REFUSED);
    expect(opening(services, retry(sealed))()).toMatchObject(STATE);
    clock.jump(600_000);
    expect(opening(services, retry(sealed))).toThrow(REFUSED);
  });

  it('is void when any bit of it is flipped', () => {
    const { services } = sampleServices();
    const sealed = sealState(services, asking(), SUBJECT, STATE);
    const bytes = Buffer.from(sealed.slice(4), 'base64url');
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const flipped = Buffer.from(bytes);
        flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        expect(opening(services, retry(`rs1.${flipped.toString('base64url')}`))).toThrow(REFUSED);
      }),
    );
  });

  it('opens only until its time is over, and with the key of its store', () => {
    const { services, clock } = sampleServices();
    const sealed = sealState(services, asking(), SUBJECT, STATE);
    clock.jump(599_999);
    expect(opening(services, retry(sealed))()).toMatchObject(STATE);
    const other = sampleServices();
    const foreign = { ...services, fingerprint: other.services.fingerprint, seals: { ...services.seals, state: services.seals.task } };
    expect(opening(foreign, retry(sealed))).toThrow(REFUSED);
  });

  it('takes arguments nested more deeply than anything is walked', () => {
    const { services } = sampleServices();
    const deep = (state: string) => `{"name":"x_a_read","arguments":{"d":${'['.repeat(2_000)}${']'.repeat(2_000)}}${state}}`;
    const sealed = sealState(services, sampleExchange({ body: deep('') }).exchange, SUBJECT, STATE);
    const again = sampleExchange({ body: deep(`,"requestState":${JSON.stringify(sealed)}`) }).exchange;
    expect(opening(services, again)()).toMatchObject(STATE);
  });
});
