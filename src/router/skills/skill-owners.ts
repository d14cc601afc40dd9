import { compare } from '../../catalog/name-table.ts';
import { REVERSIBLE_SCHEME, reversibleTemplateHead } from '../../catalog/names.ts';
import type { ResourceResolution } from '../../catalog/resolutions.ts';
import type { View } from '../../catalog/view.ts';
import { TurnpikeError } from '../../core/errors.ts';
import type { Exchange } from '../../core/exchange.ts';
import { isJsonObject, type JsonObject, SKILLS_EXTENSION } from '../../core/mcp.ts';
import type { Services } from '../services.ts';
import { viewOf } from '../view-of.ts';

/** Directories above a file that are looked at for its `SKILL.md`; each costs a look-up among resources and templates. */
const MAX_CLIMB = 8;
const SKILL_FILE = '/SKILL.md';
const SKILL_SCHEME = 'skill:';

/** The upstreams of a view that serve skills (`io.modelcontextprotocol/skills`, SEP-2640). */
export interface SkillParts {
  /** Sorted: the order of merged lists. Empty: the methods do not exist for this caller. */
  readonly upstreams: readonly string[];
  /** Whether directories can be read: only if all of them can (protocol.md section 8). */
  readonly directoryRead: boolean;
}

export interface SkillAddress {
  readonly upstream: string;
  /** The upstream's own URI. */
  readonly original: string;
}

export function skillParts(services: Services, exchange: Exchange): SkillParts {
  return partsOf(services, viewOf(services, exchange));
}

/** What `server/discover` declares; absent when no visible upstream serves skills. */
export function skillsCapability(services: Services, exchange: Exchange): JsonObject | undefined {
  const { upstreams, directoryRead } = skillParts(services, exchange);
  if (upstreams.length === 0) return undefined;
  return directoryRead ? { directoryRead: true } : {};
}

/** Where the URI of a skill or of a directory leads. Throws `catalog/resource` and `catalog/ambiguous`. */
export function resolveSkillUri(services: Services, exchange: Exchange, uri: string): SkillAddress {
  const named = viewOf(services, exchange).resolveResource(uri);
  if (named.kind === 'ambiguous') throw new TurnpikeError('catalog/ambiguous', named.text, { data: { uri } });
  // A template may fit every URI; the skill that a directory is part of says more.
  const exact = isOurs(uri) || isListed(named) ? named : undefined;
  const found = exact ?? ownerAbove(services, exchange, uri) ?? soleOwner(services, exchange, uri) ?? named;
  if ('upstream' in found && skillParts(services, exchange).upstreams.includes(found.upstream)) return found;
  throw new TurnpikeError('catalog/resource', `resource not found: ${uri}`, { data: { uri } });
}

/**
 * Who serves a file that no list and no template explains: the upstream whose listed `SKILL.md` stands above it, else the only
 * upstream with skills. Skills need not be listed (SEP-2640, "Skill URIs").
 */
export function skillFileOwner(services: Services, exchange: Exchange, uri: string): SkillAddress | undefined {
  if (exchange.era !== 'modern' || isOurs(uri)) return undefined;
  const above = ownerAbove(services, exchange, uri);
  if (above !== undefined) return above;
  const sole = soleOwner(services, exchange, uri);
  return sole !== undefined && soleSkillServer(services, exchange)?.schemes.has(schemeOf(uri)) ? sole : undefined;
}

/** The upstream of the nearest `SKILL.md` above a URI that is in the list. */
function ownerAbove(services: Services, exchange: Exchange, uri: string): SkillAddress | undefined {
  const view = viewOf(services, exchange);
  const { upstreams } = partsOf(services, view);
  if (upstreams.length === 0 || isOurs(uri)) return undefined;
  for (const directory of climb(uri)) {
    const manifest = view.resolveResource(`${directory}${SKILL_FILE}`);
    if (manifest.kind === 'ambiguous') return undefined;
    if (manifest.kind === 'found' && isListed(manifest)) {
      return upstreams.includes(manifest.upstream) ? { upstream: manifest.upstream, original: uri } : undefined;
    }
  }
  return undefined;
}

function soleOwner(services: Services, exchange: Exchange, uri: string): SkillAddress | undefined {
  const upstream = isOurs(uri) ? undefined : soleSkillServer(services, exchange)?.upstream;
  return upstream !== undefined && skillParts(services, exchange).upstreams.includes(upstream) ? { upstream, original: uri } : undefined;
}

export interface SoleSkillServer {
  readonly upstream: string;
  /** Schemes whose unlisted URIs may be files of it: a URI of any other is nothing that it should hear of. */
  readonly schemes: ReadonlySet<string>;
}

/**
 * The only upstream with skills that the caller may see, whatever a toolset narrows. None as long as somebody's capabilities
 * are unknown: a URI must not fall to another upstream because its own one is stopped (security class 16).
 */
export function soleSkillServer(services: Services, exchange: Exchange): SoleSkillServer | undefined {
  const view = services.catalog.viewFor(exchange.caller);
  const sets = new Map(services.upstreams.snapshot().map(({ status, capabilities }) => [status.name, capabilities]));
  const [upstream, ...others] = partsOf(services, view).upstreams;
  const lists = upstream === undefined ? undefined : sets.get(upstream)?.lists;
  if (upstream === undefined || lists === undefined || others.length > 0) return undefined;
  if (view.upstreams.some((name) => sets.get(name) === undefined)) return undefined;
  return { upstream, schemes: new Set([SKILL_SCHEME, ...[...lists.resources, ...lists.templates].map(({ id }) => schemeOf(id))]) };
}

export function schemeOf(uri: string): string {
  return uri.slice(0, uri.indexOf(':') + 1).toLowerCase();
}

/** Whether a URI is in the scheme of ours, which no upstream may use for something of its own. */
export function isOurs(uri: string): boolean {
  return uri.toLowerCase().startsWith(REVERSIBLE_SCHEME);
}

function partsOf(services: Services, view: View): SkillParts {
  const upstreams: string[] = [];
  let directoryRead = true;
  for (const { status, capabilities } of services.upstreams.snapshot()) {
    const { extensions } = capabilities?.capabilities ?? {};
    const declared = isJsonObject(extensions) ? extensions[SKILLS_EXTENSION] : undefined;
    if (capabilities?.era !== 'modern' || !isJsonObject(declared)) continue;
    // Its resources can be read: it is visible and running, and no toolset selects single tools of it only.
    if (view.resolveResource(`${reversibleTemplateHead(status.name)}skill:`).kind !== 'found') continue;
    upstreams.push(status.name);
    if (declared.directoryRead !== true) directoryRead = false;
  }
  return { upstreams: upstreams.sort(compare), directoryRead: directoryRead && upstreams.length > 0 };
}

/** By the list, not by a template. */
function isListed(found: ResourceResolution): boolean {
  return found.kind === 'found' && found.capability?.id === found.original;
}

/** The URI as a directory, then the directories above it. */
function* climb(uri: string): Generator<string> {
  const start = uri.indexOf('://') + 3;
  if (start < 3) return;
  let end = uri.length;
  for (let level = 0; level < MAX_CLIMB && end > start; level++) {
    yield uri.slice(0, end);
    end = uri.lastIndexOf('/', end - 1);
  }
}
