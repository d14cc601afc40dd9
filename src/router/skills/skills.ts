import { inDialect } from '../../catalog/dialects.ts';
import { mergedLifetime } from '../../catalog/lifetimes.ts';
import { compare } from '../../catalog/name-table.ts';
import { hasScheme, parseReversibleUri, reversibleTemplateHead } from '../../catalog/names.ts';
import { PAGE_SIZE } from '../../catalog/pages.ts';
import type { Unavailable, View } from '../../catalog/view.ts';
import { asTurnpikeError, ERRORS, TurnpikeError } from '../../core/errors.ts';
import type { Exchange } from '../../core/exchange.ts';
import { editObject, elements, joinArray, member, objectOf, toJson } from '../../core/json.ts';
import { type Answer, isJsonObject, type JsonObject, META, TURNPIKE_META } from '../../core/mcp.ts';
import { sha256 } from '../../core/secret.ts';
import { redactText } from '../../telemetry/redact.ts';
import { callUpstream } from '../call.ts';
import type { CallNote } from '../call-note.ts';
import { requireText } from '../params.ts';
import type { Services } from '../services.ts';
import { requireScope } from '../tools.ts';
import { viewOf } from '../view-of.ts';
import { openCursor, sealCursor } from './skill-cursor.ts';
import { cachingEdits, gatherSkills, type SkillEntry, type SkillListing } from './skill-lists.ts';
import { isOurs, resolveSkillUri, type SkillParts, schemeOf, skillParts, soleSkillServer } from './skill-owners.ts';

/** Characters of a URI in the audit. */
const MAX_WRITTEN = 256;

/**
 * Skills (`io.modelcontextprotocol/skills`, SEP-2640; protocol.md section 8): entries, digests and sizes pass byte for byte. A
 * skill keeps its URIs where they lead to it alone; else all of them are `turnpike://S/…`, unencoded behind the upstream's name, because
 * clients take a skill's name, root and relative references from the path.
 */

/** `skills/list`, merged. Upstreams that do not answer are named in `_meta["turnpike/unavailable"]`. */
export async function listSkills(services: Services, exchange: Exchange): Promise<Answer> {
  requireScope(exchange, 'turnpike:read');
  await services.started(exchange.signal);
  const { upstreams } = offered(services, exchange);
  const place = openCursor(services, exchange);
  const view = viewOf(services, exchange);
  const failed: Unavailable[] = [];
  const listings: SkillListing[] = [];
  const asked = await Promise.all(upstreams.map((upstream) => listingOrReason(services, exchange, upstream)));
  for (const one of asked) if ('reason' in one) failed.push(one);
  for (const one of asked) if ('entries' in one) listings.push(one);
  const skills = listedEntries(services, exchange, view, listings);
  const digest = place !== undefined || skills.length > PAGE_SIZE ? digestOf(skills) : '';
  if (place !== undefined && place.digest !== digest) throw new TurnpikeError('catalog/cursor');
  const start = place?.offset ?? 0;
  const end = start + PAGE_SIZE;
  const answered = new Set(listings.map(({ upstream }) => upstream));
  const told = new Set(failed.map(({ upstream }) => upstream));
  const unavailable = [...failed, ...view.unavailable.filter(({ upstream }) => !answered.has(upstream) && !told.has(upstream))];
  // What narrows a view, narrows its resources; and what one caller's credential lists is for this caller.
  const own = listings.some(({ upstream }) => services.settings.upstreams.get(upstream)?.credentialMode !== 'none');
  const { ttlMs, cacheScope } = mergedLifetime(
    listings.map(({ caching }) => caching),
    own || view.caching('resources').cacheScope === 'private',
    unavailable.length > 0,
  );
  const meta = {
    [META.serverInfo]: services.settings.serverInfo,
    ...(unavailable.length > 0 ? { [TURNPIKE_META.unavailable]: unavailable.toSorted((a, b) => compare(a.upstream, b.upstream)) } : {}),
  };
  const result = objectOf({
    skills: joinArray(skills.slice(start, end).map(({ entry, plain }) => entryBytes(entry.bytes, plain ? undefined : entry.upstream))),
    nextCursor: end < skills.length ? toJson(sealCursor(services, exchange, { offset: end, digest })) : undefined,
    ttlMs: toJson(ttlMs),
    cacheScope: toJson(cacheScope),
    resultType: toJson('complete'),
    _meta: toJson(meta),
  });
  return { kind: 'result', result };
}

/** `skills/get`: to the upstream that serves the URI. */
export async function getSkill(services: Services, exchange: Exchange, note: CallNote): Promise<Answer> {
  offered(services, exchange);
  const { answer, upstream, renamed } = await relay(services, exchange, note);
  if (answer.kind === 'error') return answer;
  const body = JSON.parse(answer.result.toString('utf8')) as JsonObject;
  const skill = isJsonObject(body.skill) ? member(answer.result, 'skill') : undefined;
  const edits = skill === undefined ? {} : { skill: entryBytes(skill, renamed ? upstream : undefined) };
  return { kind: 'result', result: editObject(answer.result, { ...cachingEdits(body), ...edits }) };
}

