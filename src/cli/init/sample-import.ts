import { type LoadedConfig, loadConfig } from '../../config/load.ts';
import { readClientFile } from './client-file.ts';
import type { ClientPlace } from './client-places.ts';
import { draftFile } from './draft-file.ts';
import { importServers } from './import.ts';
import { verified } from './verified.ts';

const ENV = { HOME: '/users/me', EDITOR: 'vi' };
export const CURSOR: ClientPlace = { client: 'Cursor', file: '/users/me/.cursor/mcp.json' };
export const VSCODE: ClientPlace = { client: 'VS Code', file: '/srv/app/.vscode/mcp.json', project: '/srv/app' };
export const CLAUDE_CODE: ClientPlace = { client: 'Claude Code', file: '/srv/app/.mcp.json', project: '/srv/app' };

/** Imports files of clients and loads what would be written, as `check` does once the variables are set. */
export async function imported(...files: readonly (readonly [ClientPlace, string | object])[]) {
  const read = files.map(([place, content]) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    const result = readClientFile(place, Buffer.from(text), '/srv/app');
    if (!result.ok) throw new Error(result.error);
    return result.value;
  });
  const draft = await verified({ port: 8080, ...importServers(read, { env: ENV, port: 8080 }) }, '/srv/app', ENV);
  const text = draftFile(draft);
  return { draft, text, loaded: await load(text, Object.fromEntries(draft.variables.map(({ name, value }) => [name, value ?? `outside-${name}`]))) };
}

function load(text: string, env: Readonly<Record<string, string>>): Promise<LoadedConfig> {
  return loadConfig({ file: 'turnpike.yaml', cwd: '/srv/app', env: { HOME: '/users/me', ...env }, readFile: async () => Buffer.from(text) });
}

/** Upstreams as they were loaded, secrets revealed, defaults left out. */
export function upstreamsOf({ config }: LoadedConfig) {
  return config.upstreams.map((upstream) => {
    const { name, type } = upstream;
    const texts = (values: Readonly<Record<string, { reveal(): string } | string>>) =>
      Object.fromEntries(Object.entries(values).map(([key, value]) => [key, typeof value === 'string' ? value : value.reveal()]));
    if (upstream.type === 'stdio') return { name, type, command: upstream.command, args: upstream.args, env: texts(upstream.env), cwd: upstream.cwd };
    if (upstream.type === 'gitlab') return { name, type };
    const { header } = upstream.auth;
    return {
      name,
      type,
      url: upstream.endpoints[0]?.url,
      headers: texts(upstream.headers),
      auth: header === undefined ? undefined : `${header.name}: ${header.value?.reveal()}`,
    };
  });
}
