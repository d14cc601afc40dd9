import { editObject, toJson } from '../core/json.ts';
import type { Era } from '../core/mcp.ts';
import type { CapabilityKind } from '../core/ports.ts';
import { sha256 } from '../core/secret.ts';
import { type Dialect, inDialect } from './dialects.ts';

/** The member that names a capability. */
const NAMED_BY: { readonly [kind in CapabilityKind]: string } = { tools: 'name', prompts: 'name', resources: 'uri', templates: 'uriTemplate' };

/** A capability under one exposed name: the innermost of the three layers of list bytes (performance.md, "Lists"). */
export class Form {
  readonly exposed: string;
  readonly #kind: CapabilityKind;
  readonly #era: Era;
  readonly #bytes: Buffer;
  readonly #dialects = new Map<Dialect, Buffer>();
  #digest: Buffer | undefined;

  constructor(kind: CapabilityKind, era: Era, original: string, exposed: string, bytes: Buffer) {
    this.#kind = kind;
    this.#era = era;
    this.exposed = exposed;
    this.#bytes = exposed === original ? bytes : editObject(bytes, { [NAMED_BY[kind]]: toJson(exposed) });
  }

  bytes(dialect: Dialect): Buffer {
    let bytes = this.#dialects.get(dialect);
    if (bytes === undefined) {
      bytes = inDialect(this.#kind, this.#bytes, this.#era, dialect);
      this.#dialects.set(dialect, bytes);
    }
    return bytes;
  }

  /** Equal digests: equal bytes in every dialect. */
  get digest(): Buffer {
    this.#digest ??= sha256(Buffer.concat([Buffer.from(`${this.#era}:`), this.#bytes]));
    return this.#digest;
  }
}
