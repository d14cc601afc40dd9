import { toJson } from '../../core/json.ts';
import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import { redactText } from '../../telemetry/redact.ts';
import type { ClientFile } from './client-file.ts';
import { shortPath } from './client-places.ts';
import type { DraftUpstream } from './entry-context.ts';
import { namesReferredTo } from './placeholders.ts';
import { upstreamName, upstreamOf } from './server-entry.ts';
import { type Variable, Variables } from './variables.ts';

/** An upstream and where it comes from. */
export interface ImportedUpstream extends DraftUpstream {
  /** `'github' of Cursor (/users/me/.cursor/mcp.json)`; several where clients agree. */
  readonly origins: readonly string[];
}

/** What became of the servers of some clients. */
export interface Imported {
  readonly upstreams: readonly ImportedUpstream[];
  readonly variables: readonly Variable[];
  /** What could not be carried over, or only in another form; each a sentence without values. */
  readonly notes: readonly string[];
}

export interface ImportOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Port of the gateway: a server that is the gateway itself is left out. */
  readonly port: number;
}

/** Makes upstreams of the servers of clients. Pure. */
export function importServers(files: readonly ClientFile[], { env, port }: ImportOptions): Imported {
  const variables = new Variables(files.flatMap(({ servers }) => servers.flatMap(({ entry }) => namesReferredTo(entry))));
  const upstreams = new Map<string, ImportedUpstream & { readonly key: string }>();
  const notes: string[] = [];
  for (const file of files) {
    for (const server of file.servers) {
      const where = `'${redactText(server.name, 80)}' of ${file.client} (${redactText(shortPath(file.file, env.HOME), 300)})`;
      if (isGateway(server.entry, port)) {
        notes.push(`${where}: left out, it is this gateway`);
        continue;
      }
      const key = fingerprint(server.entry, file.project);
      const same = [...upstreams.values()].find((one) => one.key === key);
      if (same !== undefined) {
        upstreams.set(same.name, { ...same, origins: [...same.origins, where] });
        continue;
      }
      const name = upstreamName(server.name, new Set(upstreams.keys()));
      // Names of members are foreign: what is told goes to a terminal, and into comments.
      const note = (text: string) => void notes.push(`${where}: ${redactText(text)}`);
      const made = upstreamOf({ file, server, name, env, variables, note });
      if (!made.ok) notes.push(`${where}: left out, it ${made.error}`);
      else {
        if (name !== server.name) note(`is called ${name} here`);
        upstreams.set(name, { ...made.value, origins: [where], key });
      }
    }
  }
  const made = [...upstreams.values()].map(({ name, fields, origins }) => ({ name, fields, origins }));
  return { upstreams: made, variables: variables.all(), notes };
}

/** Equal for two entries that would become the same upstream. */
function fingerprint(entry: unknown, project: string | undefined): string {
  if (!isJsonObject(entry)) return '';
  const { command, args, env, cwd, url, serverUrl, httpUrl, headers } = entry;
  const address = url ?? serverUrl ?? httpUrl;
  return toJson([command, args, env, command === undefined ? undefined : (cwd ?? project), address, headers].map((part) => part ?? null)).toString();
}

function isGateway(entry: unknown, port: number): boolean {
  const { url, serverUrl, httpUrl }: JsonObject = isJsonObject(entry) ? entry : {};
  const address = [url, serverUrl, httpUrl].find((one) => typeof one === 'string');
  if (typeof address !== 'string' || !URL.canParse(address)) return false;
  const { hostname, port: found, pathname } = new URL(address);
  return /^(localhost|127\.0\.0\.1|\[::1\])$/.test(hostname) && found === String(port) && pathname === '/mcp';
}
