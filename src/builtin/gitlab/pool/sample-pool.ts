import type { Principal } from '../../../core/caller.ts';
import { ManualClock } from '../../../core/manual-clock.ts';
import type { Identity } from './identity.ts';
import { type SampleAnswer, SampleGitLab, type SampleRequest } from './sample-gitlab.ts';
import { ServerPool } from './server-pool.ts';
import type { ServerPoolEvent, ServerPoolOptions } from './server-pool-options.ts';

/** Two instances. */
export const A = 'https://gitlab.com';
export const B = 'https://git.corp:8443/gitlab';
export const NEVER = new AbortController().signal;
export const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What a factory of the tests makes. */
export interface SampleServer {
  readonly subject: string;
  readonly apiUrl: string;
  disposed: boolean;
  readonly call: (path: string, signal?: AbortSignal) => Promise<unknown>;
}

/** A pool on a clock that stands, and everything that it does. */
export class PoolRig {
  readonly clock = new ManualClock();
  readonly gitlab = new SampleGitLab();
  readonly made: SampleServer[] = [];
  readonly ended: Principal[] = [];
  readonly events: ServerPoolEvent[] = [];
  pool = this.open();

  /** Another pool instead. */
  open(options: Partial<ServerPoolOptions<SampleServer>> = {}, factory?: (identity: Identity) => void | Promise<void>): ServerPool<SampleServer> {
    this.pool = new ServerPool<SampleServer>(
      { gitlabUrl: A },
      async (client, identity) => {
        await factory?.(identity);
        const server: SampleServer = {
          subject: identity.principal.subject,
          apiUrl: client.apiUrl,
          disposed: false,
          call: (path, signal = NEVER) => client.request({ path, signal }),
        };
        this.made.push(server);
        return server;
      },
      {
        clock: this.clock,
        random: () => 0,
        clients: this.gitlab.clients,
        endSessions: (principal) => void this.ended.push(principal),
        dispose: (server) => {
          server.disposed = true;
        },
        observe: (event) => void this.events.push(event),
        ...options,
      },
    );
    return this.pool;
  }

  answerAll(answer: (request: SampleRequest) => SampleAnswer | undefined): void {
    this.gitlab.override = answer;
  }

  /** Ends the pool. What is left then is a leak. */
  async end(): Promise<{ readonly timers: number; readonly running: number }> {
    await this.pool[Symbol.asyncDispose]();
    await settle();
    return { timers: this.clock.pending, running: this.gitlab.running };
  }
}

/** What a promise rejects with, or that it does not. */
export const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'served',
    (error: unknown) => error,
  );
