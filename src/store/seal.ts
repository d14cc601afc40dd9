import type { Clock } from '../core/clock.ts';
import { TurnpikeError } from '../core/errors.ts';
import type { JsonObject } from '../core/mcp.ts';
import { err, ok, type Result } from '../core/result.ts';
import { decrypt, encrypt, NONCE_BYTES, TAG_BYTES } from './aead.ts';
import type { PurposeKey } from './keys.ts';

/** Characters. A longer text is refused unread. */
export const MAX_SEALED_LENGTH = 128 * 1024;
const OLD_KEYS_OPEN_FOR = 24 * 3_600_000;
const BASE64URL = /^[A-Za-z0-9_-]+$/;

export interface SealerOptions {
  /** Milliseconds since the sealer was made during which keys behind the first still open. Default 24 h (protocol.md section 9). */
  readonly oldKeysOpenFor?: number;
}

/**
 * Texts that travel through clients and come back (request state `rs1.`, task ids `tk1.`, cursors `cu1.`): the prefix,
 * then base64url of key id length, key id, 96-bit nonce, AES-256-GCM ciphertext and tag. Method and prefix are
 * additional data, so a text opens only for the method and the kind it was sealed for. Who may use it, for what and
 * until when stands in the payload and is the caller's to check.
 */
export class Sealer {
  readonly #keys: readonly PurposeKey[];
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #oldKeysEnd: number;

  /** @param keys derived for sealing alone; the first seals, all open. Keys change only at a restart, so their age is the sealer's. */
  constructor(keys: readonly PurposeKey[], prefix: string, clock: Clock, options: SealerOptions = {}) {
    this.#keys = keys;
    this.#prefix = prefix;
    this.#clock = clock;
    this.#oldKeysEnd = clock.monotonic() + (options.oldKeysOpenFor ?? OLD_KEYS_OPEN_FOR);
  }

  /** @throws `internal` when the text would be longer than `open` takes. */
  seal(method: string, payload: object | Buffer): string {
    const [first] = this.#keys;
    if (first === undefined) throw new TurnpikeError('internal', undefined, { reason: 'sealer without a key' });
    const plain = Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload));
    const id = Buffer.from(first.id);
    const text = this.#prefix + Buffer.concat([Buffer.of(id.length), id, encrypt(first.key, plain, this.#additional(method))]).toString('base64url');
    if (text.length > MAX_SEALED_LENGTH) throw new TurnpikeError('internal', undefined, { reason: `sealed text of ${text.length} characters` });
    return text;
  }

  /** The sealed bytes; one answer for every fault, so that nobody learns which one it was. */
  open(method: string, text: string): Result<Buffer, 'invalid'> {
    if (text.length > MAX_SEALED_LENGTH || !text.startsWith(this.#prefix)) return err('invalid');
    const encoded = text.slice(this.#prefix.length);
    if (!BASE64URL.test(encoded)) return err('invalid');
    const bytes = Buffer.from(encoded, 'base64url');
    // Node ignores stray bits and odd lengths: only the one canonical spelling is ours.
    if (bytes.toString('base64url') !== encoded) return err('invalid');
    const idLength = bytes[0] ?? 0;
    if (bytes.length < 1 + idLength + NONCE_BYTES + TAG_BYTES) return err('invalid');
    const id = bytes.toString('utf8', 1, 1 + idLength);
    const index = this.#keys.findIndex((candidate) => candidate.id === id);
    const key = this.#keys[index];
    if (key === undefined || (index > 0 && this.#clock.monotonic() >= this.#oldKeysEnd)) return err('invalid');
    const plain = decrypt(key.key, bytes.subarray(1 + idLength), this.#additional(method));
    return plain === undefined ? err('invalid') : ok(plain);
  }

  /** As `open`, for payloads that were objects. */
  openJson(method: string, text: string): Result<JsonObject, 'invalid'> {
    const opened = this.open(method, text);
    if (!opened.ok) return opened;
    try {
      const value: unknown = JSON.parse(opened.value.toString());
      return typeof value === 'object' && value !== null && !Array.isArray(value) ? ok(value as JsonObject) : err('invalid');
    } catch {
      return err('invalid');
    }
  }

  /** The prefix ends in a dot and is fixed per sealer, so the pair is unambiguous. */
  #additional(method: string): Buffer {
    return Buffer.from(this.#prefix + method);
  }
}
