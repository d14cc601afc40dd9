import type { Clock } from '../../../core/clock.ts';
import { TurnpikeError } from '../../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import { sha256 } from '../../../core/secret.ts';
import { cleanLine } from '../output/clean-text.ts';
import type { ToolDeclaration } from './declaration.ts';
import { Fence, fenced } from './fence.ts';
import type { GitLabCall, GitLabContext } from './gitlab-call.ts';
import { placeholders } from './routing.ts';
import { selectTools } from './selection.ts';
import type { GitLabSettings } from './settings.ts';

/** What a call may touch, once it is admitted. */
export interface Admission {
  /** With the default project, and numeric ids where there is a fence. */
  readonly args: JsonObject;
  /** Whether an item of a list across projects may be shown; undefined without a fence. */
  readonly isAllowed: ((item: JsonObject) => boolean) | undefined;
}

/** The one place that says what may run: tools, resources, prompts, completions and next steps all pass `refusal` or `admit`. */
export class Access {
  readonly #settings: GitLabSettings;
  readonly #all: ReadonlyMap<string, ToolDeclaration>;
  readonly #selected: ReadonlySet<string>;
  readonly #fence: Fence | undefined;

  /** @throws `config/invalid`, as `selectTools` */
  constructor(all: readonly ToolDeclaration[], settings: GitLabSettings, clock: Clock) {
    this.#settings = settings;
    this.#all = new Map(all.map((declaration) => [declaration.name, declaration]));
    this.#selected = new Set(selectTools(all, settings).map(({ name }) => name));
    this.#fence = settings.allowedProjects.length === 0 ? undefined : new Fence(settings.allowedProjects, clock);
  }

  /** Tools that are listed. */
  get visible(): readonly ToolDeclaration[] {
    return Array.from(this.#all.values()).filter(({ name }) => this.refusal(name) === undefined);
  }

  /** Tools that an operator switched on, and that a mode refuses: whoever calls one hears why. Nobody hears of the others. */
  get withheld(): readonly { readonly declaration: ToolDeclaration; readonly refusal: TurnpikeError }[] {
    return Array.from(this.#all.values()).flatMap((declaration) => {
      const refusal = this.#selected.has(declaration.name) ? this.refusal(declaration.name) : undefined;
      return refusal === undefined ? [] : [{ declaration, refusal }];
    });
  }