/** `resources/directory/read`: as `skills/get`. The cursor is the upstream's own, since the URI leads back to it. */
export async function readDirectory(services: Services, exchange: Exchange, note: CallNote): Promise<Answer> {
  if (!offered(services, exchange).directoryRead) throw unserved(exchange);
  const { answer, upstream, renamed } = await relay(services, exchange, note);
  if (answer.kind === 'error') return answer;
  const body = JSON.parse(answer.result.toString('utf8')) as JsonObject;
  const children = Array.isArray(body.resources) ? member(answer.result, 'resources') : undefined;
  if (children === undefined) return answer;
  const resources = elements(children).map((child) => resourceBytes(child, renamed ? upstream : undefined));
  return { kind: 'result', result: editObject(answer.result, { resources: joinArray(resources) }) };
}

/** Throws `request/method` when no upstream of the caller serves skills: what is not declared does not exist. */
function offered(services: Services, exchange: Exchange): SkillParts {
  const parts = skillParts(services, exchange);
  if (parts.upstreams.length === 0) throw unserved(exchange);
  return parts;
}

function unserved({ method }: Exchange): TurnpikeError {
  return new TurnpikeError('request/method', `Method not found: ${method}`);
}

async function relay(services: Services, exchange: Exchange, note: CallNote) {
  const uri = requireText(exchange, 'uri');
  note.exposed(written(uri));
  const { upstream, original } = resolveSkillUri(services, exchange, uri);
  note.resolved(upstream, written(original));
  requireScope(exchange, 'turnpike:read');
  const renamed = uri !== original;
  const params = renamed ? editObject(exchange.params, { uri: toJson(original) }) : exchange.params;
  const answer = await callUpstream(services, exchange, { upstream, original, method: exchange.method, params, repeatable: true });
  return { answer, upstream, renamed };
}

/** A URI as it may stand in the audit: one that nobody listed is the caller's own text, and may hold a credential (security class 25). */
function written(uri: string): string {
  const named = parseReversibleUri(uri);
  const text = redactText(named?.uri ?? uri, MAX_WRITTEN);
  return named === undefined ? text : `${reversibleTemplateHead(named.upstream)}${text}`;
}

async function listingOrReason(services: Services, exchange: Exchange, upstream: string): Promise<SkillListing | Unavailable> {
  try {
    return await gatherSkills(services, exchange, upstream);
  } catch (error) {
    if (exchange.signal.aborted) throw error;
    const { code, message } = asTurnpikeError(error);
    return { upstream, reason: ERRORS[code].show ? message : ERRORS[code].sentence };
  }
}

interface Listed {
  readonly entry: SkillEntry;
  /** Whether all its URIs lead to its upstream and nowhere else. */
  readonly plain: boolean;
}

/** All entries in their order. */
function listedEntries(services: Services, exchange: Exchange, view: View, listings: readonly SkillListing[]): Listed[] {
  const owners = resourceOwners(view);
  const sole = soleSkillServer(services, exchange);
  const ownerOf = (uri: string) => owners.get(uri) ?? (sole?.schemes.has(schemeOf(uri)) ? sole.upstream : undefined);
  const claims = new Map<string, number>();
  for (const { uri } of listings.flatMap(({ entries }) => entries)) claims.set(uri, (claims.get(uri) ?? 0) + 1);
  const isPlain = ({ upstream, uri, files }: SkillEntry) =>
    claims.get(uri) === 1 && [uri, ...files].every((one) => !isOurs(one) && ownerOf(one) === upstream);
  return listings.flatMap(({ entries }) => entries.map((entry) => ({ entry, plain: isPlain(entry) })));
}

function digestOf(skills: readonly Listed[]): string {
  return sha256(Buffer.concat(skills.map(({ entry, plain }) => sha256(Buffer.concat([toJson([entry.upstream, plain]), entry.bytes]))))).toString(
    'base64url',
  );
}

/** Whom each listed URI leads to; nobody (the empty name) where several claim it. */
function resourceOwners(view: View): ReadonlyMap<string, string> {
  const owners = new Map<string, string>();
  for (const { part, forms } of view.runs('resources')) {
    for (const { exposed } of forms) {
      const contested = parseReversibleUri(exposed);
      owners.set(contested?.uri ?? exposed, contested === undefined ? part.upstream.name : '');
    }
  }
  return owners;
}

/** A skill entry; `upstream`: under URIs that name it. */
function entryBytes(entry: Buffer, upstream: string | undefined): Buffer {
  const bytes = resourceBytes(entry, upstream);
  const files = member(bytes, 'resources');
  if (upstream === undefined || files === undefined || !Array.isArray(JSON.parse(files.toString('utf8')))) return bytes;
  return editObject(bytes, { resources: joinArray(elements(files).map((file) => withName(file, upstream))) });
}

/** Anything with a `uri`, reserved `_meta` members removed as in lists. */
function resourceBytes(bytes: Buffer, upstream: string | undefined): Buffer {
  if (!isJsonObject(JSON.parse(bytes.toString('utf8')))) return bytes;
  const clean = inDialect('resources', bytes, 'modern', 'modern');
  return upstream === undefined ? clean : withName(clean, upstream);
}

function withName(bytes: Buffer, upstream: string): Buffer {
  const parsed: unknown = JSON.parse(bytes.toString('utf8'));
  if (!isJsonObject(parsed) || typeof parsed.uri !== 'string' || !hasScheme(parsed.uri)) return bytes;
  return editObject(bytes, { uri: toJson(`${reversibleTemplateHead(upstream)}${parsed.uri}`) });
}
