import type { Clock } from '../core/clock.ts';
import { repeatedMember } from '../core/json.ts';
import { isJsonObject, type JsonObject } from '../core/mcp.ts';
import type { Capability, CapabilityKind } from '../core/ports.ts';
import { cutDescriptions } from './descriptions.ts';
import type { FindingRule } from './findings.ts';
import { cutHidden, hidesInName, hidesInText, instructionMark } from './hidden-text.ts';
import { inspectSchema } from './schema-limits.ts';
import { compileTemplate } from './uri-template.ts';

/** Deepest nesting of a definition: editing it is recursive, as in core/json.ts. */
const MAX_NESTING = 512;

export interface VetOptions {
  readonly clock: Clock;
  /** What is wrong with the `x-mcp-header` annotations of an input schema, if anything (protocol.md section 2). */
  readonly invalidParamHeader: (schema: unknown) => string | undefined;
}

export interface Note {
  readonly rule: FindingRule;
  readonly text: string;
}

/** A capability after the checks: its bytes as they may be listed, or `fault`: why they may not. */
export interface Vetted {
  readonly bytes: Buffer;
  readonly fault?: Note;
  readonly flags: readonly Note[];
}

/**
 * Decides whether an upstream's definition may be listed (security class 14, protocol.md sections 2 and 4), and cuts
 * hidden characters from its descriptions. All other bytes stay as they came.
 */
export function vet(kind: CapabilityKind, capability: Capability, options: VetOptions): Vetted {
  const { bytes, parsed, id } = capability;
  const fault = nameFault(kind, capability) ?? shapeFault(bytes, parsed);
  if (fault !== undefined) return { bytes, fault, flags: [] };
  const flags: Note[] = [];
  if (kind === 'tools') {
    const schemaFault = inspectTool(parsed, options, flags);
    if (schemaFault !== undefined) return { bytes, fault: schemaFault, flags };
  }
  if (kind === 'templates' && compileTemplate(id) === undefined) {
    flags.push({ rule: 'template', text: 'not a URI template of RFC 6570, or too large: URIs made from it are not routed' });
  }
  const texts = strings(parsed) ?? [];
  const mark = firstMark(texts);
  if (mark !== undefined) flags.push({ rule: 'instructions', text: `the definition holds "${mark}"` });
  return texts.some(hidesInText) ? { bytes: withoutHidden(bytes, flags), flags } : { bytes, flags };
}

function nameFault(kind: CapabilityKind, { id, parsed }: Capability): Note | undefined {
  const names = kind === 'resources' || kind === 'templates' ? [id, parsed.name] : [id];
  const bad = names.some((name) => typeof name === 'string' && (hidesInName(name) || !name.isWellFormed()));
  if (bad) return { rule: 'name', text: 'the name holds hidden characters' };
  return id === '' ? { rule: 'name', text: 'the name is empty' } : undefined;
}

function shapeFault(bytes: Buffer, parsed: JsonObject): Note | undefined {
  // Two readers may take different ones of a repeated member, and the policy is only one of them.
  const repeated = repeatedMember(bytes);
  if (repeated !== undefined) return { rule: 'malformed', text: `member "${repeated}" stands twice` };
  return strings(parsed) === undefined ? { rule: 'schema', text: `nested deeper than ${MAX_NESTING}` } : undefined;
}

function inspectTool({ inputSchema, outputSchema }: JsonObject, { clock, invalidParamHeader }: VetOptions, flags: Note[]): Note | undefined {
  // One such tool makes strict clients refuse the list of all upstreams.
  if (!isJsonObject(inputSchema) || inputSchema.type !== 'object') return { rule: 'malformed', text: 'inputSchema is no schema of type "object"' };
  if (outputSchema !== undefined && !isJsonObject(outputSchema)) return { rule: 'malformed', text: 'outputSchema is no object' };
  for (const [member, schema] of Object.entries({ inputSchema, outputSchema })) {
    const { fault, networkRef } = inspectSchema(schema, clock);
    if (fault !== undefined) return { rule: 'schema', text: `${member}: ${fault}` };
    if (networkRef !== undefined) flags.push({ rule: 'network-reference', text: `${member}: "${networkRef.slice(0, 200)}" is never fetched` });
  }
  const header = invalidParamHeader(inputSchema);
  return header === undefined ? undefined : { rule: 'parameter-header', text: header };
}

function withoutHidden(bytes: Buffer, flags: Note[]): Buffer {
  const cut = cutDescriptions(bytes);
  if (cut !== bytes) flags.push({ rule: 'hidden-characters', text: 'hidden characters were cut from descriptions' });
  const rest = strings(JSON.parse(cut.toString('utf8'))) ?? [];
  if (rest.some(hidesInText)) flags.push({ rule: 'hidden-characters', text: 'hidden characters stand outside descriptions and were left' });
  return cut;
}

function firstMark(texts: readonly string[]): string | undefined {
  for (const text of texts) {
    const mark = instructionMark(hidesInText(text) ? cutHidden(text) : text);
    if (mark !== undefined) return mark;
  }
  return undefined;
}

/** All texts of a value, keys included; `undefined` if it is nested too deeply. */
function strings(root: unknown): string[] | undefined {
  const found: string[] = [];
  const waiting: { readonly value: unknown; readonly depth: number }[] = [{ value: root, depth: 1 }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { value, depth } = next;
    if (typeof value === 'string') found.push(value);
    else if (typeof value === 'object' && value !== null) {
      if (depth > MAX_NESTING) return undefined;
      const isArray = Array.isArray(value);
      for (const [key, child] of Object.entries(value)) {
        if (!isArray) found.push(key);
        waiting.push({ value: child, depth: depth + 1 });
      }
    }
  }
  return found;
}
