import type { Answer } from './mcp.ts';

/** The bytes of a result in pieces that others hold, too: they are joined for whoever needs them in one. */
export class PiecedResult {
  readonly kind = 'result';
  readonly pieces: readonly Buffer[];
  /** As of `Answer`. */
  readonly failed: boolean;
  #result: Buffer | undefined;

  constructor(pieces: readonly Buffer[], failed = false) {
    this.pieces = pieces;
    this.failed = failed;
  }

  get result(): Buffer {
    this.#result ??= Buffer.concat(this.pieces);
    return this.#result;
  }
}

/** Bytes of an answer, without joining them. */
export function lengthOf(answer: Answer): number {
  if (answer.kind === 'error') return answer.error.length;
  if (answer.pieces === undefined) return answer.result.length;
  let length = 0;
  for (const piece of answer.pieces) length += piece.length;
  return length;
}
