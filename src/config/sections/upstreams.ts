import * as z from 'zod';
import { httpUrlProblem } from '../addresses.ts';
import { globProblem } from '../globs.ts';
import { argumentList, boolean, choice, duration, hasControlCharacters, integer, number, path, secret, secretFile, text, words } from '../leaves.ts';
import { ALWAYS } from '../rules.ts';
import { gitlabBlock, tokenHeaderProblem } from './gitlab.ts';
import { poolTimes } from './limits.ts';
import { NAME_EXPECTED, NAME_PATTERN } from './policy.ts';
import {
  gitlabRules,
  headerNameProblem,
  headerValueProblem,
  RESERVED_NAMES,
  remoteRules,
  sharedRules,
  stdioRules,
  upstreamsRules,
} from './upstream-rules.ts';

export const REMOTE_TYPES = ['streamable-http', 'sse'] as const;
export const PROTOCOLS = ['auto', '2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26'] as const;
const LATER_AUTH = ['auto', 'passthrough', 'forward', 'exchange', 'mint', 'oauth'];

/** aggregator.md section 1. */
const FAMILY_NAME = /^[a-zA-Z][a-zA-Z0-9_-]*$/;
const ARGUMENT = /^[a-zA-Z][a-zA-Z0-9_]*$/;

const url = () => text('an http or https URL without user name and password', httpUrlProblem);
const globs = () => words('a list of patterns of *, ? and [a-z], up to 200 characters each', globProblem);
const name = () => text(NAME_EXPECTED, (value) => (NAME_PATTERN.test(value) ? undefined : 'is no name'));

const ownName = text(NAME_EXPECTED, upstreamNameProblem).meta({
  description: 'Its name: unique, and none of core, workflow, account, meta, events.',
});

const shared = {
  description: text('a text of up to 500 characters', (value) => (value.length > 500 ? 'is longer than 500 characters' : undefined))
    .exactOptional()
    .meta({ description: 'What it is for.' }),
  tenants: words('a list of tenants', undefined, { min: 1, defaultText: 'all' }).exactOptional().meta({ description: 'Who may see it.' }),
  required: boolean().prefault(false).meta({ description: '`/readyz` fails while it is unreachable or failed.' }),
  toolPrefix: name().exactOptional().meta({ description: 'Second part of its exposed names.', defaultText: 'the name' }),
  naming: choice(['prefixed', 'passthrough'])
    .prefault('prefixed')
    .meta({ description: '`passthrough`: its names as they are; one upstream at most.' }),
  family: z
    .strictObject({
      name: text('a letter, then letters, digits, _ and -', (value) => (FAMILY_NAME.test(value) ? undefined : 'is no name of a family')).meta({
        description: 'The family: upstreams with one such name show each of their tools once, as `{prefix}_{family}_{tool}`.',
        example: 'gitlab',
      }),
      instanceArg: text('a letter, then letters, digits and _', (value) => (ARGUMENT.test(value) ? undefined : 'is no name of an argument')).meta({
        description: 'The argument by which a call names the upstream it means.',
        example: 'instance',
      }),
    })
    .exactOptional(),
  protocol: choice(PROTOCOLS).prefault('auto').meta({ description: 'The revision to speak; `auto` asks.' }),
  timeouts: z
    .strictObject({
      connect: duration({ min: 1000, max: 300_000 }).prefault('30s').meta({ description: 'For one connection.' }),
      startup: duration({ min: 1 }).prefault('30s').meta({ description: 'From start to ready.' }),
      list: duration({ min: 1 }).prefault('10s').meta({ description: 'For each of its lists.' }),
      call: duration({ min: 1 }).prefault('60s').meta({ description: 'For a call; progress restarts it.' }),
      callMax: duration({ min: 1 }).prefault('1h').meta({ description: 'For a call in all; progress does not restart it.' }),
    })
    .prefault({}),
  health: z
    .strictObject({
      interval: duration().prefault('30s').meta({ description: 'Between probes; 0 switches them off.' }),
      timeout: duration({ min: 1 }).prefault('5s').meta({ description: 'For one probe.' }),
      failures: integer(1).prefault(3).meta({ description: 'Missed probes after which it is connected anew.' }),
      staleFor: duration().prefault('10m').meta({ description: 'How long a lost upstream stays listed.' }),
    })
    .prefault({}),
  retry: z
    .strictObject({
      initial: duration({ min: 1 }).prefault('2s').meta({ description: 'First wait before connecting again.' }),
      factor: number({ min: 1 }).prefault(2).meta({ description: 'By which each wait is longer than the one before.' }),
      max: duration({ min: 1 }).prefault('2m').meta({ description: 'Longest wait.' }),
      jitter: number({ min: 0, max: 1 }).prefault(0.2).meta({ description: 'Random part of a wait.' }),
    })
    .prefault({}),
  sharing: choice(['session', 'principal', 'shared'])
    .prefault('session')
    .meta({ description: 'Who shares a connection; `shared` declares the upstream stateless.' }),
  pool: z
    .strictObject({
      idleTimeout: poolTimes.idleTimeout.exactOptional().meta({ description: 'As `pool.idleTimeout`.', defaultText: '`pool.idleTimeout`' }),
      maxErrorCount: poolTimes.maxErrorCount.exactOptional().meta({ description: 'As `pool.maxErrorCount`.', defaultText: '`pool.maxErrorCount`' }),
      closeDelay: poolTimes.closeDelay.exactOptional().meta({ description: 'As `pool.closeDelay`.', defaultText: '`pool.closeDelay`' }),
      maxConnections: integer(1).exactOptional().meta({ description: 'Its connections at a time.', defaultText: '`pool.limits.perUpstream`' }),
    })
    .prefault({}),
  tools: z
    .strictObject({
      allow: globs().prefault(['*']).meta({ description: 'Its tools that are offered, by original name.' }),
      deny: globs().prefault([]).meta({ description: 'Its tools that are not, also when allowed.' }),
      readOnly: globs().prefault([]).meta({ description: 'Its tools that pass the non-destructive mode.' }),
      trustAnnotations: boolean().prefault(false).meta({ description: 'Believe its `readOnlyHint` and `idempotentHint`.' }),
    })
    .prefault({}),
};

