/**
 * Tells whether a URI may have come from an RFC 6570 template. Foreign templates never become regular expressions
 * (security class 9, CVE-2026-0621): the set of reachable positions is carried from part to part, which takes at most
 * |parts| × |URI| steps whatever the template says.
 */

/** Longer templates, or ones with more expressions, are listed but match nothing. */
const MAX_TEMPLATE_LENGTH = 2_048;
const MAX_EXPRESSIONS = 16;
/** Longer URIs match no template. */
const MAX_URI_LENGTH = 8_192;

interface Expression {
  /** First character of a non-empty expansion (RFC 6570 section 3.2.4 and on); empty for `{x}` and `{+x}`. */
  readonly lead: string;
  /** Characters that end the expansion. */
  readonly stop: string;
}

type Part = string | Expression;

/** How many steps matching may still take: shared by all templates of one upstream and one request. */
export interface StepBudget {
  left: number;
}

export interface UriTemplate {
  /** False also when the budget is used up or the URI is over 8,192 characters. */
  matches(uri: string, budget?: StepBudget): boolean;
}

const OPERATORS: { readonly [operator: string]: Expression } = {
  '': { lead: '', stop: '/?#' },
  '+': { lead: '', stop: '' },
  '#': { lead: '#', stop: '' },
  '.': { lead: '.', stop: '/?#' },
  '/': { lead: '/', stop: '?#' },
  ';': { lead: ';', stop: '/?#' },
  '?': { lead: '?', stop: '#' },
  '&': { lead: '&', stop: '#' },
};
const OPERATOR = '+#./;?&';
/** RFC 6570 section 2.3 and 2.4: one variable with its modifier. */
const VARIABLE = /^[A-Za-z0-9_.%-]+(?:\*|:[1-9][0-9]{0,3})?$/;

/** `undefined`: not a template of RFC 6570, or over the limits above. */
export function compileTemplate(template: string): UriTemplate | undefined {
  if (template.length > MAX_TEMPLATE_LENGTH) return undefined;
  const parts: Part[] = [];
  let expressions = 0;
  let at = 0;
  while (at < template.length) {
    const open = template.indexOf('{', at);
    const literal = template.slice(at, open === -1 ? undefined : open);
    if (literal.includes('}')) return undefined;
    if (literal !== '') parts.push(literal);
    if (open === -1) break;
    const close = template.indexOf('}', open);
    const expression = close === -1 ? undefined : expressionOf(template.slice(open + 1, close));
    if (expression === undefined || ++expressions > MAX_EXPRESSIONS) return undefined;
    parts.push(expression);
    at = close + 1;
  }
  return { matches: (uri, budget) => matchParts(parts, uri, budget ?? { left: Number.POSITIVE_INFINITY }) };
}

function expressionOf(body: string): Expression | undefined {
  const operator = body !== '' && OPERATOR.includes(body.charAt(0)) ? body.charAt(0) : '';
  const variables = body.slice(operator.length).split(',');
  return variables.every((variable) => VARIABLE.test(variable)) ? OPERATORS[operator] : undefined;
}

function matchParts(parts: readonly Part[], uri: string, budget: StepBudget): boolean {
  const [first] = parts;
  // Most templates of a view are told apart by how they start.
  if (uri.length > MAX_URI_LENGTH || budget.left < 0 || (typeof first === 'string' && !uri.startsWith(first))) return false;
  let reached = new Uint8Array(uri.length + 1);
  reached[0] = 1;
  for (const part of parts) {
    budget.left -= uri.length + (typeof part === 'string' ? part.length : 0);
    if (budget.left < 0) return false;
    reached = typeof part === 'string' ? afterLiteral(reached, uri, part) : afterExpression(reached, uri, part);
  }
  return reached[uri.length] === 1;
}

/** Knuth–Morris–Pratt: every place where the literal ends, in |URI| + |literal| steps. */
function afterLiteral(reached: Uint8Array, uri: string, literal: string): Uint8Array<ArrayBuffer> {
  const next = new Uint8Array(uri.length + 1);
  const borders = new Uint16Array(literal.length);
  for (let at = 1, length = 0; at < literal.length; at++) {
    while (length > 0 && literal.charCodeAt(at) !== literal.charCodeAt(length)) length = borders[length - 1] ?? 0;
    if (literal.charCodeAt(at) === literal.charCodeAt(length)) length++;
    borders[at] = length;
  }
  for (let at = 0, length = 0; at < uri.length; at++) {
    while (length > 0 && (length === literal.length || uri.charCodeAt(at) !== literal.charCodeAt(length))) length = borders[length - 1] ?? 0;
    if (uri.charCodeAt(at) === literal.charCodeAt(length)) length++;
    if (length === literal.length && reached[at + 1 - length] === 1) next[at + 1] = 1;
  }
  return next;
}

/** An expansion may be empty: undefined variables expand to nothing. */
function afterExpression(reached: Uint8Array, uri: string, { lead, stop }: Expression): Uint8Array<ArrayBuffer> {
  const next = new Uint8Array(uri.length + 1);
  let inside = false;
  for (let at = 0; at <= uri.length; at++) {
    if (reached[at] === 1) next[at] = 1;
    else if (inside) next[at] = 1;
    if (at === uri.length) break;
    const char = uri.charAt(at);
    if (reached[at] === 1 && (lead === '' ? !stop.includes(char) : char === lead)) inside = true;
    else if (stop.includes(char)) inside = false;
  }
  return next;
}
