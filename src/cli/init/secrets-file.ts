import type { Variable } from './variables.ts';

/** Secrets as assignments that a shell reads; each value in quotes, whatever it holds. */
export function secretsFile(variables: readonly Variable[]): string {
  const lines = variables.flatMap(({ name, value }) => (value === undefined ? [] : [`${name}='${value.replaceAll("'", "'\\''")}'\n`]));
  return `# Secrets of the upstreams of Turnpike. Keep this file out of version control.\n${lines.join('')}`;
}
