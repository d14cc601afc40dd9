import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../../../core/errors.ts';
import { ManualClock } from '../../../core/manual-clock.ts';
import { isJsonObject, type JsonObject } from '../../../core/mcp.ts';
import { Secret } from '../../../core/secret.ts';
import { compileSchema } from '../../server/schema.ts';
import type { ToolOutcome } from '../../server/server.ts';
import type { ApiPage, ApiRequest, GitLabApi } from '../client/api.ts';
import { isApiPath } from '../client/api-path.ts';
import { ALL_TOOLS } from './all-tools.ts';
import type { ToolDeclaration } from './declaration.ts';
import type { GitLabCall } from './gitlab-call.ts';
import { expanded, placeholders } from './routing.ts';
import { Runner } from './runner.ts';
import { openSealing, TOKEN } from './sample-api.ts';
import { inputSchemaOf, outputSchemaOf } from './schemas.ts';
import { DEFAULT_SETTINGS, type GitLabSettings } from './settings.ts';

/** Every tool against a GitLab and a model that mean harm: whatever comes, the result keeps its rules. */

const ACCESS = 'glpat-abcDEF1234567890abcd';
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U';
const KEY = '-----BEGIN RSA PRIVATE KEY-----\nMIIEsecret\n-----END RSA PRIVATE KEY-----';
const SECRETS = [TOKEN, ACCESS, JWT, 'MIIEsecret', 'hunter2'];
const DROPPED = ['runners_token', 'import_url', 'feed_token', 'incoming_email_token', 'static_object_token'];
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/u;

const PIECES = [
  ...[TOKEN, ACCESS, JWT, KEY, 'postgres://ann:hunter2@db/x', 'glpat-abcDEF12\u202e34567890abcd', `${TOKEN.slice(0, 9)}\u001b[0m${TOKEN.slice(9)}`],
  ...[
    '\u001b[31mred',
    '\u001b]8;;https://evil.test\u0007',
    '\u202e',
    '\u{e0041}\u{e0042}',
    '\u0000',
    '\r\n',
    '\ud800',
    '```\n# heading',
    '> quote',
    '| a | b |',
  ],
  ...['..', 'a/../b', '%2e%2e', '', 'success', 'failed', 'opened', '@@ -1 +1 @@\n+x', 'HEAD', 'x'.repeat(30_000), 'y\n'.repeat(3_000)],
];
const text = fc.oneof(
  { weight: 3, arbitrary: fc.array(fc.constantFrom(...PIECES), { maxLength: 4 }).map((pieces) => pieces.join(' ')) },
  fc.string({ unit: 'binary', maxLength: 20 }),
);
const number = fc.oneof(fc.constantFrom(0, -1, 1, 77, 2 ** 31, Number.MAX_SAFE_INTEGER, -1e300, 1.5), fc.integer());
const NAMES = [
  ...[
    'id',
    'iid',
    'project_id',
    'title',
    'description',
    'status',
    'state',
    'sha',
    'notes',
    'body',
    'author',
    'username',
    'commit',
    'commits',
    'diffs',
    'diff',
  ],
  ...[
    'path',
    'type',
    'slug',
    'ref',
    'value',
    'masked',
    'hidden',
    'projects',
    'includes',
    'diff_refs',
    'old_path',
    'new_path',
    'user',
    'pipeline',
    'labels',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'unheard_of',
    'data',
    'errors',
    'lines',
    'name',
    'expires_at',
    'message',
    'position',
    TOKEN,
    ...DROPPED,
  ],
];
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    text,
    number,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(fc.constantFrom(...NAMES), tie('value')), { maxLength: 8 }).map((members) => Object.fromEntries(members)),
  ),
}));
const object = fc.array(fc.tuple(fc.constantFrom(...NAMES), value), { maxLength: 12 }).map((members) => Object.fromEntries(members) as JsonObject);
const headers = fc.dictionary(fc.constantFrom('x-gitlab-size', 'x-gitlab-last-commit-id', 'x-gitlab-blob-id', 'etag'), text);
const count = fc.oneof(fc.constant(null), fc.nat());
const page: fc.Arbitrary<ApiPage> = fc.record({
  items: fc.array(object, { maxLength: 30 }),
  next: fc.oneof(fc.constant(undefined), fc.dictionary(fc.constantFrom('page', 'cursor', 'id_after', '__proto__'), fc.string())),
  pagination: fc.record({
    ...{ page: count, per_page: count, next_page: count, prev_page: count, total_items: count, total_pages: count },
    has_more: fc.boolean(),
  }),
});

