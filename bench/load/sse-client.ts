import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { isResult, type LoadClient } from './client.ts';
import { Connection } from './connection.ts';
import type { Script } from './script.ts';

interface Waiting {
  readonly resolve: (event: Buffer) => void;
  readonly reject: (error: Error) => void;
}

const END_OF_EVENT = Buffer.from('\n\n');

/** A client of HTTP with SSE (2024-11-05): what it says is posted, what it is answered comes on one stream. */
export class SseClient implements LoadClient {
  readonly #script: Script;
  readonly #stream: ClientRequest;
  readonly #posts: Connection;
  #head = '';
  #rest: Buffer = Buffer.alloc(0);
  #waiting: Waiting | undefined;

  private constructor(script: Script, stream: ClientRequest, response: IncomingMessage, posts: Connection) {
    this.#script = script;
    this.#stream = stream;
    this.#posts = posts;
    response.on('data', (chunk: Buffer) => this.#heard(chunk));
    response.on('error', () => {});
    response.on('close', () => this.#waiting?.reject(new Error('the event stream was closed')));
  }

  static async open(script: Script): Promise<SseClient> {
    const { url, plan } = script;
    const headers = { accept: 'text/event-stream', authorization: `Bearer ${plan.token}` };
    const stream = request(url, { headers, agent: false }).end();
    const [response] = (await once(stream, 'response')) as [IncomingMessage];
    if (response.statusCode !== 200) throw new Error(`the event stream was answered ${response.statusCode}`);
    const client = new SseClient(script, stream, response, await Connection.open(url));
    await client.#greet();
    return client;
  }

  async call(): Promise<void> {
    const id = this.#script.nextId();
    const event = await this.#answered(this.#head + this.#script.bodyOf(id));
    if (!isResult(event, 0, id, this.#script.plan.size)) throw new Error(`call ${id} was answered ${event.toString('utf8', 0, 300)}`);
  }

  get over(): boolean {
    return this.#posts.over || this.#stream.destroyed;
  }

  close(): void {
    this.#stream.destroy();
    this.#posts.close();
  }

  async #greet(): Promise<void> {
    const endpoint = /^data: ?(.*)$/m.exec((await this.#next()).toString())?.[1];
    if (endpoint === undefined) throw new Error('the event stream named no endpoint');
    const { pathname, search } = new URL(endpoint, this.#script.url);
    const path = pathname + search;
    await this.#answered(this.#script.initialize(path));
    await this.#posts.send(this.#script.initialized(undefined, path));
    this.#head = this.#script.callHead(undefined, path);
  }

  async #answered(request: string): Promise<Buffer> {
    const event = this.#next();
    const [answer] = await Promise.all([event, this.#posts.send(request)]);
    return answer;
  }

  #next(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  #heard(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (let end = bytes.indexOf(END_OF_EVENT); end >= 0; end = bytes.indexOf(END_OF_EVENT)) {
      const event = bytes.subarray(0, end);
      bytes = bytes.subarray(end + END_OF_EVENT.length);
      // Comments keep the stream open and are no answer.
      if (!event.includes('data:')) continue;
      this.#waiting?.resolve(event);
      this.#waiting = undefined;
    }
    this.#rest = bytes;
  }
}
