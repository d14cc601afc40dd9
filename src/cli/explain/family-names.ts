import { exposedName } from '../../catalog/names.ts';
import type { ToolResolution } from '../../catalog/resolutions.ts';
import type { View } from '../../catalog/view.ts';
import type { Config, UpstreamConfig } from '../../config/schema.ts';
import { redactText } from '../../telemetry/redact.ts';
import type { Survey } from './survey.ts';

/** The name that a tool has in a view; of one that is not in it, the one that it would have. */
export function nameIn(view: View, upstream: UpstreamConfig, original: string, config: Config): string {
  const name = view.nameOfTool(upstream.name, original);
  if (name !== undefined) return name;
  const asMember = nameAsMember(upstream, original, config);
  // Hidden at this member, while others offer it: who asks for it uses the family's name.
  return asMember !== undefined && view.resolveTool(asMember).kind === 'family' ? asMember : exposedName(original, upstream, config.catalog);
}

function nameAsMember({ family }: UpstreamConfig, original: string, { catalog }: Config): string | undefined {
  return family && exposedName(original, { name: family.name, naming: 'prefixed' }, catalog);
}

/** How every name begins that an upstream's tools may have. */
export function headsOf(upstream: UpstreamConfig, config: Config): string[] {
  return [exposedName('', upstream, config.catalog), nameAsMember(upstream, '', config)].filter((head) => head !== undefined);
}

/** What its family does to a tool; undefined for an upstream without one. */
export function familyText(resolution: ToolResolution, { name, family }: UpstreamConfig, original: string, survey: Survey): string | undefined {
  if (family === undefined) return undefined;
  if (resolution.kind === 'family') {
    const { available } = resolution.tool;
    const who = available.length === 0 ? 'no upstream offers it' : `it is offered by ${available.join(', ')}`;
    return `${family.name}: a call names its upstream by the argument ${family.instanceArg}, which does not go on; ${who}`;
  }
  const finding = survey.whole
    .findings()
    .find((one) => one.rule === 'family-fallback' && one.upstream === name && (one.name === original || one.name === family.name));
  return finding && redactText(finding.text);
}
