/** What a GraphQL document would do. */
export interface GraphqlDocument {
  readonly operation: 'query' | 'mutation';
  /** Names (not aliases) of the fields of the operation itself; `undefined` among them stands for a fragment. */
  readonly roots: readonly (string | undefined)[];
  /** Names of all fields, in fragments too. */
  readonly fields: ReadonlySet<string>;
  /** The document written anew from what was read, comments left out: what is judged is what is sent. */
  readonly text: string;
}

const MAX_LENGTH = 20_000;
const MAX_DEPTH = 64;
/**
 * Tokens of GraphQL (October 2021, section 2.1); a character that begins none of them is refused. Block strings are refused as well:
 * they are not needed here, and readers disagree about their ends.
 */
const TOKEN =
  /(?<blank>[ \t\r\n,\ufeff]+|#[^\r\n]*)|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<text>"(?!"")(?:[^"\\\r\n]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*")|(?<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))|(?<mark>\.\.\.|[!$&():=@[\]{|}])/y;

interface Token {
  readonly kind: 'name' | 'text' | 'number' | 'mark';
  readonly text: string;
}

/**
 * Reads a document of one operation. Anything that is not understood is refused, never passed on.
 * @throws SyntaxError with what is wrong
 */
export function readDocument(source: string): GraphqlDocument {
  if (source.length > MAX_LENGTH) throw new SyntaxError(`a document has at most ${MAX_LENGTH} characters`);
  const tokens = tokensOf(source);
  return new Reader(tokens).document();
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  for (let at = 0; at < source.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const { name, text, number, mark, blank } = TOKEN.exec(source)?.groups ?? {};
    if (blank !== undefined) continue;
    if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else if (text !== undefined) tokens.push({ kind: 'text', text });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark });
    else throw new SyntaxError(`no GraphQL at character ${at + 1}`);
  }
  return tokens;
}

class Reader {
  readonly #tokens: readonly Token[];
  readonly #fields = new Set<string>();
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  document(): GraphqlDocument {
    let found: Pick<GraphqlDocument, 'operation' | 'roots'> | undefined;
    while (this.#at < this.#tokens.length) {
      const keyword = this.#peek() === '{' ? 'query' : this.#name();
      if (keyword === 'fragment') {
        if (this.#name() === 'on') throw new SyntaxError('a fragment has no name');
        this.#expect('on');
        this.#name();
        this.#directives();
        this.#selection(1);
        continue;
      }
      if (keyword !== 'query' && keyword !== 'mutation') throw new SyntaxError(`${keyword} is no operation that can be run here`);
      if (found !== undefined) throw new SyntaxError('one operation in a call');
      found = { operation: keyword, roots: this.#operation() };
    }
    if (found === undefined) throw new SyntaxError('no operation in the document');
    return { ...found, fields: this.#fields, text: this.#tokens.map(({ text }) => text).join(' ') };
  }

  #operation(): (string | undefined)[] {
    if (this.#kind() === 'name') this.#at++;
    if (this.#peek() === '(') this.#group();
    this.#directives();
    return this.#selection(1);
  }

  /** Field names of one level; `undefined` for fragments. */
  #selection(depth: number): (string | undefined)[] {
    if (depth > MAX_DEPTH) throw new SyntaxError(`more than ${MAX_DEPTH} levels`);
    const names: (string | undefined)[] = [];
    this.#expect('{');
    while (this.#peek() !== '}') names.push(this.#peek() === '...' ? this.#fragment(depth) : this.#field(depth));
    this.#expect('}');
    if (names.length === 0) throw new SyntaxError('an empty selection');
    return names;
  }

  #field(depth: number): string {
    let name = this.#name();
    if (this.#peek() === ':') {
      this.#at++;
      name = this.#name();
    }
    this.#fields.add(name);
    if (this.#peek() === '(') this.#group();
    this.#directives();
    if (this.#peek() === '{') this.#selection(depth + 1);
    return name;
  }

  #fragment(depth: number): undefined {
    this.#expect('...');
    if (this.#kind() === 'name') {
      const isInline = this.#name() === 'on';
      if (isInline) this.#name();
      this.#directives();
      if (isInline) this.#selection(depth + 1);
      return undefined;
    }
    this.#directives();
    this.#selection(depth + 1);
    return undefined;
  }

  #directives(): void {
    while (this.#peek() === '@') {
      this.#at++;
      this.#name();
      if (this.#peek() === '(') this.#group();
    }
  }

  /** Arguments or variable definitions: whatever is inside, its brackets match. */
  #group(): void {
    const open: string[] = [];
    do {
      const token = this.#next();
      if (token.kind !== 'mark') continue;
      if (token.text === '(' || token.text === '[' || token.text === '{') open.push(CLOSING[token.text]);
      else if ((token.text === ')' || token.text === ']' || token.text === '}') && open.pop() !== token.text)
        throw new SyntaxError('brackets do not match');
      if (open.length > MAX_DEPTH) throw new SyntaxError(`more than ${MAX_DEPTH} levels`);
    } while (open.length > 0);
  }

  #name(): string {
    const token = this.#next();
    if (token.kind !== 'name') throw new SyntaxError(`a name is missing before ${token.text}`);
    return token.text;
  }

  #expect(text: string): void {
    const token = this.#next();
    if (token.kind === 'text' || token.text !== text) throw new SyntaxError(`${text} is missing before ${token.text}`);
  }

  #next(): Token {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new SyntaxError('the document ends too early');
    return token;
  }

  /** The mark or name that comes next; never a text. */
  #peek(): string | undefined {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new SyntaxError('the document ends too early');
    return token.kind === 'mark' ? token.text : undefined;
  }

  #kind(): Token['kind'] | undefined {
    return this.#tokens[this.#at]?.kind;
  }
}

const CLOSING = { '(': ')', '[': ']', '{': '}' } as const;
