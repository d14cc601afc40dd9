import { MASK, Secret } from '../core/secret.ts';

/** Shorter values are no secrets, and looking for them would blot out ordinary words. */
const SHORTEST_VALUE = 6;
/** More is cut off before the search; what is shown is shorter by far. */
const LOOKED_AT = 8_192;

/** Takes secrets of ours out of texts of foreign origin: an upstream may say in its error what it was sent. */
export class ValueMask {
  readonly #secrets: readonly Secret[];
  /** The secrets as they were when `#parts` were made of them. */
  #made: readonly Secret[] = [];
  #parts: readonly Secret[] = [];

  /** The list may change: a reload brings other secrets. */
  constructor(secrets: readonly Secret[]) {
    this.#secrets = secrets;
  }

  /** The first 8,192 characters of a text without the secrets: each as it is, as its lines, and what follows the scheme of a header. */
  mask(text: string): string {
    let masked = text.length > LOOKED_AT ? text.slice(0, LOOKED_AT) : text;
    for (const part of this.#current()) {
      const plain = part.reveal();
      if (plain.length <= masked.length) masked = masked.replaceAll(plain, MASK);
    }
    return masked;
  }

  #current(): readonly Secret[] {
    const isSame = this.#made.length === this.#secrets.length && this.#made.every((secret, index) => secret === this.#secrets[index]);
    if (!isSame) {
      this.#made = [...this.#secrets];
      this.#parts = this.#made.flatMap(partsOf);
    }
    return this.#parts;
  }
}

function partsOf(secret: Secret): Secret[] {
  const plain = secret.reveal();
  const parts = new Set([plain, ...plain.split(/[\r\n]+/), plain.slice(plain.indexOf(' ') + 1)]);
  return Array.from(parts)
    .filter((part) => part.length >= SHORTEST_VALUE)
    .map((part) => new Secret(part));
}
