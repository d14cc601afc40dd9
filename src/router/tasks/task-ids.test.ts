import { describe, expect, it } from 'vitest';
import { ALICE, sampleServices } from '../sample-services.ts';
import { openTask, sealTask } from './task-ids.ts';

const UNKNOWN = expect.objectContaining({ code: 'task/unknown', message: 'Unknown task' });

describe('task ids', () => {
  it('lead their owner to the task, in visible ASCII, also when much time has passed', () => {
    const { services, clock } = sampleServices();
    const sealed = sealTask(services, ALICE, { upstream: 'a', taskId: 'inner \u00e9', hosted: false });
    expect(sealed).toMatch(/^tk1\.[A-Za-z0-9_-]+$/);
    clock.jump(365 * 86_400_000);
    expect(openTask(services, { ...ALICE, sessionId: 'another' }, sealed)).toEqual({ upstream: 'a', taskId: 'inner \u00e9', hosted: false });
  });

  it('are unknown to everybody else, and when they are anything else', () => {
    const { services } = sampleServices();
    const sealed = sealTask(services, ALICE, { upstream: 'a', taskId: 'inner', hosted: false });
    const bob = { ...ALICE, principal: { issuer: 'static', subject: 'bob' } };
    expect(() => openTask(services, bob, sealed)).toThrow(UNKNOWN);
    expect(() => openTask(services, { ...ALICE, tenant: 't2' }, sealed)).toThrow(UNKNOWN);
    expect(() => openTask(services, { ...ALICE, principal: { issuer: 'other', subject: 'alice' } }, sealed)).toThrow(UNKNOWN);
    for (const id of ['inner', '', `${sealed}A`, sealed.slice(0, -2), 7, null, undefined, {}, services.seals.state.seal('task', { upstream: 'a' })])
      expect(() => openTask(services, ALICE, id)).toThrow(UNKNOWN);
    expect(() => openTask(services, ALICE, sealTask(services, ALICE, { upstream: 'gone', taskId: 'inner', hosted: false }))).not.toThrow(TypeError);
  });

  it('are void when the upstream was pointed elsewhere or is gone', () => {
    const { services } = sampleServices();
    const sealed = sealTask(services, ALICE, { upstream: 'a', taskId: 'inner', hosted: false });
    const upstream = services.settings.upstreams.get('a');
    if (upstream === undefined) throw new Error('no upstream');
    const moved = { ...services, settings: { ...services.settings, upstreams: new Map([['a', { ...upstream, configHash: 'moved' }]]) } };
    expect(() => openTask(moved, ALICE, sealed)).toThrow(UNKNOWN);
    const gone = { ...services, settings: { ...services.settings, upstreams: new Map() } };
    expect(() => openTask(gone, ALICE, sealed)).toThrow(UNKNOWN);
  });
});
