import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { DENYLIST } from './denylist.ts';
import { compilePolicy, type Decision, decide } from './policy.ts';
import { sampleSettings, sampleUpstream } from './sample-source.ts';
import type { PolicySettings, ToolSettings } from './settings.ts';

interface Case {
  readonly policy?: Partial<PolicySettings>;
  readonly tools?: Partial<ToolSettings>;
  readonly annotations?: unknown;
  readonly meta?: unknown;
  readonly type?: string;
}

function decision(originalName: string, { policy, tools = {}, annotations, meta, type }: Case = {}): Decision {
  const upstream = { ...sampleUpstream('s', { tools }), type };
  return decide({ upstream: 's', originalName, annotations, meta }, compilePolicy(sampleSettings([upstream], policy)));
}

function blocked(name: string): string {
  return `tool '${name}' is blocked as it is destructive. Use --yolo flag to allow destructive operations`;
}

const DESTRUCTIVE = { destructiveHint: true };

describe('denylist', () => {
  it('holds the 32 names of the design', () => {
    const text = [
      'apply_kubernetes_manifest delete_kubernetes_resource kubectl_apply kubectl_create kubectl_delete kubectl_patch kubectl_rollout kubectl_scale',
      'capi_create_cluster capi_create_machinedeployment capi_delete_cluster capi_delete_machine capi_move_cluster capi_pause_cluster',
      'capi_remediate_machine capi_resume_cluster capi_scale_cluster capi_scale_machinedeployment capi_update_cluster capi_upgrade_cluster',
      'install_helm_chart uninstall_helm_chart upgrade_helm_chart reconcile_flux_helmrelease reconcile_flux_kustomization',
      'reconcile_flux_resourceset reconcile_flux_source resume_flux_reconciliation suspend_flux_reconciliation cleanup create_incident update_dashboard',
    ];
    expect(new Set(DENYLIST)).toEqual(new Set(text.join(' ').split(' ')));
    expect(DENYLIST).toHaveLength(32);
  });

  it.each(DENYLIST)('blocks %s on any upstream, and not under yolo', (name) => {
    expect(decision(name)).toEqual({ kind: 'denied', rule: 'denylist', text: blocked(name) });
    expect(decision(name, { policy: { yolo: true } })).toEqual({ kind: 'allowed', safety: 'write' });
  });

  it('is about exact names', () => {
    for (const name of ['Cleanup', 'cleanup_', 'x_cleanup', 'clean']) expect(decision(name).kind).toBe('allowed');
  });

  it('takes names and lifts pairs', () => {
    expect(decision('boom', { policy: { denylist: { extra: ['boom'], except: [] } } })).toMatchObject({ kind: 'denied', rule: 'denylist' });
    const lift = (pair: string): Partial<PolicySettings> => ({ denylist: { extra: ['boom'], except: [pair] } });
    expect(decision('boom', { policy: lift('s:boom') }).kind).toBe('allowed');
    expect(decision('boom', { policy: lift('t:boom') }).kind).toBe('denied');
    expect(decision('cleanup', { policy: lift('s:boom') }).kind).toBe('denied');
    // `scale` of a Kubernetes upstream is blocked by its annotation alone (configuration.md, example).
    expect(decision('scale', { annotations: DESTRUCTIVE, policy: lift('s:scale') }).kind).toBe('allowed');
  });
});

describe('what a built-in upstream withholds', () => {
  const meta = { 'turnpike/withheld': { rule: 'gitlab.readOnly', text: 'a is not allowed in read-only mode' } };
  const withheld = { kind: 'denied', rule: 'gitlab.readOnly', text: 'a is not allowed in read-only mode' };

  it('is refused in its words, whatever is said about reading', () => {
    expect(decision('a', { meta, type: 'gitlab' })).toEqual(withheld);
    expect(decision('a', { meta, type: 'gitlab', tools: { readOnly: ['a'] } })).toEqual(withheld);
    expect(decision('a', { meta, type: 'gitlab', policy: { yolo: true } })).toEqual(withheld);
    for (const other of [undefined, {}, { 'turnpike/withheld': 'x' }])
      expect(decision('a', { meta: other, type: 'gitlab' })).toEqual({ kind: 'allowed', safety: 'write' });
  });

  it('is behind everything that the policy says', () => {
    expect(decision('a', { meta, type: 'gitlab', tools: { deny: ['a'] } })).toEqual({ kind: 'hidden' });
    expect(decision('a', { meta, type: 'gitlab', annotations: DESTRUCTIVE })).toMatchObject({ rule: 'annotations' });
    expect(decision('a', { meta, type: 'gitlab', policy: { nonDestructive: true } })).toMatchObject({ rule: 'non-destructive' });
  });

  it('means nothing where somebody else says so', () => {
    expect(decision('a', { meta, type: 'stdio' })).toEqual({ kind: 'allowed', safety: 'write' });
  });
});

