import { join, sep } from 'node:path';

/** A file in which an MCP client keeps its servers. */
export interface ClientPlace {
  readonly client: string;
  /** Absolute. */
  readonly file: string;
  /** The folder in which the client starts the servers of this file; absent for files of the user. */
  readonly project?: string;
}

export interface Machine {
  /** Absolute; where a project's files are looked for. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
}

/** Where common clients keep their servers, the ones of the project first. None of the files need exist. */
export function clientPlaces({ cwd, env, platform }: Machine): ClientPlace[] {
  const home = env.HOME ?? env.USERPROFILE ?? '';
  const ofProject = (client: string, ...path: string[]) => ({ client, file: join(cwd, ...path), project: cwd });
  const ofUser = (client: string, ...path: string[]) => (home === '' ? [] : [{ client, file: join(home, ...path) }]);
  const settings = settingsFolder(env, platform);
  return [
    ofProject('Claude Code', '.mcp.json'),
    ofProject('Cursor', '.cursor', 'mcp.json'),
    ofProject('VS Code', '.vscode', 'mcp.json'),
    ofProject('Gemini CLI', '.gemini', 'settings.json'),
    ofProject('Roo Code', '.roo', 'mcp.json'),
    ...ofUser('Claude Code', '.claude.json'),
    ...ofUser('Cursor', '.cursor', 'mcp.json'),
    ...ofUser('Windsurf', '.codeium', 'windsurf', 'mcp_config.json'),
    ...ofUser('Gemini CLI', '.gemini', 'settings.json'),
    ...ofUser('LM Studio', '.lmstudio', 'mcp.json'),
    ...ofUser('Zed', '.config', 'zed', 'settings.json'),
    ...(settings === undefined
      ? []
      : [
          { client: 'Claude Desktop', file: join(settings, 'Claude', 'claude_desktop_config.json') },
          { client: 'VS Code', file: join(settings, 'Code', 'User', 'mcp.json') },
          {
            client: 'Cline',
            file: join(settings, 'Code', 'User', 'globalStorage', 'saoudrizwan.claude-dev', 'settings', 'cline_mcp_settings.json'),
          },
        ]),
  ];
}

/** Where applications keep their settings on this kind of machine. */
function settingsFolder(env: Machine['env'], platform: NodeJS.Platform): string | undefined {
  if (platform === 'win32') return env.APPDATA;
  const home = env.HOME;
  if (home === undefined || home === '') return undefined;
  if (platform === 'darwin') return join(home, 'Library', 'Application Support');
  return env.XDG_CONFIG_HOME === undefined || env.XDG_CONFIG_HOME === '' ? join(home, '.config') : env.XDG_CONFIG_HOME;
}

/** A path with the home folder as `~`, for messages. */
export function shortPath(path: string, home: string | undefined): string {
  return home !== undefined && home.length > 1 && path.startsWith(`${home}${sep}`) ? `~${path.slice(home.length)}` : path;
}
