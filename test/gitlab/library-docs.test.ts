import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ALL_TOOLS } from '../../src/builtin/gitlab/tools/all-tools.ts';
import { TOOLSETS } from '../../src/builtin/gitlab/tools/declaration.ts';
import { VARIABLES } from '../../src/cli/gitlab/variables.ts';
import { gitlabBlock } from '../../src/config/sections/gitlab.ts';
import * as gitlab from '../../src/gitlab/index.ts';
import { ROOT, read } from '../docs/markdown.ts';

const guide = read('docs/guides/gitlab-library.md');

/** Names that the subpath exports, types included, as users write them. */
function exported(): string[] {
  const source = readFileSync(join(ROOT, 'src/gitlab/index.ts'), 'utf8');
  return [...source.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list = '']) =>
    list
      .split(',')
      .map((name) =>
        name
          .trim()
          .replace(/^type /, '')
          .replace(/^.* as /, ''),
      )
      .filter((name) => name !== ''),
  );
}

describe('docs/guides/gitlab-library.md', () => {
  it('names every export, and no other', () => {
    const names = exported();
    expect(names).toEqual(expect.arrayContaining(Object.keys(gitlab)));
    expect(names.filter((name) => !guide.includes(`\`${name}\``))).toEqual([]);
    const [, all = ''] = guide.split('## All names');
    expect([...all.matchAll(/`(\w+)`/g)].map(([, name]) => name).toSorted()).toEqual(names.toSorted());
  });

  it('names every member', () => {
    const made = [gitlab.ServerPool, gitlab.AuthRateLimiter, gitlab.GitLabClientPool, gitlab.GitLabClient, gitlab.Instances];
    const members = made.flatMap((one) => Object.getOwnPropertyNames(one.prototype)).filter((name) => name !== 'constructor');
    expect(members.filter((name) => !new RegExp(`[\`.]${name}[(\`]`).test(guide))).toEqual([]);
  });
});

describe('its table of errors', () => {
  it.each([
    new gitlab.MalformedCredentialError(),
    new gitlab.CredentialRejectedError(),
    new gitlab.CredentialRejectedError(['api']),
    new gitlab.UpstreamUnavailableError(),
    new gitlab.InvalidUrlError({ kind: 'invalid', detail: 'x' }),
    new gitlab.InvalidUrlError({ kind: 'forbidden', reason: 'x' }),
    new gitlab.PoolCapacityError('max 1 instances'),
  ])('has the code of %s', (error) => {
    const row = guide.split('\n').find((line) => line.startsWith(`| \`${error.constructor.name}\``)) ?? '';
    expect(row.split('|')[2]).toContain(`\`${error.code}\``);
  });
});

describe('pages for those who come from elsewhere', () => {
  it('name every identifier of the Go package', () => {
    const page = read('docs/migration/gitlab-server-pool.md');
    const identifiers = [
      ...['DefaultRevalidateInterval', 'ExtractToken', 'AuthRateLimiter', 'NewAuthRateLimiter', 'Cleanup', 'IsBlocked', 'RecordFailure'],
      ...['Metrics', 'Option', 'WithMaxSize', 'WithRevalidateInterval', 'ServerFactory', 'ServerPool', 'New', 'Close', 'GetOrCreate', 'Size'],
      ...['StartRevalidation', 'Stats', 'Snapshot'],
    ];
    expect(identifiers.filter((name) => !new RegExp(`\`(?:\\w+\\.)?${name}(?:\\([^\`]*)?\``).test(page))).toEqual([]);
  });

  it('name every variable and header of the server with a dynamic URL', () => {
    const page = read('docs/migration/gitlab-dynamic-api-url.md');
    const names = [
      ...['ENABLE_DYNAMIC_API_URL', 'REMOTE_AUTHORIZATION', 'STREAMABLE_HTTP', 'GITLAB_API_URL', 'GITLAB_POOL_MAX_SIZE', 'GITLAB_POOL_IDLE_TIMEOUT'],
      ...[
        'GITLAB_POOL_CLEANUP_INTERVAL',
        'HTTP_PROXY',
        'HTTPS_PROXY',
        'NODE_TLS_REJECT_UNAUTHORIZED',
        'GITLAB_CA_CERT_PATH',
        'MAX_REQUESTS_PER_MINUTE',
      ],
      ...['SESSION_TIMEOUT_SECONDS', 'LOG_LEVEL', 'X-GitLab-API-URL', 'MCP-Session-ID', 'Private-Token', 'Authorization'],
    ];
    expect(names.filter((name) => !page.includes(name))).toEqual([]);
  });
});

describe('docs/guides/gitlab.md', () => {
  const page = read('docs/guides/gitlab.md');

  it('counts the tools that there are, and names every toolset', () => {
    const byDefault = ALL_TOOLS.filter(({ tier }) => tier === 1).length;
    expect(page).toContain(`By default ${byDefault}, of ${ALL_TOOLS.length}.`);
    expect(read('README.md')).toContain(`${ALL_TOOLS.length} tools`);
    expect(TOOLSETS.filter((name) => !new RegExp(`[\\s\`]${name}[\\s\`]`).test(page))).toEqual([]);
  });

  it('names every setting of the block, and every variable that is about tools', () => {
    expect(Object.keys(gitlabBlock.unwrap().shape).filter((key) => !new RegExp(`\`(?:gitlab\\.)?${key}[\`:.]|${key}:`).test(page))).toEqual([]);
    const reference = read('docs/reference/gitlab-variables.md');
    expect(VARIABLES.filter(({ name }) => !reference.includes(`| \`${name}\` |`))).toEqual([]);
  });
});