describe('annotations', () => {
  it('treats an explicit destructiveHint as listed', () => {
    expect(decision('wipe', { annotations: DESTRUCTIVE })).toEqual({ kind: 'denied', rule: 'annotations', text: blocked('wipe') });
    for (const annotations of [undefined, null, [], 'x', {}, { destructiveHint: false }]) {
      expect(decision('wipe', { annotations }).kind).toBe('allowed');
    }
  });

  it('can be ignored, and yolo ignores it', () => {
    expect(decision('wipe', { annotations: DESTRUCTIVE, policy: { annotations: 'ignore' } }).kind).toBe('allowed');
    expect(decision('wipe', { annotations: DESTRUCTIVE, policy: { yolo: true } }).kind).toBe('allowed');
    expect(decision('cleanup', { policy: { annotations: 'ignore' } }).kind).toBe('denied');
  });
});

describe('non-destructive mode', () => {
  const policy = { nonDestructive: true };

  it('passes what is read-only by configuration, or by trusted annotation', () => {
    const refusal = { kind: 'denied', rule: 'non-destructive', text: "tool 'get' is not allowed in non-destructive mode" };
    expect(decision('get', { policy })).toEqual(refusal);
    expect(decision('get', { policy, annotations: { readOnlyHint: true } })).toEqual(refusal);
    expect(decision('get', { policy, annotations: { readOnlyHint: true }, tools: { trustAnnotations: true } }).kind).toBe('allowed');
    expect(decision('get', { policy, tools: { trustAnnotations: true } })).toEqual(refusal);
    expect(decision('get', { policy, tools: { readOnly: ['g*'] } }).kind).toBe('allowed');
  });

  it('is not switched off by yolo, nor by an exception', () => {
    expect(decision('cleanup', { policy: { ...policy, yolo: true } })).toMatchObject({ rule: 'non-destructive' });
    expect(decision('cleanup', { policy: { ...policy, denylist: { extra: [], except: ['s:cleanup'] } } })).toMatchObject({ rule: 'non-destructive' });
  });

  it('comes after the denylist', () => {
    expect(decision('cleanup', { policy, tools: { readOnly: ['*'] } })).toMatchObject({ rule: 'denylist' });
  });
});

describe('allow and deny', () => {
  it('hides, and deny wins', () => {
    expect(decision('a', { tools: { allow: ['a*'] } }).kind).toBe('allowed');
    expect(decision('b', { tools: { allow: ['a*'] } }).kind).toBe('hidden');
    expect(decision('ab', { tools: { allow: ['a*'], deny: ['ab'] } }).kind).toBe('hidden');
    expect(decision('a', { tools: { allow: [] } }).kind).toBe('hidden');
  });

  it('comes before everything, yolo included', () => {
    expect(decision('cleanup', { tools: { deny: ['clean*'] }, policy: { yolo: true, nonDestructive: true } }).kind).toBe('hidden');
  });

  it('hides everything of an upstream without settings', () => {
    expect(decide({ upstream: 'other', originalName: 'a', annotations: {} }, compilePolicy(sampleSettings(['s']))).kind).toBe('hidden');
  });

  it('refuses to start with a pattern it cannot read', () => {
    expect(() => compilePolicy(sampleSettings([sampleUpstream('s', { tools: { deny: ['['] } })]))).toThrow(
      new TurnpikeError('config/invalid', 'upstreams.s.tools.deny: Invalid pattern "["'),
    );
  });
});
