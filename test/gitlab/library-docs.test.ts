import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
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

  it('the migration page names every identifier of the Go package', () => {
    const page = read('docs/migration/gitlab-server-pool.md');
    const identifiers = [
      ...['DefaultRevalidateInterval', 'ExtractToken', 'AuthRateLimiter', 'NewAuthRateLimiter', 'Cleanup', 'IsBlocked', 'RecordFailure'],
      ...['Metrics', 'Option', 'WithMaxSize', 'WithRevalidateInterval', 'ServerFactory', 'ServerPool', 'New', 'Close', 'GetOrCreate', 'Size'],
      ...['StartRevalidation', 'Stats', 'Snapshot'],
    ];
    expect(identifiers.filter((name) => !new RegExp(`\`(?:\\w+\\.)?${name}(?:\\([^\`]*)?\``).test(page))).toEqual([]);
  });
});
