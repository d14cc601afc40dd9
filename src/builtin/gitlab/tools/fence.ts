import type { Clock } from '../../../core/clock.ts';
import { TurnpikeError } from '../../../core/errors.ts';
import { isJsonObject } from '../../../core/mcp.ts';
import { apiPath, projectOrGroup } from '../client/api-path.ts';
import { GitLabError } from '../client/gitlab-error.ts';
import { cleanLine } from '../output/clean-text.ts';
import type { GitLabContext } from './gitlab-call.ts';

/** How long the id of a path counts, in milliseconds (gitlab.md 4, "Fence"). */
const KEPT_FOR = 600_000;
/** Resolved paths that are remembered, of all principals. */
const MAX_KNOWN = 10_000;
/** Entries of the fence that are asked for at once. */
const AT_ONCE = 8;

interface Known {
  /** Undefined: there is no such project for this principal. */
  readonly id: number | undefined;
  readonly until: number;
}

/** The projects that may be touched. Ids and paths are compared as numeric ids, each resolved with the caller's own rights. */
export class Fence {
  readonly #allowed: readonly string[];
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();

  constructor(allowed: readonly string[], clock: Clock) {
    this.#allowed = allowed;
    this.#clock = clock;
  }

  /**
   * The numeric id of a project that is inside.
   * @throws `policy/denied` when it is not, or cannot be seen
   */
  async admit(project: unknown, context: GitLabContext, signal: AbortSignal): Promise<number> {
    const id = await this.#idOf(String(project), context, signal);
    const ids = await this.allowedIds(context, signal);
    if (id === undefined || !ids.has(id)) throw fenced(String(project));
    return id;
  }

  /** All ids that this caller may touch. */
  async allowedIds(context: GitLabContext, signal: AbortSignal): Promise<ReadonlySet<number>> {
    const ids = new Set<number>();
    for (let at = 0; at < this.#allowed.length; at += AT_ONCE) {
      const found = await Promise.all(this.#allowed.slice(at, at + AT_ONCE).map((entry) => this.#idOf(entry, context, signal)));
      for (const id of found) if (id !== undefined) ids.add(id);
    }
    return ids;
  }

  async #idOf(project: string, context: GitLabContext, signal: AbortSignal): Promise<number | undefined> {
    const plain = project.trim().replace(/%2f/gi, '/');
    if (/^\d{1,15}$/.test(plain)) return Number(plain);
    const key = JSON.stringify([context.api.apiUrl, context.principal, plain]);
    const known = this.#known.get(key);
    if (known !== undefined && known.until > this.#clock.monotonic()) return known.id;
    const id = await askForId(plain, context, signal);
    this.#known.delete(key);
    this.#known.set(key, { id, until: this.#clock.monotonic() + KEPT_FOR });
    const [oldest] = this.#known.size > MAX_KNOWN ? this.#known.keys() : [];
    if (oldest !== undefined) this.#known.delete(oldest);
    return id;
  }
}

/** What GitLab cannot tell now throws: a fence that cannot be checked is closed. */
async function askForId(project: string, { api }: GitLabContext, signal: AbortSignal): Promise<number | undefined> {
  try {
    const { body } = await api.request({ path: apiPath`/projects/${projectOrGroup(project)}`, signal });
    return isJsonObject(body) && typeof body.id === 'number' ? body.id : undefined;
  } catch (error) {
    if (error instanceof GitLabError && (error.code === 'not_found' || error.code === 'forbidden' || error.code === 'invalid_request'))
      return undefined;
    throw error;
  }
}

export function fenced(project: string): TurnpikeError {
  return new TurnpikeError('policy/denied', `Access denied: project ${cleanLine(project)} is not in the allowed project list`, {
    rule: 'gitlab.allowedProjects',
  });
}
