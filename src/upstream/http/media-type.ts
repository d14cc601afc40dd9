import type { IncomingHttpHeaders } from 'node:http';

/** The media type of an answer, in lower case and without its parameters; empty when there is none. */
export function mediaType(headers: IncomingHttpHeaders): string {
  const type = headers['content-type'];
  // As nearly all servers write them.
  if (type === 'application/json' || type === 'text/event-stream') return type;
  const [essence = ''] = (type ?? '').split(';', 1);
  return essence.trim().toLowerCase();
}
