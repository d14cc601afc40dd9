/** A variable that the written file refers to. */
export interface Variable {
  readonly name: string;
  /** The secret that stood in the client's file; absent where the client took it from elsewhere, too. */
  readonly value?: string;
  /** Where the value stands now, or who asked for it. */
  readonly source: string;
}

/** The variables of one import: two values never share a name. */
export class Variables {
  readonly #byName = new Map<string, Variable>();
  readonly #reserved: ReadonlySet<string>;

  /** @param reserved names that clients take from their own environment: values of ours must not be called like them */
  constructor(reserved: Iterable<string> = []) {
    this.#reserved = new Set(reserved);
  }

  /** All of them, by name. */
  all(): Variable[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A reference to a variable that is set elsewhere. */
  outside(name: string, source: string): string {
    if (!this.#byName.has(name)) this.#byName.set(name, { name, source });
    return `\${env:${name}}`;
  }

  /** A reference to a variable that holds `value`, called `wanted` if it can be, else after the upstream as well. */
  holding(value: string, { wanted, upstream, source }: { readonly wanted: string; readonly upstream: string; readonly source: string }): string {
    const own = `${variableName(upstream)}_${variableName(wanted)}`;
    const candidates = [variableName(wanted), own, ...Array.from({ length: 1000 }, (_, index) => `${own}_${index + 2}`)];
    // Variables of this prefix are settings; an unknown one stops the start.
    const allowed = candidates.map((name) => (name.startsWith('TURNPIKE_') ? `MCP_${name}` : name));
    const name = allowed.find((one) => !this.#reserved.has(one) && (this.#byName.get(one)?.value ?? value) === value) ?? own;
    if (!this.#byName.has(name)) this.#byName.set(name, { name, value, source });
    return `\${env:${name}}`;
  }
}

/** Any text as the name of a variable. */
export function variableName(text: string): string {
  const name = text
    .replaceAll(/[^A-Za-z0-9]+/g, '_')
    .replaceAll(/^_+|_+$/g, '')
    .toUpperCase();
  return /^[A-Z]/.test(name) ? name : `MCP_${name}`;
}