const stdio = z
  .strictObject({
    name: ownName,
    type: z.literal('stdio').meta({ description: 'A child process that speaks on its pipes.' }),
    ...shared,
    command: text('a program', (value) => (value.includes('\0') ? 'holds a NUL' : undefined)).meta({
      description: 'The program; never a shell line.',
    }),
    args: argumentList().prefault([]).meta({ description: 'Its arguments, passed as they are.' }),
    cwd: path({ defaultText: '`store.dir`' }).exactOptional().meta({ description: 'Its working directory.' }),
    env: z
      .record(z.string(), secret('a text without NUL, in quotes if it looks like a number', noNul, { mayBeEmpty: true }))
      .prefault({})
      .meta({ description: 'Its environment, besides PATH, HOME, LANG, LC_ALL, TZ and TMPDIR.' }),
    allowUnsafeEnv: boolean().prefault(false).meta({ description: 'Allow LD_*, DYLD_*, NODE_OPTIONS and BASH_ENV in `env`.' }),
    auth: z
      .strictObject({ mode: choice(['none'], LATER_AUTH).prefault('none').meta({ description: 'Children get what they need in `env`.' }) })
      .prefault({}),
  })
  .superRefine(sharedRules, ALWAYS)
  .superRefine(stdioRules, ALWAYS)
  .transform((upstream) => ({ ...upstream, toolPrefix: upstream.toolPrefix ?? upstream.name }));

const insecureSkipVerify = boolean()
  .prefault(false)
  .meta({ description: 'Accept any certificate: whoever is on the way can read and change everything.' });
const proxy = secret('the http or https URL of a proxy', proxyProblem)
  .exactOptional()
  .meta({ description: 'HTTP proxy to go through; may hold a user name and password.' });

