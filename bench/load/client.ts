import { headerOf } from '../http1.ts';
import { Connection, type HttpAnswer } from './connection.ts';
import type { Script } from './script.ts';

/** Whoever calls, one call at a time. */
export interface LoadClient {
  /** Throws unless the answer is the result of this very call, and whole. */
  call(): Promise<unknown>;
  /** Whether its connection is gone: servers close what is idle for long. */
  readonly over: boolean;
  close(): void;
}

/** One client: a socket, a session if the era has them, and the check of each answer. */
export class Client implements LoadClient {
  readonly #script: Script;
  readonly #connection: Connection;
  readonly #head: string;

  private constructor(script: Script, connection: Connection, session: string | undefined) {
    this.#script = script;
    this.#connection = connection;
    this.#head = script.callHead(session);
  }

  static async open(script: Script): Promise<Client> {
    return Client.over(await Connection.open(script.url), script);
  }

  /** A client over a socket that others may have used before. */
  static async over(connection: Connection, script: Script): Promise<Client> {
    if (script.plan.era === 'modern') return new Client(script, connection, undefined);
    const answer = await connection.send(script.initialize());
    if (answer.status !== 200) throw new Error(`initialize was answered ${quoted(answer)}`);
    const session = headerOf(answer.head, 'mcp-session-id');
    await connection.send(script.initialized(session));
    return new Client(script, connection, session);
  }

  /** What `call` sends next, for whoever sends it otherwise. */
  nextRequest(): { readonly id: string; readonly text: string } {
    const id = this.#script.nextId();
    return { id, text: this.#head + this.#script.bodyOf(id) };
  }

  /** As of `LoadClient`; the answer, for whoever wants it. */
  async call(): Promise<HttpAnswer> {
    const { id, text } = this.nextRequest();
    const answer = await this.#connection.send(text);
    const { status, raw, at } = answer;
    if (status !== 200 || !isResult(raw, at, id, this.#script.plan.size)) throw new Error(`call ${id} was answered ${quoted(answer)}`);
    return answer;
  }

  get over(): boolean {
    return this.#connection.over;
  }

  close(): void {
    this.#connection.close();
  }
}

/** Whether the text from `at` on is a result of the request `id` that holds a text of `size`; found in the bytes, for it must cost little. */
export function isResult(text: Buffer, at: number, id: string, size: number): boolean {
  return (
    text.indexOf(`"id":${id}`, at, 'latin1') >= 0 &&
    text.indexOf('"result":', at, 'latin1') >= 0 &&
    text.indexOf('"isError":true', at, 'latin1') < 0 &&
    text.length - at > size
  );
}

function quoted({ status, raw, at }: HttpAnswer): string {
  return `${status} ${raw.toString('latin1', at, at + 300)}`;
}
