import { redactText } from '../../telemetry/redact.ts';
import type { Draft } from './draft-file.ts';

export interface Report {
  readonly draft: Draft;
  readonly output: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly envFile?: string;
  /** Shown once, and nowhere kept. */
  readonly token?: string;
}

/** What was written and what to do next. */
export function closingText({ draft, output, env, envFile, token }: Report): string {
  const { upstreams, variables, port } = draft;
  const lines = [`Written: ${output}, with ${upstreams.length} upstream${upstreams.length === 1 ? '' : 's'}.`];
  if (envFile !== undefined) lines.push(`Written: ${envFile}, with the secrets. Keep it out of version control.`);
  if (token !== undefined) lines.push('', 'The token for your clients, shown this once (Authorization: Bearer TOKEN):', `  ${token}`);
  const missing = variables.filter(({ name, value }) => env[name] === undefined && (envFile === undefined || value === undefined));
  if (missing.length > 0) {
    lines.push('', 'Set these variables before you start, for the file refers to them:');
    for (const { name, source } of missing) lines.push(`  ${name}    ${redactText(source)}`);
  }
  const named = output === 'turnpike.yaml' ? '' : ` --config ${output}`;
  const load = envFile === undefined ? '' : `set -a; . ${envFile.includes('/') ? '' : './'}${envFile}; set +a; `;
  lines.push('', 'Next:', `  ${load}turnpike check ${output}`, `  ${load}turnpike serve${named}`);
  lines.push(`  then give your clients http://127.0.0.1:${port}/mcp in place of these servers, as serve shows.`);
  return `${lines.join('\n')}\n`;
}
