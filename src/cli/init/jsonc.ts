import { readDocument } from '../../config/document.ts';
import { err, ok, type Result } from '../../core/result.ts';

/** A comment is replaced by blanks, so that places stay what they are; texts are matched first and kept. */
const TEXT_OR_COMMENT = /"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;
const TEXT_OR_LAST_COMMA = /"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])/g;

/** JSON as clients write and read it: with comments and trailing commas. The error is `LINE:COLUMN what is wrong` and quotes nothing. */
export function parseJsonc(bytes: Uint8Array): Result<unknown, string> {
  const text = new TextDecoder('utf-8').decode(bytes);
  const plain = text
    .replaceAll(TEXT_OR_COMMENT, (found) => (found.startsWith('"') ? found : found.replaceAll(/[^\n]/g, ' ')))
    .replaceAll(TEXT_OR_LAST_COMMA, (found) => (found === ',' ? ' ' : found));
  try {
    return ok(JSON.parse(plain));
  } catch {
    // The message of JSON.parse quotes the file, which may hold secrets; our own reader tells the place alone.
    const read = readDocument('client.json', Buffer.from(plain));
    const place = read.ok ? undefined : read.error[0]?.place;
    return err(`${place === undefined ? '' : `${place.line}:${place.column} `}is no valid JSON`);
  }
}
