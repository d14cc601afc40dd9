import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip } from 'node:zlib';
import { GitLabError } from './gitlab-error.ts';
import type { HttpHead } from './http-attempt.ts';

const MIB = 1024 * 1024;

/**
 * The body of an answer, decompressed, in pieces. Bytes are counted after decompression, and no more than a piece is ever held,
 * so that a small answer that unpacks to gigabytes is stopped like a large one (gitlab.md section 3).
 *
 * @param maxBytes whole MiB
 * @throws `GitLabError` `response_too_large`, `invalid_response`; what the connection throws
 */
export async function* chunksOf({ headers, body, hasBody }: HttpHead, maxBytes: number): AsyncGenerator<Buffer, void, undefined> {
  let unzip: Transform | undefined;
  let bytes = 0;
  try {
    unzip = hasBody ? unzipOf(headers['content-encoding']) : undefined;
    const source: Readable = unzip === undefined ? body : pipeline(body, unzip, () => undefined);
    for await (const chunk of source as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      yield chunk;
    }
  } catch (error) {
    if (isOfZlib(error)) throw new GitLabError('invalid_response', 'the compressed answer of GitLab is damaged');
    throw error;
  } finally {
    unzip?.destroy();
    body.destroy();
  }
}

/** All of it at once. Throws as `chunksOf`. */
export async function bytesOf(head: HttpHead, maxBytes: number): Promise<Buffer> {
  const { headers, hasBody, body } = head;
  // Not a byte of it is of use. Of a stream, its beginning may be all that is wanted.
  if (hasBody && headers['content-encoding'] === undefined && Number(headers['content-length']) > maxBytes) {
    body.destroy();
    throw tooLarge(maxBytes);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of chunksOf(head, maxBytes)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function unzipOf(encoding: string | undefined): Transform | undefined {
  switch (encoding?.trim().toLowerCase() ?? '') {
    case '':
    case 'identity':
      return undefined;
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'br':
      return createBrotliDecompress();
    default:
      throw new GitLabError('invalid_response', 'GitLab compressed its answer in a way that was not asked for');
  }
}

function isOfZlib(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^(?:Z_|ERR__|ERR_BROTLI|ERR_PADDING|ERR_ZLIB)/.test(code);
}

function tooLarge(maxBytes: number): GitLabError {
  return new GitLabError('response_too_large', `the answer of GitLab is larger than ${maxBytes / MIB} MiB`, {
    hint: 'Ask for less: a smaller page, a narrower path or time span, or a part of the file.',
  });
}
