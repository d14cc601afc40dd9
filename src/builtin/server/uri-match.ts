/** Longest URI that is matched. */
const MAX_URI = 8_192;
/** Most variables in a template of ours. */
const MAX_VARIABLES = 8;

interface Variable {
  readonly name: string;
  /** `{+name}`: may hold `/`. */
  readonly wide: boolean;
}

/** A URI template of our own, compiled. */
export interface UriMatcher {
  readonly variables: readonly string[];
  /** The decoded variables, none of them empty; undefined for a URI that is not of the template. */
  match(uri: string): Readonly<Record<string, string>> | undefined;
}

/**
 * Compiles RFC 6570 templates with `{name}` and `{+name}`. Two wide variables, or two variables without text between them, would make
 * a match ambiguous (and slow): they throw.
 * @throws TypeError for another template: a mistake of whoever wrote it
 */
export function compileUri(template: string): UriMatcher {
  const parts = template.split(/(\{[^{}]*\})/);
  const variables: Variable[] = [];
  let source = '';
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 0) {
      if (/[{}]/.test(part) || (part === '' && index > 0 && index < parts.length - 1)) throw new TypeError(`no such template: ${template}`);
      source += part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    } else {
      const [, wide = '', name = ''] = /^\{(\+?)([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(part) ?? [];
      if (name === '' || variables.some((one) => one.name === name)) throw new TypeError(`no such template: ${template}`);
      variables.push({ name, wide: wide === '+' });
      source += wide === '+' ? '([^?#]+)' : '([^/?#]+)';
    }
  }
  if (variables.length > MAX_VARIABLES || variables.filter(({ wide }) => wide).length > 1) throw new TypeError(`no such template: ${template}`);
  const expression = new RegExp(`^${source}$`, 'u');
  return {
    variables: variables.map(({ name }) => name),
    match(uri) {
      const found = uri.length > MAX_URI ? null : expression.exec(uri);
      if (found === null) return undefined;
      const values = variables.map(({ name }, at) => [name, decoded(found[at + 1] ?? '')] as const);
      return values.every(([, value]) => value !== undefined) ? (Object.fromEntries(values) as Record<string, string>) : undefined;
    },
  };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
