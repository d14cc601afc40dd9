import { joinArray, objectOf } from '../core/json.ts';
import { redactText } from '../telemetry/redact.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Surroundings } from './surroundings.ts';
import { failure, type Target, talk } from './target.ts';
import { columns, firstLine, printable } from './text.ts';
import { listTools } from './tools.ts';

export interface ListOptions extends Target {
  readonly json: boolean;
}

/** `turnpike list`: names and what they are for on standard output, which upstreams are missing on standard error. */
export function list(options: ListOptions, around: Surroundings): Promise<ExitCode> {
  const { stdout, stderr } = around;
  return talk(options, around, async (client, signal) => {
    const listed = await listTools(client, signal);
    if ('kind' in listed) return failure(listed, around);
    const { tools, missing } = listed;
    for (const { upstream, reason } of missing) stderr.write(`turnpike: upstream ${redactText(upstream)} is missing: ${redactText(reason)}\n`);
    if (options.json) stdout.write(`${objectOf({ tools: joinArray(tools.map(({ bytes }) => bytes)) })}\n`);
    else if (tools.length === 0) stderr.write('No tools are offered to you here.\n');
    else {
      const rows = tools.map(({ name, parsed }) => [
        printable(name, stdout),
        printable(firstLine(typeof parsed.description === 'string' ? parsed.description : ''), stdout),
      ]);
      const width = stdout.isTTY === true ? (stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
      stdout.write(`${columns([['NAME', 'DESCRIPTION'], ...rows], width).join('\n')}\n`);
    }
    return EXIT.done;
  });
}