  /** Why a tool may not run, whatever its arguments; undefined: it may. */
  refusal(name: string): TurnpikeError | undefined {
    const declaration = this.#all.get(name);
    if (declaration === undefined || !this.#selected.has(name)) return new TurnpikeError('catalog/tool', `${cleanLine(name)} is not available here`);
    if (this.#settings.readOnly && declaration.kind !== 'R' && declaration.onlyReads === undefined) return readOnly(name);
    if (declaration.kind === 'D' && this.#settings.confirm === 'deny') {
      return new TurnpikeError('policy/denied', `${name} is not allowed: gitlab.confirm is deny`, { rule: 'gitlab.confirm' });
    }
    return undefined;
  }

  /** Whether this caller may run a tool: a human who cannot be asked cannot agree. */
  mayRun(name: string, { canElicit }: Pick<GitLabCall, 'canElicit'>): boolean {
    const isAsked = this.#settings.confirm === 'ask' && this.#all.get(name)?.kind === 'D';
    return this.refusal(name) === undefined && (canElicit || !isAsked);
  }

  /** @throws `policy/denied`, `catalog/tool`; what `ask` throws. Until the human agreed GitLab is not asked for anything. */
  async admit(declaration: ToolDeclaration, asked: JsonObject, call: GitLabCall): Promise<Admission> {
    const refusal = this.refusal(declaration.name);
    if (refusal !== undefined) throw refusal;
    if (this.#settings.readOnly && declaration.onlyReads?.(asked) === false) throw readOnly(declaration.name);
    const args = this.#withDefaultProject(declaration, asked);
    if (declaration.kind === 'D') this.confirm(declaration, args, call);
    if (this.#fence === undefined) return { args, isAllowed: undefined };
    return this.#fenced(declaration, args, call, this.#fence);
  }

  /** Asks the human, unless an operator said otherwise. No argument of the call replaces the answer. */
  confirm(declaration: ToolDeclaration, args: JsonObject, call: GitLabCall): void {
    const { name } = declaration;
    if (this.#settings.confirm === 'allow') return;
    if (!call.canElicit) {
      throw new TurnpikeError(
        'policy/denied',
        `${name} needs a human's confirmation and this client cannot ask for it. An operator can set gitlab.confirm to allow`,
        {
          rule: 'gitlab.confirm',
        },
      );
    }
    const answer = call.ask(`confirm-${digest(name, args)}`, questionOf(declaration, args, call.context), CONFIRM_SCHEMA);
    if (answer.action !== 'accept' || answer.content.confirm !== true) {
      throw new TurnpikeError('policy/denied', `${name} was not confirmed; nothing was changed`, { rule: 'gitlab.confirm' });
    }
  }

  #withDefaultProject(declaration: ToolDeclaration, asked: JsonObject): JsonObject {
    const { project } = this.#settings;
    const isNeeded = declaration.routes.every((route) => placeholders(route).some((name) => name === 'project_id' || name === 'group_id'));
    if (project === '' || !isNeeded || asked.project_id !== undefined || asked.group_id !== undefined) return asked;
    return declaration.routes.some((route) => placeholders(route).includes('project_id')) ? { ...asked, project_id: project } : asked;
  }

  async #fenced(declaration: ToolDeclaration, args: JsonObject, call: GitLabCall, fence: Fence): Promise<Admission> {
    if (declaration.beyondFence !== undefined) throw fenced(declaration.beyondFence(args));
    const numeric: Record<string, unknown> = { ...args };
    for (const name of ['project_id', ...(declaration.projects ?? [])]) {
      // The id that was compared is the id that is used: a path may name another project a moment later.
      if (args[name] !== undefined) numeric[name] = await fence.admit(args[name], call.context, call.signal);
    }
    if (declaration.projectOf === undefined || args.project_id !== undefined) return { args: numeric, isAllowed: undefined };
    const path = typeof declaration.projectOf === 'string' ? declaration.projectOf : declaration.projectOf(args);
    const ids = await fence.allowedIds(call.context, call.signal);
    return {
      args: numeric,
      isAllowed: (item) => {
        const id = path.split('.').reduce<unknown>((value, name) => (isJsonObject(value) ? value[name] : undefined), item);
        return typeof id === 'number' && ids.has(id);
      },
    };
  }
}

function readOnly(name: string): TurnpikeError {
  return new TurnpikeError('policy/denied', `${name} is not allowed in read-only mode`, { rule: 'gitlab.readOnly' });
}

const CONFIRM_SCHEMA: JsonObject = {
  type: 'object',
  properties: { confirm: { type: 'boolean', title: 'Do it', description: 'Yes, do this now' } },
  required: ['confirm'],
};

/** Arguments that a human must see whole to judge; each is cut to a line. */
function questionOf(declaration: ToolDeclaration, args: JsonObject, context: GitLabContext): string {
  const effect = declaration.effect?.(args) ?? declaration.description;
  const shown = Object.entries(args).map(([name, value]) => `${name}: ${cleanLine(typeof value === 'string' ? value : JSON.stringify(value), 120)}`);
  return `${cleanLine(effect, 300)} (${declaration.name} at ${new URL(context.api.apiUrl).host}; ${cleanLine(shown.join('; '), 800)})`;
}

function digest(name: string, args: JsonObject): string {
  const given = Object.entries(args).sort(([a], [b]) => (a < b ? -1 : 1));
  return sha256(JSON.stringify([name, given]))
    .toString('base64url')
    .slice(0, 32);
}
