/** A line that came out of a stream. */
export interface StreamedLine {
  /** The line without its end, cut to the longest that is kept. */
  readonly text: string;
  /** Characters that were cut off. */
  readonly cut: number;
}

/**
 * The lines of a body, one by one: memory is bounded by the longest line that is kept and one chunk, however large the body is.
 * UTF-8; a character that is torn between chunks is put together. A last line without an end counts, an empty one behind the
 * last end does not.
 *
 * @param maxLine characters of a line that are kept
 */
export async function* linesOf(chunks: AsyncIterable<Buffer>, maxLine: number): AsyncGenerator<StreamedLine> {
  const decoder = new TextDecoder('utf-8');
  let text = '';
  let cut = 0;
  const take = (piece: string) => {
    const room = Math.max(0, maxLine - text.length);
    text += piece.length > room ? piece.slice(0, room) : piece;
    cut += Math.max(0, piece.length - room);
  };
  for await (const chunk of chunks) {
    const decoded = decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = decoded.indexOf('\n'); end !== -1; end = decoded.indexOf('\n', start)) {
      take(decoded.slice(start, end));
      yield { text, cut };
      text = '';
      cut = 0;
      start = end + 1;
    }
    take(decoded.slice(start));
  }
  take(decoder.decode());
  if (text !== '' || cut > 0) yield { text, cut };
}

/** A line as it is shown: what was cut off is said. */
export function shownLine({ cut }: StreamedLine, clean: string): string {
  return cut === 0 ? clean : `${clean} [${cut} more characters of this line]`;
}
