import { TurnpikeError } from '../../../core/errors.ts';
import { TOOLSETS, type ToolDeclaration, type Toolset } from './declaration.ts';
import type { GitLabSettings } from './settings.ts';

/** Other servers' names of our toolsets. */
const ALIASES: Readonly<Record<string, Toolset>> = {
  repositories: 'repository',
  branches: 'repository',
  tags: 'repository',
  pipelines: 'ci',
  labels: 'planning',
  milestones: 'planning',
  users: 'identity',
};

const MAX_PATTERN = 200;

/**
 * Which tools an operator switched on, before read-only mode is looked at.
 * @throws `config/invalid` for unknown names and for a pattern of denied tools that may not be (gitlab.md 4, "Toolsets")
 */
export function selectTools(all: readonly ToolDeclaration[], settings: GitLabSettings): readonly ToolDeclaration[] {
  const chosen = new Set(settings.toolsets.flatMap((name) => toolsetTools(all, name.trim())));
  for (const name of settings.tools) {
    const tool = all.find((declaration) => declaration.name === name.trim());
    if (tool === undefined) throw new TurnpikeError('config/invalid', `Unknown tool "${name}" in gitlab.tools (GITLAB_TOOLS)`);
    chosen.add(tool);
  }
  const denied = deniedPattern(settings.deniedTools);
  return all.filter((declaration) => chosen.has(declaration) && denied?.test(declaration.name) !== true);
}

function toolsetTools(all: readonly ToolDeclaration[], name: string): readonly ToolDeclaration[] {
  if (name === 'all') return all.filter(({ tier }) => tier !== 'named');
  if (name === 'default') return all.filter(({ tier }) => tier === 1);
  const withSecond = name.endsWith('+');
  const plain = withSecond ? name.slice(0, -1) : name;
  const toolset = Object.hasOwn(ALIASES, plain) ? ALIASES[plain] : TOOLSETS.find((one) => one === plain);
  if (toolset === undefined) {
    throw new TurnpikeError(
      'config/invalid',
      `Unknown toolset "${name}" in gitlab.toolsets (GITLAB_TOOLSETS). Known: ${TOOLSETS.join(', ')}, default, all`,
    );
  }
  return all.filter((declaration) => declaration.toolset === toolset && (declaration.tier === 1 || (withSecond && declaration.tier === 2)));
}

/** @throws `config/invalid` */
export function deniedPattern(pattern: string): RegExp | undefined {
  if (pattern === '') return undefined;
  const refuse = (why: string) => new TurnpikeError('config/invalid', `gitlab.deniedTools (GITLAB_DENIED_TOOLS_REGEX) ${why}`);
  if (pattern.length > MAX_PATTERN) throw refuse(`is longer than ${MAX_PATTERN} characters`);
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch {
    throw refuse('is not a regular expression');
  }
  if (nestsQuantifiers(pattern)) throw refuse('nests quantifiers, such as (a+)+');
  return expression;
}

/** Whether a group that repeats something is repeated itself. The pattern compiles. */
function nestsQuantifiers(pattern: string): boolean {
  /** For each open group, whether something in it is repeated. */
  const open: boolean[] = [false];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '\\') at++;
    else if (char === '[') at = classEnd(pattern, at);
    else if (char === '(') {
      open.push(false);
      // The `?` of `(?:` is no quantifier.
      if (pattern.charAt(at + 1) === '?') at++;
    } else if (char === ')') {
      const repeats = open.pop() === true;
      const isRepeated = quantifierAt(pattern, at + 1);
      if (repeats && isRepeated) return true;
      if (repeats || isRepeated) open[open.length - 1] = true;
    } else if (quantifierAt(pattern, at)) open[open.length - 1] = true;
  }
  return false;
}

function quantifierAt(pattern: string, at: number): boolean {
  const char = pattern.charAt(at);
  return char === '*' || char === '+' || char === '?' || char === '{';
}

function classEnd(pattern: string, start: number): number {
  let at = start + 1;
  while (at < pattern.length && pattern.charAt(at) !== ']') at += pattern.charAt(at) === '\\' ? 2 : 1;
  return at;
}
