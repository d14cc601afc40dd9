import { type Clock, sleep } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import { toJson } from '../core/json.ts';
import type { Relay } from '../core/ports.ts';
import { announces } from './capability-lists.ts';
import type { Link } from './connection.ts';
import { ownCall } from './own-call.ts';

export interface ChangeStreamOptions {
  readonly clock: Clock;
  readonly onNotification: (method: string, params: Buffer) => void;
  /** The stream stands again: what changed meanwhile must be asked for. */
  readonly onResumed: () => void;
  /** Milliseconds before the stream is opened again, `failures` in a row before. */
  readonly pause: (failures: number) => number;
}

/** A stream that stood this long was good: its pauses start over. */
const GOOD_AFTER_MS = 60_000;

/**
 * Keeps a listen stream open for the changes that a modern upstream announces (protocol.md section 6), until the connection
 * ends. Resolves with whether the upstream serves one: when it refuses, or announces nothing, there is none.
 */
export async function followChanges(link: Link, options: ChangeStreamOptions): Promise<boolean> {
  const { clock, onNotification, onResumed, pause } = options;
  const filter = {
    ...(announces(link.capabilities, 'tools') ? { toolsListChanged: true } : {}),
    ...(announces(link.capabilities, 'prompts') ? { promptsListChanged: true } : {}),
    ...(announces(link.capabilities, 'resources') ? { resourcesListChanged: true } : {}),
  };
  if (Object.keys(filter).length === 0) return false;
  let opened = false;
  let failures = 0;
  const relay: Relay = {
    notification: (method, params) => {
      if (method !== 'notifications/subscriptions/acknowledged') return onNotification(method, params);
      if (opened) onResumed();
      opened = true;
    },
    request: async () => Promise.reject(new TurnpikeError('request/method')),
  };
  while (link.alive) {
    const began = clock.monotonic();
    const call = { ...ownCall('subscriptions/listen', toJson({ notifications: filter }), link.ended), relay };
    const answer = await link.request(call).catch(() => undefined);
    if (answer?.kind === 'error' && !opened) return false;
    if (clock.monotonic() - began >= GOOD_AFTER_MS) failures = 0;
    if (link.alive) await sleep(clock, pause(failures++), link.ended).catch(() => {});
  }
  return opened;
}