/** What each kind of request is answered with. */
const answers = fc.record({ body: fc.oneof({ weight: 4, arbitrary: object }, value), page, headers, chunks: fc.array(text, { maxLength: 6 }) });
type Answers = typeof answers extends fc.Arbitrary<infer T> ? T : never;

class HostileApi implements GitLabApi {
  readonly apiUrl = 'https://git.example.com/api/v4';
  readonly sent: ApiRequest[] = [];
  readonly #answers: Answers;

  constructor(given: Answers) {
    this.#answers = given;
  }

  async request(request: ApiRequest) {
    this.sent.push(request);
    return { status: 200, body: this.#answers.body, headers: this.#answers.headers };
  }

  async list(request: ApiRequest) {
    this.sent.push(request);
    return this.#answers.page;
  }

  async *page(request: ApiRequest) {
    this.sent.push(request);
    yield* this.#answers.page.items;
  }

  keyset(request: ApiRequest) {
    return this.page(request);
  }

  async stream(request: ApiRequest) {
    this.sent.push(request);
    const { chunks } = this.#answers;
    return {
      headers: this.#answers.headers,
      chunks: (async function* () {
        for (const chunk of chunks) yield Buffer.from(chunk);
      })(),
    };
  }

  async graphql() {
    return isJsonObject(this.#answers.body) ? this.#answers.body : {};
  }
}

/** Arguments that a schema allows, as far out as it allows. */
function argumentsOf(schema: JsonObject): fc.Arbitrary<unknown> {
  const {
    type,
    properties = {},
    required = [],
    items,
    enum: words,
  } = schema as {
    readonly type?: string | readonly string[];
    readonly properties?: Readonly<Record<string, JsonObject>>;
    readonly required?: readonly string[];
    readonly items?: JsonObject;
    readonly enum?: readonly unknown[];
  };
  if (words !== undefined) return fc.constantFrom(...words);
  if (Array.isArray(type)) return fc.oneof(...type.map((one: string) => argumentsOf({ type: one })));
  switch (type) {
    case 'string':
      return fc.oneof({ weight: 2, arbitrary: fc.constantFrom('main', 'group/app', 'group%2Fapp', 'a b/c.ts', '{ a }', 'k') }, text);
    case 'integer':
      return fc.oneof({ weight: 2, arbitrary: fc.nat(100) }, fc.maxSafeInteger());
    case 'boolean':
      return fc.boolean();
    case 'array':
      return fc.array(argumentsOf(items ?? { type: 'string' }), { maxLength: 3 });
    default: {
      const members = Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, argumentsOf(one)]));
      if (Object.keys(members).length === 0) return object;
      return fc.record(members, { requiredKeys: required as string[] });
    }
  }
}

const NEVER = new AbortController().signal;

function rig(api: GitLabApi, more: Partial<GitLabSettings> = {}) {
  const settings = { ...DEFAULT_SETTINGS, toolsets: ['all'], tools: ['execute_graphql'], allowReveal: true, ...more };
  const clock = new ManualClock();
  const runner = new Runner(ALL_TOOLS, { settings, sealing: openSealing, clock });
  let asked = 0;
  const call: GitLabCall = {
    context: { api, principal: 'p', secrets: [new Secret(TOKEN)] },
    ...{ signal: NEVER, canElicit: true, progress: () => {} },
    ask: () => {
      asked++;
      return { action: 'decline' };
    },
  };
  /** The outcome, or one of our errors; anything else is thrown. Waits pass at once. */
  const run = async (name: string, args: JsonObject): Promise<ToolOutcome | TurnpikeError> => {
    let isDone = false;
    const running = runner.run(name, args, call).finally(() => {
      isDone = true;
    });
    running.catch(() => {});
    for (await Promise.resolve(); !isDone && name.startsWith('wait_'); await new Promise((resolve) => setImmediate(resolve)))
      clock.advance(3_600_000);
    return running.catch((error: unknown) => {
      if (error instanceof TurnpikeError) return error;
      throw error;
    });
  };
  return { runner, run, asked: () => asked };
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => [...(Array.isArray(value) ? [] : [name]), ...textsIn(inner)]);
}

