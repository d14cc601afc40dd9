import type { AuthContext } from './auth/authenticator.ts';
import type { Credential } from './auth/credential.ts';
import type { Config } from './config/schema.ts';
import type { Transport, UpstreamState } from './core/ports.ts';
import type { GitLabUpstreams, GitLabUpstreamsOptions } from './gitlab-upstreams.ts';
import type { GitLabNumbers } from './telemetry/instruments.ts';

type Verify = GitLabUpstreams['verify'];

/**
 * The upstreams of type `gitlab`. Their code is loaded for the first configuration that has one, and not before: a process without
 * GitLab has no memory to give for it (performance.md, "idle gateway process").
 */
export class GitLabOnDemand implements AsyncDisposable {
  readonly #options: GitLabUpstreamsOptions;
  #code: typeof import('./gitlab-upstreams.ts') | undefined;
  #upstreams: GitLabUpstreams | undefined;
  #life: AbortSignal | undefined;

  constructor(options: GitLabUpstreamsOptions) {
    this.#options = options;
  }

  /** Loads the code if this configuration needs it. Changes nothing else, so that `reconfigure` can be one step. */
  async load({ upstreams }: Pick<Config, 'upstreams'>): Promise<void> {
    if (upstreams.some(({ type }) => type === 'gitlab')) this.#code ??= await import('./gitlab-upstreams.ts');
  }

  /** As `GitLabUpstreams`; what the configuration needs is loaded. */
  reconfigure(config: Config, isSame?: (name: string) => boolean): void {
    if (this.#upstreams !== undefined) this.#upstreams.reconfigure(config, isSame);
    else if (this.#code !== undefined) {
      this.#upstreams = new this.#code.GitLabUpstreams(config, this.#options);
      if (this.#life !== undefined) this.#upstreams.start(this.#life);
    }
  }

  start(signal: AbortSignal): void {
    this.#life = signal;
    this.#upstreams?.start(signal);
  }

  numbers(): GitLabNumbers | undefined {
    return this.#upstreams?.numbers();
  }

  transport(name: string): Transport | undefined {
    return this.#upstreams?.transport(name);
  }

  judged<T extends { readonly name: string; readonly state: UpstreamState }>(upstreams: readonly T[]): readonly T[] {
    return this.#upstreams?.judged(upstreams) ?? upstreams;
  }

  admits(issuer: string): boolean {
    return this.#upstreams?.admits(issuer) === true;
  }

  isPooled(credential: Credential, context: AuthContext): boolean {
    return this.#upstreams?.isPooled(credential, context) === true;
  }

  async verify(...asked: Parameters<Verify>): ReturnType<Verify> {
    return (await this.#upstreams?.verify(...asked)) ?? { kind: 'refused', reason: 'there is no upstream of type gitlab' };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#upstreams?.[Symbol.asyncDispose]();
  }
}
