import { cutHidden } from '../catalog/hidden-text.ts';
import type { Caller } from '../core/caller.ts';
import type { Exchange } from '../core/exchange.ts';
import { toJson } from '../core/json.ts';
import {
  type Answer,
  CARRIED_EXTENSIONS,
  isJsonObject,
  type JsonObject,
  META,
  MODERN_VERSION,
  SKILLS_EXTENSION,
  TASKS_EXTENSION,
} from '../core/mcp.ts';
import type { Services } from './services.ts';
import { skillsCapability } from './skills/skill-owners.ts';
import { runsTasks } from './tasks/task-shapes.ts';
import { viewOf } from './view-of.ts';

const DISCOVER_TTL_MS = 60_000;

/** What both eras declare: a declared capability always answers, whatever the upstreams offer at the moment. */
const CAPABILITIES: JsonObject = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  completions: {},
  logging: {},
};

/** `server/discover` (2026-07-28). */
export async function discover(services: Services, exchange: Exchange): Promise<Answer> {
  const visible = new Set(viewOf(services, exchange).upstreams);
  const extensions: Record<string, unknown> = {};
  for (const { status, capabilities } of services.upstreams.snapshot()) {
    const offered = capabilities?.capabilities.extensions;
    if (!visible.has(status.name) || capabilities === undefined) continue;
    // Tasks of a session upstream are hosted.
    if (capabilities.era === 'legacy' && runsTasks(capabilities.capabilities)) extensions[TASKS_EXTENSION] ??= {};
    if (capabilities.era !== 'modern' || !isJsonObject(offered)) continue;
    for (const name of CARRIED_EXTENSIONS) if (name !== SKILLS_EXTENSION && isJsonObject(offered[name])) extensions[name] ??= {};
  }
  const skills = skillsCapability(services, exchange);
  if (skills !== undefined) extensions[SKILLS_EXTENSION] = skills;
  const result = {
    resultType: 'complete',
    supportedVersions: [MODERN_VERSION],
    capabilities: { ...CAPABILITIES, ...(Object.keys(extensions).length === 0 ? {} : { extensions }) },
    ...instructions(services, visible),
    ttlMs: DISCOVER_TTL_MS,
    cacheScope: 'private',
    _meta: { [META.serverInfo]: services.settings.serverInfo },
  };
  return { kind: 'result', result: toJson(result) };
}

/** The result of `initialize` for a session that was just made. */
export function initializeResult(services: Services, caller: Caller, version: string): Buffer {
  const visible = new Set(services.catalog.viewFor(caller).upstreams);
  const { serverInfo } = services.settings;
  return toJson({ protocolVersion: version, capabilities: CAPABILITIES, serverInfo, ...instructions(services, visible) });
}

/** What the operator and the visible upstreams say about them, each under its name. Foreign text: hidden characters are cut. */
function instructions(services: Services, visible: ReadonlySet<string>): { readonly instructions?: string } {
  const texts: string[] = [];
  for (const { status, capabilities } of services.upstreams.snapshot()) {
    if (!visible.has(status.name)) continue;
    const { naming, description } = services.settings.upstreams.get(status.name) ?? {};
    const said = cutHidden(capabilities?.instructions ?? '').trim();
    const text = [description, said].filter((part) => part !== undefined && part !== '').join('\n');
    if (text !== '') texts.push(naming === 'passthrough' && visible.size === 1 ? text : `${status.name}: ${text}`);
  }
  return texts.length === 0 ? {} : { instructions: texts.join('\n\n') };
}
