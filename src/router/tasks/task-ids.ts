import { type Caller, principalKey } from '../../core/caller.ts';
import { TurnpikeError } from '../../core/errors.ts';
import type { Services } from '../services.ts';

/** Additional data of every sealed task id. */
const PURPOSE = 'task';

/** Where a task lives. */
export interface TaskPlace {
  readonly upstream: string;
  readonly taskId: string;
  /** It is a session upstream's, and ours to keep (`hosted-tasks.ts`). */
  readonly hosted: boolean;
}

/** A task id that any replica routes and only its owner opens (`tk1.`; protocol.md section 8). */
export function sealTask({ seals, fingerprint, settings, clock }: Services, caller: Caller, { upstream, taskId, hosted }: TaskPlace): string {
  const who = fingerprint.of('task', principalKey(caller.principal));
  const config = settings.upstreams.get(upstream)?.configHash ?? '';
  return seals.task.seal(PURPOSE, { upstream, config, taskId, who, tenant: caller.tenant, created: clock.now(), ...(hosted ? { hosted } : {}) });
}

/** Throws `task/unknown`, one text for ids that are foreign, unknown or undecodable. */
export function openTask({ seals, fingerprint, settings }: Services, caller: Caller, sealed: unknown): TaskPlace {
  const opened = typeof sealed === 'string' ? seals.task.openJson(PURPOSE, sealed) : undefined;
  if (opened?.ok) {
    const { upstream, config, taskId, who, tenant, hosted } = opened.value;
    const isOwner = who === fingerprint.of('task', principalKey(caller.principal)) && tenant === caller.tenant;
    if (isOwner && typeof upstream === 'string' && typeof taskId === 'string' && config === settings.upstreams.get(upstream)?.configHash)
      return { upstream, taskId, hosted: hosted === true };
  }
  throw new TurnpikeError('task/unknown', 'Unknown task');
}