const remoteFields = {
  ...shared,
  url: url().exactOptional().meta({ description: 'Its endpoint.', example: 'https://search.example.com/mcp' }),
  endpoints: z
    .array(
      z.strictObject({
        url: url().meta({ description: 'The endpoint of one replica.' }),
        type: choice(REMOTE_TYPES).exactOptional().meta({ description: 'Its transport.', defaultText: "the upstream's type" }),
        priority: integer(0, 1000).prefault(0).meta({ description: 'The lowest healthy one is taken.' }),
        weight: integer(1, 1000).prefault(1).meta({ description: 'Share among replicas of one priority.' }),
      }),
    )
    .min(1)
    .exactOptional()
    .meta({ description: 'Replicas, in place of `url`.' }),
  headers: z
    .record(z.string(), secret('a header value of printable characters', headerValueProblem, { mayBeEmpty: true }))
    .prefault({})
    .meta({ description: 'Headers sent with every request; no Authorization, no hop-by-hop headers.' }),
  tls: z
    .strictObject({
      caFile: path({ mustExist: true }).exactOptional().meta({ description: 'PEM file with the only roots that are trusted.' }),
      certFile: path({ mustExist: true }).exactOptional().meta({ description: 'PEM file with our certificate.' }),
      keyFile: path({ mustExist: true }).exactOptional().meta({ description: 'PEM file with its private key.' }),
      serverName: text('a host name').exactOptional().meta({ description: 'Name that its certificate must hold.' }),
      insecureSkipVerify,
    })
    .exactOptional(),
  proxy,
  auth: z
    .strictObject({
      mode: choice(['none', 'header'], LATER_AUTH).prefault('none').meta({ description: 'The credential that is sent.' }),
      header: z
        .strictObject({
          name: text('the name of a header', headerNameProblem).meta({ description: 'Header that carries it.' }),
          value: secret('a header value of printable characters', headerValueProblem, { referenceOnly: true })
            .exactOptional()
            .meta({ description: 'The credential; by reference only.' }),
          valueFile: secretFile('value').exactOptional(),
        })
        .exactOptional(),
    })
    .prefault({}),
};

function remote<const T extends (typeof REMOTE_TYPES)[number]>(type: T, description: string) {
  return z
    .strictObject({ name: ownName, type: z.literal(type).meta({ description }), ...remoteFields })
    .superRefine(sharedRules, ALWAYS)
    .superRefine(remoteRules, ALWAYS)
    .transform(({ url: one, endpoints, ...upstream }) => ({
      ...upstream,
      toolPrefix: upstream.toolPrefix ?? upstream.name,
      endpoints: (endpoints ?? (one === undefined ? [] : [{ url: one, priority: 0, weight: 1 }])).map((endpoint) => ({
        ...endpoint,
        type: endpoint.type ?? type,
      })),
    }));
}

const { protocol: _, ...builtin } = shared;

const gitlab = z
  .strictObject({
    name: ownName,
    type: z.literal('gitlab').meta({ description: 'The GitLab server that is built in.' }),
    ...builtin,
    auth: z
      .strictObject({
        mode: choice(['passthrough', 'header'], ['none', ...LATER_AUTH.filter((mode) => mode !== 'passthrough')])
          .prefault('passthrough')
          .meta({ description: "`passthrough`: the caller's own GitLab token (`auth.modes: [gitlab]`); `header`: one token for all." }),
        header: z
          .strictObject({
            name: text('PRIVATE-TOKEN, JOB-TOKEN or Authorization', tokenHeaderProblem).meta({ description: 'What kind of token it is.' }),
            value: secret('a GitLab token', headerValueProblem, { referenceOnly: true })
              .exactOptional()
              .meta({ description: 'The token, after `Bearer` in Authorization; by reference only.' }),
            valueFile: secretFile('value').exactOptional(),
          })
          .exactOptional(),
      })
      .prefault({}),
    tls: z
      .strictObject({
        caFile: path({ mustExist: true }).exactOptional().meta({ description: 'PEM file with roots that are trusted besides those of the system.' }),
        insecureSkipVerify,
      })
      .exactOptional(),
    proxy,
    gitlab: gitlabBlock,
  })
  .superRefine(sharedRules, ALWAYS)
  .superRefine(gitlabRules, ALWAYS)
  .transform((upstream) => ({
    ...upstream,
    protocol: '2026-07-28' as const,
    toolPrefix: upstream.toolPrefix ?? upstream.name,
    // What we say of our own tools is true.
    tools: { ...upstream.tools, trustAnnotations: true },
  }));

/** `upstreams` (aggregator.md 1). Every problem of every entry is told. */
export const upstreamsSection = z
  .array(
    z.discriminatedUnion('type', [
      stdio,
      remote('streamable-http', 'Streamable HTTP, of either era.'),
      remote('sse', 'HTTP with SSE, revision 2024-11-05.'),
      gitlab,
    ]),
  )
  .superRefine(upstreamsRules, ALWAYS)
  .prefault([])
  .meta({ description: 'The MCP servers behind the gateway.' });

function upstreamNameProblem(value: string): string | undefined {
  if (!NAME_PATTERN.test(value)) return 'is no name';
  return RESERVED_NAMES.includes(value) ? `is '${value}', which is reserved` : undefined;
}

function noNul(value: string): string | undefined {
  return value.includes('\0') ? 'holds a NUL' : undefined;
}

function proxyProblem(value: string): string | undefined {
  return /^https?:\/\//.test(value) && URL.canParse(value) && !hasControlCharacters(value) ? undefined : 'is no such URL';
}
