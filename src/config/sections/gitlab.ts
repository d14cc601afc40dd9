import * as z from 'zod';
import { httpUrlProblem } from '../addresses.ts';
import { boolean, choice, duration, integer, text, textOrNumber, words, wordsOrNumbers } from '../leaves.ts';

/** The instance of those who name none. */
export const GITLAB_COM = 'https://gitlab.com';

/** What a GitLab token may be sent to GitLab as (gitlab.md 1.1). */
const TOKEN_HEADERS = ['PRIVATE-TOKEN', 'JOB-TOKEN', 'Authorization'];

/** Block `gitlab` of an upstream (gitlab.md sections 2 and 4). */
export const gitlabBlock = z
  .strictObject({
    // Not with a default: only what the operator wrote is exempt from the guard of addresses (gitlab.md 2.3).
    url: text('the URL of a GitLab instance', httpUrlProblem, { example: 'https://gitlab.example.com', defaultText: GITLAB_COM })
      .exactOptional()
      .meta({ description: 'The instance. Given, it is the word of the operator: it may be at a private address.' }),
    dynamicUrl: z
      .strictObject({
        enabled: boolean().prefault(false).meta({ description: 'Callers may name another instance by `X-GitLab-API-URL`.' }),
        allowedHosts: words('a list of `[http://]host[:port][/prefix]`, `*.suffix`, or `*`')
          .prefault([])
          .meta({ description: 'Instances that they may name.' }),
        allowPrivateHosts: words('a list of hosts').prefault([]).meta({ description: 'Hosts of those that may be at private addresses.' }),
      })
      .prefault({}),
    pool: z
      .strictObject({
        maxSize: integer(1, 10_000).prefault(100).meta({ description: 'Instances to which connections are held.' }),
        idleTimeout: duration({ min: 1000 }).prefault('5m').meta({ description: 'An instance that nobody used for so long is let go.' }),
        cleanupInterval: duration({ min: 1000 }).prefault('1m').meta({ description: 'Between two looks for such.' }),
      })
      .prefault({}),
    readOnly: boolean().prefault(false).meta({ description: 'Only tools that read.' }),
    masking: boolean().prefault(true).meta({ description: 'Mask secrets in results.' }),
    toolsets: words('a list of toolsets', undefined, { min: 1 })
      .prefault(['default'])
      .meta({ description: 'Toolsets that are offered; `NAME+` with its further tools, `default`, `all`.' }),
    tools: words('a list of tools').prefault([]).meta({ description: 'Single tools besides.' }),
    deniedTools: text('a regular expression of up to 200 characters').exactOptional().meta({ description: 'Tools that are not offered.' }),
    project: textOrNumber('an id or path of a project').exactOptional().meta({ description: 'Project of calls that name none.' }),
    allowedProjects: wordsOrNumbers('a list of ids or paths of projects')
      .prefault([])
      .meta({ description: 'The only projects that may be reached.' }),
    confirm: choice(['ask', 'allow', 'deny'])
      .prefault('ask')
      .meta({ description: 'Destructive calls: ask the human, let them pass, or refuse them.' }),
    allowReveal: boolean().prefault(false).meta({ description: 'Let `get_project_variable` show values.' }),
    maxRequestsPerMinute: integer(1, 1_000).exactOptional().meta({ description: 'Requests of one caller in a minute, beside those of `limits`.' }),
    maxResultBytes: integer(1_000, 10_000_000).prefault(100_000).meta({ description: 'Bytes of one result.' }),
  })
  .prefault({});

/** A token of one's own is sent under a header that GitLab knows. */
export function tokenHeaderProblem(name: string): string | undefined {
  return TOKEN_HEADERS.some((known) => known.toLowerCase() === name.toLowerCase()) ? undefined : 'is no header by which GitLab takes a token';
}
