import type { Clock } from '../../../core/clock.ts';
import { TurnpikeError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/mcp.ts';
import { compileSchema, type Validator } from '../../server/schema.ts';
import type { ToolOutcome } from '../../server/server.ts';
import { Masker } from '../output/masking.ts';
import { Access } from './access.ts';
import { answerOf, failureOf } from './answer.ts';
import { Cursors } from './cursors.ts';
import type { ToolDeclaration, Work } from './declaration.ts';
import type { GitLabCall } from './gitlab-call.ts';
import { viaRest } from './rest.ts';
import { inputSchemaOf } from './schemas.ts';
import type { GitLabSettings, Sealing } from './settings.ts';

export interface RunnerOptions {
  readonly settings: GitLabSettings;
  readonly sealing: Sealing;
  readonly clock: Clock;
}

/** Runs tools. Resources, prompts and completions run them too, so that there is one path to GitLab and one from it. */
export class Runner {
  readonly access: Access;
  readonly settings: GitLabSettings;
  readonly clock: Clock;
  readonly #declarations: ReadonlyMap<string, ToolDeclaration>;
  readonly #cursors: Cursors;
  readonly #inputs = new Map<string, Validator>();

  /** @throws `config/invalid` for settings that name unknown tools and the like */
  constructor(declarations: readonly ToolDeclaration[], { settings, sealing, clock }: RunnerOptions) {
    this.access = new Access(declarations, settings, clock);
    this.settings = settings;
    this.clock = clock;
    this.#declarations = new Map(declarations.map((declaration) => [declaration.name, declaration]));
    this.#cursors = new Cursors(sealing);
  }

  /**
   * One call of a tool.
   * @param maxBytes of the result; a prompt shares its own between several
   * @throws `policy/denied`, `catalog/tool`, `request/params`; what `ask` throws. Errors of GitLab are results.
   */
  async run(name: string, asked: JsonObject, call: GitLabCall, maxBytes = this.settings.maxResultBytes): Promise<ToolOutcome> {
    const masker = new Masker(call.context.secrets, this.settings.masking);
    const declaration = this.#declarations.get(name);
    if (declaration === undefined) throw this.access.refusal(name) ?? new TurnpikeError('catalog/tool');
    try {
      const { args, isAllowed } = await this.access.admit(declaration, asked, call);
      const { context, signal } = call;
      const work: Work = {
        ...{ declaration, args, asked, call, signal, masker, isAllowed },
        api: context.api,
        settings: { ...this.settings, maxResultBytes: maxBytes },
        clock: this.clock,
        cursors: this.#cursors,
        confirm: () => this.access.confirm(declaration, args, call),
      };
      return answerOf(
        await (declaration.run ?? viaRest)(work),
        work,
        (tool, given) => this.access.mayRun(tool, call) && (given === undefined || this.#fits(tool, given)),
      );
    } catch (error) {
      const failure = failureOf(error, name, masker);
      if (failure === undefined) throw error;
      return failure;
    }
  }

  /** Whether arguments are such as the tool takes: what GitLab answered may be of any type. */
  #fits(tool: string, args: JsonObject): boolean {
    const declaration = this.#declarations.get(tool);
    if (declaration === undefined) return false;
    const validator = this.#inputs.get(tool) ?? compileSchema(inputSchemaOf(declaration, this.settings.project !== ''));
    this.#inputs.set(tool, validator);
    return validator(args).length === 0;
  }
}
