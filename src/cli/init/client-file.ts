import { basename, dirname } from 'node:path';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { err, ok, type Result } from '../../core/result.ts';
import type { ClientPlace } from './client-places.ts';
import { parseJsonc } from './jsonc.ts';

/** One server as a client knows it. */
export interface ClientServer {
  readonly name: string;
  /** Foreign: nothing about it is checked yet. */
  readonly entry: unknown;
  /** `mcpServers.github`, for messages. */
  readonly path: string;
}

/** What a client's file says. */
export interface ClientFile extends ClientPlace {
  readonly servers: readonly ClientServer[];
  /** What VS Code asks its user for, by id. */
  readonly inputs: ReadonlyMap<string, { readonly description?: string }>;
}

/** The member that holds servers, in the words of each client. */
const KEYS = ['mcpServers', 'servers', 'context_servers'] as const;
/** Files by whose name and folder the client starts servers in the folder of the project. */
const PROJECT_FOLDERS = new Set(['.cursor', '.vscode', '.gemini', '.roo']);

/** Reads one file of a client. `cwd`: for clients that keep servers by project. */
export function readClientFile(place: ClientPlace, bytes: Uint8Array, cwd: string): Result<ClientFile, string> {
  const parsed = parseJsonc(bytes);
  if (!parsed.ok) return parsed;
  const { value } = parsed;
  if (!isJsonObject(value)) return err('holds no object');
  // VS Code keeps servers below `mcp` in its settings; Claude Code some of them below the project.
  const nested = isJsonObject(value.mcp) ? value.mcp : {};
  const project = isJsonObject(value.projects) ? value.projects[cwd] : undefined;
  const holders: readonly (readonly [string, JsonObject])[] = [
    ['', value],
    ['mcp.', nested],
    ...(isJsonObject(project) ? [[`projects[${JSON.stringify(cwd)}].`, project] as const] : []),
  ];
  const servers = holders.flatMap(([before, holder]) => serversIn(holder, before));
  if (servers.length === 0 && !holders.some(([, holder]) => KEYS.some((key) => isJsonObject(holder[key])))) {
    return err('names no servers (expected mcpServers, servers or context_servers)');
  }
  return ok({ ...place, servers, inputs: new Map([...inputsOf(value.inputs), ...inputsOf(nested.inputs)]) });
}

/** The place of a file that a person names: which client wrote it shows in its path. */
export function namedPlace(file: string, known: readonly ClientPlace[]): ClientPlace {
  const place = known.find((one) => one.file === file);
  if (place !== undefined) return place;
  const folder = dirname(file);
  const name = basename(file);
  if (name === '.mcp.json') return { client: 'Claude Code', file, project: folder };
  if (PROJECT_FOLDERS.has(basename(folder))) return { client: 'its client', file, project: dirname(folder) };
  return { client: 'its client', file };
}

function serversIn(holder: JsonObject, before: string): ClientServer[] {
  return KEYS.flatMap((key) => {
    const found = holder[key];
    return isJsonObject(found) ? Object.entries(found).map(([name, entry]) => ({ name, entry, path: `${before}${key}.${name}` })) : [];
  });
}

function inputsOf(inputs: unknown): [string, { readonly description?: string }][] {
  if (!Array.isArray(inputs)) return [];
  return inputs.filter(isJsonObject).flatMap(({ id, description }): [string, { description?: string }][] => {
    if (typeof id !== 'string') return [];
    return [[id, typeof description === 'string' ? { description } : {}]];
  });
}
