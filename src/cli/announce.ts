import type { Config } from '../config/schema.ts';
import type { GatewayStatus } from '../status.ts';
import { redactText } from '../telemetry/redact.ts';
import { columns } from './text.ts';

/** A version of its own, as we ask of others (security class 30); the interop tests run with it. */
const MCP_REMOTE = 'mcp-remote@0.15.1';

/** Findings that are told at the start; each of them is in the log. */
const SHOWN_FINDINGS = 5;

/** What the texts are made from. */
export interface Announcement {
  readonly config: Config;
  /** `http://127.0.0.1:8080/mcp`. */
  readonly endpoint: string;
  readonly status: GatewayStatus;
  readonly stdio: boolean;
  /** Where the configuration is none of a file that somebody could write. */
  readonly standalone?: boolean;
}

/** Said as soon as the gateway listens. */
export function openingText({
  version,
  file,
  config,
  endpoint,
  status,
  stdio,
}: Announcement & { readonly version: string; readonly file?: string }): string {
  const lines = [
    `Turnpike ${version}`,
    `  Configuration  ${file ?? 'none found (no turnpike.yaml here, no --config)'}`,
    `  Endpoint       ${stdio ? 'standard input and output' : endpoint}`,
    `  Data           ${status.dataDir ?? 'in memory only'}`,
  ];
  if (config.upstreams.length > 0) lines.push(`  Upstreams      ${config.upstreams.length}, starting`);
  return `${lines.join('\n')}\n`;
}

/** Said when every upstream had its first attempt. */
export function catalogText({ config, endpoint, status, stdio, standalone = false }: Announcement): string {
  const parts = [upstreamsText(status)];
  const findings = [...new Set(status.findings)];
  if (findings.length > 0) parts.push(findingsText(findings));
  if (!stdio)
    parts.push(
      clientsText(
        endpoint,
        config.auth.modes.every((mode) => mode === 'none'),
      ),
    );
  if (!standalone) parts.push(OWN_CONFIGURATION);
  return `\n${parts.join('\n')}`;
}

function upstreamsText({ upstreams }: GatewayStatus): string {
  if (upstreams.length === 0) return 'No upstreams are configured, so no tools are served.\n';
  const rows = upstreams.map(({ name, state, era, tools, prompts, resources }) => [
    `  ${name}`,
    state,
    era ?? '-',
    ...[tools, prompts, resources].map(String),
  ]);
  const table = columns([['  UPSTREAM', 'STATE', 'ERA', 'TOOLS', 'PROMPTS', 'RESOURCES'], ...rows], Number.POSITIVE_INFINITY);
  const errors = upstreams.flatMap(({ name, lastError }) => (lastError === undefined ? [] : [`  ${name}: ${redactText(lastError)}`]));
  return `${[...table, ...errors].join('\n')}\n`;
}

function findingsText(findings: readonly string[]): string {
  const more = findings.length > SHOWN_FINDINGS ? `  and ${findings.length - SHOWN_FINDINGS} more, in the log\n` : '';
  return `Findings\n${findings
    .slice(0, SHOWN_FINDINGS)
    .map((finding) => `  ${redactText(finding)}\n`)
    .join('')}${more}`;
}

/** What to paste where. */
function clientsText(endpoint: string, isOpen: boolean): string {
  const credential = isOpen ? {} : { headers: { Authorization: 'Bearer YOUR-TOKEN' } };
  const header = isOpen ? '' : ' --header "Authorization: Bearer YOUR-TOKEN"';
  const bridge = ['-y', MCP_REMOTE, endpoint, ...(isOpen ? [] : ['--header', 'Authorization: Bearer YOUR-TOKEN'])];
  const snippets: readonly (readonly [string, string])[] = [
    ['Claude Code', `claude mcp add --transport http turnpike ${endpoint}${header}`],
    ['Cursor and others (mcp.json)', JSON.stringify({ mcpServers: { turnpike: { url: endpoint, ...credential } } })],
    ['VS Code (.vscode/mcp.json)', JSON.stringify({ servers: { turnpike: { type: 'http', url: endpoint, ...credential } } })],
    ['Claude Desktop and others that start a program', JSON.stringify({ mcpServers: { turnpike: { command: 'npx', args: bridge } } })],
  ];
  return `Connect a client\n${snippets.map(([client, snippet]) => `  ${client}:\n    ${snippet}\n`).join('')}`;
}

const OWN_CONFIGURATION = `Your own configuration: write turnpike.yaml here, or name a file with --config. The smallest one:
  upstreams:
    - {name: files, type: stdio, command: my-mcp-server, args: []}
    - {name: search, type: streamable-http, url: https://search.example.com/mcp}
turnpike init writes one with the servers of the MCP clients on this machine.
turnpike check FILE tells what is wrong with a file, and what is in force; turnpike serve --help lists every setting.
`;
