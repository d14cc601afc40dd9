import { TurnpikeError } from '../core/errors.ts';
import type { Exchange } from '../core/exchange.ts';
import { editObject, toJson } from '../core/json.ts';
import { LinkedAbort } from '../core/linked-abort.ts';
import { type Answer, isJsonObject, META } from '../core/mcp.ts';
import { profileOf } from '../upstream/profile.ts';
import { editMeta } from './edits.ts';
import { resolveUri } from './resources.ts';
import type { Services } from './services.ts';
import { Subscriber } from './subscriber.ts';
import { watchHosted } from './tasks/hosted-calls.ts';
import { openTask } from './tasks/task-ids.ts';
import { declaresTasks } from './tasks/task-shapes.ts';
import { requireScope } from './tools.ts';
import { viewOf } from './view-of.ts';
import { ViewWatch } from './view-watch.ts';

/** Resources and tasks that one stream may name. */
const MAX_NAMED = 1_000;

/**
 * `subscriptions/listen` (2026-07-28): first the acknowledgement with what is honoured, then only what was asked for, until the
 * client goes or the gateway ends (`ended`), which is said with a result. Every notification carries the client's own listen id.
 */
export async function listen(services: Services, exchange: Exchange, ended: AbortSignal): Promise<Answer> {
  const { notifications: asked } = exchange.body;
  if (!isJsonObject(asked)) throw new TurnpikeError('request/params', 'params.notifications must be an object');
  requireScope(exchange, 'turnpike:read');
  using life = new LinkedAbort(exchange.signal, ended);
  const stop = life.signal;
  const tag = { [META.subscriptionId]: toJson(exchange.id) };
  let acknowledged = false;
  const early: (() => void)[] = [];
  const send = (method: string, params: Buffer) => {
    const edits = editMeta(params, tag);
    const deliver = () => exchange.notify(method, Object.keys(edits).length === 0 ? params : editObject(params, edits));
    if (acknowledged) deliver();
    else early.push(deliver);
  };
  // The profile of the caller's calls: what they change in a session upstream is told on the connection that they use.
  const profile = profileOf(exchange.capabilities, services.settings.bridge.interactive);
  const subscriber = new Subscriber({ services, caller: exchange.caller, profile, signal: stop, notify: send });
  const wants = {
    tools: asked.toolsListChanged === true,
    prompts: asked.promptsListChanged === true,
    resources: asked.resourcesListChanged === true,
  };
  using _watch = new ViewWatch({
    clock: services.clock,
    view: () => viewOf(services, exchange),
    source: (listener) => services.catalog.onChange(listener),
    onChange: (kind) => {
      if (wants[kind]) send(`notifications/${kind}/list_changed`, toJson({}));
    },
  });
  try {
    const resources = await watchResources(services, exchange, subscriber, texts(asked.resourceSubscriptions));
    const tasks = await watchTasks(services, exchange, { subscriber, send, signal: stop }, texts(asked.taskIds));
    const honoured = {
      ...(wants.tools ? { toolsListChanged: true } : {}),
      ...(wants.prompts ? { promptsListChanged: true } : {}),
      ...(wants.resources ? { resourcesListChanged: true } : {}),
      ...(asked.resourceSubscriptions === undefined ? {} : { resourceSubscriptions: resources }),
      ...(asked.taskIds === undefined ? {} : { taskIds: tasks }),
    };
    exchange.notify('notifications/subscriptions/acknowledged', toJson({ notifications: honoured, _meta: { [META.subscriptionId]: exchange.id } }));
    acknowledged = true;
    for (const deliver of early) deliver();
    await aborted(stop);
    exchange.signal.throwIfAborted();
    const meta = { [META.serverInfo]: services.settings.serverInfo, [META.subscriptionId]: exchange.id };
    return { kind: 'result', result: toJson({ resultType: 'complete', _meta: meta }) };
  } finally {
    life.abort(new TurnpikeError('request/cancelled'));
  }
}

/** The resources that are watched from now on; one that cannot be is left out of the acknowledgement. */
async function watchResources(services: Services, exchange: Exchange, subscriber: Subscriber, uris: readonly string[]): Promise<string[]> {
  const watched = await Promise.all(
    uris.map(async (uri) => {
      try {
        const { upstream, original } = resolveUri(services, exchange, uri);
        await subscriber.watchResource(upstream, original, uri);
        return [uri];
      } catch {
        return [];
      }
    }),
  );
  return watched.flat();
}

interface TaskListener {
  readonly subscriber: Subscriber;
  readonly send: (method: string, params: Buffer) => void;
  readonly signal: AbortSignal;
}

async function watchTasks(services: Services, exchange: Exchange, listener: TaskListener, ids: readonly string[]): Promise<string[]> {
  if (!declaresTasks(exchange)) return [];
  const watched = await Promise.all(
    ids.map(async (sealed) => {
      try {
        const { caller } = exchange;
        const { upstream, taskId, hosted } = openTask(services, caller, sealed);
        const { subscriber, send, signal } = listener;
        const tell = (detail: Buffer) => send('notifications/tasks', editObject(detail, { taskId: toJson(sealed) }));
        if (hosted) await watchHosted(services, { caller, upstream, taskId }, signal, tell);
        else await subscriber.watchTask(upstream, taskId, sealed);
        return [sealed];
      } catch {
        return [];
      }
    }),
  );
  return watched.flat();
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string').slice(0, MAX_NAMED) : [];
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
