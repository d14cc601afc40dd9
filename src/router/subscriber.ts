import type { Caller } from '../core/caller.ts';
import { editObject, toJson } from '../core/json.ts';
import type { ConnectionOwner } from '../core/ports.ts';
import { notificationParams } from './edits.ts';
import { ownerThrough } from './outside.ts';
import type { Services } from './services.ts';
import { judgedRequests } from './tasks/task-questions.ts';
import { UpdateFeed } from './update-feed.ts';

export interface SubscriberOptions {
  readonly services: Services;
  readonly caller: Caller;
  readonly profile: string;
  /** The session behind the client, if it is one. */
  readonly owner?: ConnectionOwner;
  /** Ends all feeds. */
  readonly signal: AbortSignal;
  readonly notify: (method: string, params: Buffer) => void;
}

/** Resources and tasks that one client watches, at whatever upstreams they are, under the names the client knows. */
export class Subscriber {
  readonly #options: SubscriberOptions;
  readonly #feeds = new Map<string, UpdateFeed>();
  /** By upstream and its own URI or task id: what the client calls it. */
  readonly #names = new Map<string, string>();

  constructor(options: SubscriberOptions) {
    this.#options = options;
  }

  /** Watches a resource. `uri` is the client's, `original` the upstream's. */
  async watchResource(upstream: string, original: string, uri: string): Promise<void> {
    this.#names.set(nameKey(upstream, original), uri);
    await this.#feed(upstream).add({ uris: new Set([original]) });
  }

  async watchTask(upstream: string, taskId: string, sealed: string): Promise<void> {
    this.#names.set(nameKey(upstream, taskId), sealed);
    await this.#feed(upstream).add({ taskIds: new Set([taskId]) });
  }

  async unwatchResource(upstream: string, original: string): Promise<void> {
    this.#names.delete(nameKey(upstream, original));
    await this.#feeds.get(upstream)?.remove(original);
  }

  #feed(upstream: string): UpdateFeed {
    const known = this.#feeds.get(upstream);
    if (known !== undefined) return known;
    const { services, caller, profile, signal, notify, owner } = this.#options;
    const label = services.settings.upstreams.get(upstream)?.naming !== 'passthrough';
    const name = (original: string) => toJson(this.#names.get(nameKey(upstream, original)) ?? original);
    const feed = new UpdateFeed({
      connections: services.connections,
      counts: services.subscriptions,
      clock: services.clock,
      caller,
      profile,
      upstream,
      signal,
      ...(owner === undefined ? {} : { owner: ownerThrough(owner, { services, caller, upstream, label, profile }) }),
      onUpdate: (uri, params) => notify('notifications/resources/updated', notificationParams(editObject(params, { uri: name(uri) }))),
      onTask: (taskId, params) => {
        // What must not be asked is answered when the client looks at the task.
        const judged = judgedRequests({ services, caller, era: 'modern', upstream, profile }, params, label);
        const shown = judged === undefined ? {} : { inputRequests: judged.requests };
        notify('notifications/tasks', notificationParams(editObject(params, { taskId: name(taskId), ...shown })));
      },
    });
    this.#feeds.set(upstream, feed);
    return feed;
  }
}

function nameKey(upstream: string, original: string): string {
  return JSON.stringify([upstream, original]);
}
