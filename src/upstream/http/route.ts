/** Where the requests to one URL go, worked out once for all of them. */
export class Route {
  readonly url: URL;
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
  /** `host[:port]`, for messages. */
  readonly host: string;

  constructor(url: URL) {
    this.url = url;
    this.origin = url.origin;
    this.path = url.pathname + url.search;
    this.host = url.host;
  }
}