const schemaOf = (declaration: ToolDeclaration) => inputSchemaOf(declaration, false);
const inputs = new Map(ALL_TOOLS.map((declaration) => [declaration.name, compileSchema(schemaOf(declaration))]));
const RUNS = { numRuns: 8, reporter: short };

/** A counterexample may be very long. */
function short<T>({ failed, counterexample, seed, counterexamplePath, errorInstance }: fc.RunDetails<T>): void {
  if (!failed) return;
  const example = JSON.stringify(counterexample).replace(/(.{1,3})\1{20,}/g, '$1…');
  throw new Error(`seed ${seed}, path ${counterexamplePath}: ${example.slice(0, 2_000)}`, { cause: errorInstance });
}

describe.each(ALL_TOOLS.map((declaration) => ({ name: declaration.name, declaration })))('$name', ({ name, declaration }) => {
  const args = argumentsOf(schemaOf(declaration)) as fc.Arbitrary<JsonObject>;
  const output = compileSchema(outputSchemaOf(declaration));

  it('keeps its rules whatever GitLab says', async () => {
    await fc.assert(
      fc.asyncProperty(args, answers, fc.constantFrom(4_000, 20_000), async (given, said, maxResultBytes) => {
        const outcome = await rig(new HostileApi(said), { confirm: 'allow', maxResultBytes }).run(name, {
          ...given,
          ...(name.startsWith('wait_') && { timeout: 1 }),
        });
        expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
        if (outcome instanceof TurnpikeError) return;
        const { structuredContent, content } = outcome;
        expect(Buffer.byteLength(JSON.stringify({ structuredContent, content }))).toBeLessThanOrEqual(maxResultBytes);
        expect(output(structuredContent)).toEqual([]);
        const { next_steps, ...facts } = structuredContent as { readonly next_steps?: readonly { tool: string; arguments: JsonObject }[] };
        for (const shown of [...textsIn(facts), ...textsIn(content)]) expect(shown).not.toMatch(HIDDEN);
        const all = JSON.stringify([structuredContent, content]);
        for (const secret of SECRETS) expect(all).not.toContain(secret);
        for (const field of DROPPED) expect(textsIn(facts)).not.toContain(field);
        expect(next_steps?.length ?? 0).toBeLessThanOrEqual(3);
        for (const step of next_steps ?? []) expect(inputs.get(step.tool)?.(step.arguments), step.tool).toEqual([]);
      }),
      RUNS,
    );
  });

  it('asks nothing but what it declares, whatever a model wants', async () => {
    const beginnings = declaration.routes.map((route) => expanded(route));
    await fc.assert(
      fc.asyncProperty(args, answers, async (given, said) => {
        const api = new HostileApi(said);
        await rig(api, { confirm: 'allow' }).run(name, { ...given, ...(name.startsWith('wait_') && { timeout: 1 }) });
        for (const { path, method = 'GET' } of api.sent) {
          expect(path).toSatisfy(isApiPath);
          expect(path).not.toMatch(/%00|%0a|\/(?:\.|%2e)+(?:\/|$)/i);
          if (declaration.kind === 'R') expect(['GET', 'HEAD', ...(declaration.method === undefined ? [] : [declaration.method])]).toContain(method);
          if (beginnings.every((route) => placeholders(route).includes('project_id'))) expect(path).toMatch(/^\/projects\/[^/]+(?:\/|$)/);
        }
      }),
      RUNS,
    );
  });
});

const NONE = { page: null, per_page: null, next_page: null, prev_page: null, total_items: null, total_pages: null, has_more: false };

it.each(ALL_TOOLS.filter(({ kind }) => kind === 'D'))(
  '$name does nothing that the human did not agree to, whatever the arguments',
  async (declaration) => {
    const { name } = declaration;
    const args = argumentsOf(schemaOf(declaration)) as fc.Arbitrary<JsonObject>;
    const more = { confirm: true, confirmed: true, force: true, user_confirmed: 'yes', _meta: { confirm: true }, inputResponses: {} };
    await fc.assert(
      fc.asyncProperty(args, async (given) => {
        const api = new HostileApi({ body: {}, headers: {}, chunks: [], page: { items: [], next: undefined, pagination: NONE } });
        const { run, asked } = rig(api);
        const outcome = await run(name, { ...more, ...given });
        expect(outcome).toBeInstanceOf(TurnpikeError);
        expect([api.sent, asked()]).toEqual([[], 1]);
      }),
      RUNS,
    );
  },
);
