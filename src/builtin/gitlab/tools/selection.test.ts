import { describe, expect, it } from 'vitest';
import { ALL_TOOLS } from './all-tools.ts';
import { deniedPattern, selectTools } from './selection.ts';
import { DEFAULT_SETTINGS, type GitLabSettings } from './settings.ts';

const names = (settings: Partial<GitLabSettings>) => selectTools(ALL_TOOLS, { ...DEFAULT_SETTINGS, ...settings }).map(({ name }) => name);

describe('selectTools', () => {
  it.each([
    ['default', 62],
    ['all', 85],
    ['identity', 3],
    ['identity+', 5],
  ])('%s has %s tools', (toolset, count) => {
    expect(names({ toolsets: [toolset] })).toHaveLength(count);
  });

  it.each([
    ['repositories', 'repository'],
    ['branches', 'repository'],
    ['tags+', 'repository+'],
    ['pipelines', 'ci'],
    ['labels', 'planning'],
    ['milestones', 'planning'],
    ['users', 'identity'],
  ])('%s is %s', (alias, toolset) => {
    expect(names({ toolsets: [alias] })).toEqual(names({ toolsets: [toolset] }));
  });

  it('unites toolsets and single tools', () => {
    expect(names({ toolsets: ['wiki'], tools: ['whoami', 'create_wiki_page'] })).toEqual([
      'whoami',
      'list_wiki_pages',
      'get_wiki_page',
      'create_wiki_page',
    ]);
  });

  it('has GraphQL only where it is named', () => {
    expect(names({ toolsets: ['all', 'search+'] })).not.toContain('execute_graphql');
    expect(names({ tools: ['execute_graphql'] })).toContain('execute_graphql');
  });

  it.each([
    [{ toolsets: ['defualt'] }, /Unknown toolset "defualt"/],
    [{ toolsets: ['default+'] }, /Unknown toolset/],
    [{ toolsets: ['constructor'] }, /Unknown toolset/],
    [{ tools: ['no_such_tool'] }, /Unknown tool "no_such_tool".*GITLAB_TOOLS/],
    [{ deniedTools: '(' }, /not a regular expression/],
    [{ deniedTools: 'x'.repeat(201) }, /longer than 200 characters/],
  ])('stops the start for %j', (settings, message) => {
    expect(() => names(settings)).toThrow(message);
  });

  it('denies by pattern', () => {
    const left = names({ toolsets: ['all'], tools: ['execute_graphql'], deniedTools: '^(create|update|delete)_|graphql' });
    expect(left.some((name) => /^(create|update|delete)_|graphql/.test(name))).toBe(false);
    expect(left).toContain('push_files');
  });
});

describe('deniedPattern', () => {
  it.each(['(a+)+', '(a*)*b', '((ab)+c)*', '(?:x+)+', '([a-z]+)*', '(a{1,3}){2}', '(a?)+', '((a+)b)?', '(?=(a+)+)'])('refuses %s', (pattern) => {
    expect(() => deniedPattern(pattern)).toThrow(/nests quantifiers/);
  });

  it.each(['^delete_', 'a+b*c?', '(create|update)_.*', '(ab)+', '[(+*]+', '\\(a+\\)+', '(?:a|b)+', '.*_note$', ''])('takes %s', (pattern) => {
    expect(() => deniedPattern(pattern)).not.toThrow();
  });
});
