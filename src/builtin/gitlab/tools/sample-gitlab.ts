import { GitLabDouble } from '../../../../test/fixtures/gitlab/double.ts';
import { fillSample, type Sample, type Someone } from '../../../../test/fixtures/gitlab/sample.ts';
import { systemClock } from '../../../core/clock.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import { Secret } from '../../../core/secret.ts';
import { compileSchema } from '../../server/schema.ts';
import type { ToolOutcome } from '../../server/server.ts';
import { GitLabClient } from '../client/gitlab-client.ts';
import { OneInstance } from '../client/one-instance.ts';
import { ALL_TOOLS } from './all-tools.ts';
import { silentCall } from './internal-run.ts';
import { Runner } from './runner.ts';
import { openSealing, structured } from './sample-api.ts';
import { inputSchemaOf } from './schemas.ts';
import { DEFAULT_SETTINGS, type GitLabSettings } from './settings.ts';

/** Tools in front of the real client and the double of GitLab: what the double does not know, it refuses. */
export class SampleGitLab implements AsyncDisposable {
  readonly gitlab: GitLabDouble;
  readonly sample: Sample;
  /** Tools that were run. */
  readonly called = new Set<string>();
  readonly #instances: OneInstance;

  private constructor(gitlab: GitLabDouble) {
    this.gitlab = gitlab;
    this.sample = fillSample(gitlab);
    this.#instances = new OneInstance(gitlab.apiUrl, { caCertPath: gitlab.caFile ?? '' });
  }

  static async start(): Promise<SampleGitLab> {
    return new SampleGitLab(await GitLabDouble.start({ root: '/gitlab' }));
  }

  /** Whatever a tool answers, as somebody. Throws where the arguments do not fit the schema. */
  as({ token }: Someone, settings: Partial<GitLabSettings> = {}): (tool: string, args?: JsonObject) => Promise<ToolOutcome> {
    const all: GitLabSettings = {
      ...DEFAULT_SETTINGS,
      toolsets: ['all'],
      tools: ['execute_graphql'],
      confirm: 'allow',
      allowReveal: true,
      ...settings,
    };
    const runner = new Runner(ALL_TOOLS, { settings: all, sealing: openSealing, clock: systemClock });
    const secret = new Secret(token.value);
    const credential = { kind: 'private-token', token: secret } as const;
    const api = new GitLabClient({ apiUrl: this.gitlab.apiUrl, credential, instances: this.#instances, clock: systemClock, version: 'test' });
    const call = silentCall({ api, principal: token.value, secrets: [secret] }, new AbortController().signal);
    return async (tool, args = {}) => {
      this.called.add(tool);
      const declaration = ALL_TOOLS.find(({ name }) => name === tool);
      const faults = declaration === undefined ? [] : compileSchema(inputSchemaOf(declaration, false))(args);
      if (faults.length > 0) throw new TypeError(`${tool}: ${JSON.stringify(faults)}`);
      return runner.run(tool, args, call);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#instances.close();
    await this.gitlab[Symbol.asyncDispose]();
  }
}

/** The structured content of an outcome. Throws where it is an error. */
export async function ok(run: Promise<ToolOutcome>): Promise<ReturnType<typeof structured>> {
  const outcome = await run;
  if (outcome.isError === true) throw new Error(JSON.stringify(outcome.content));
  return structured(outcome);
}
