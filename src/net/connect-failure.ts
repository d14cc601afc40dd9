/** A connection did not come about, so nothing of a request was sent. The message names neither hosts nor credentials. */
export class ConnectFailure extends Error {
  override readonly name = 'ConnectFailure';
  /** Not one of undici's codes: those of its sockets make it connect again for ever. */
  readonly code = 'ERR_CONNECT_FAILED';
  readonly kind: 'proxy' | 'timeout' | 'closed';

  constructor(kind: ConnectFailure['kind'], message: string, cause?: unknown) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message, cause === undefined ? undefined : { cause });
    Error.stackTraceLimit = limit;
    this.kind = kind;
  }
}
