import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readDocument } from './graphql-document.ts';
import { bench } from './sample-api.ts';

const tools = ['execute_graphql'];
const replies = { 'POST /graphql': { data: { currentUser: { name: 'Ann', token: 'glpat-abcDEF1234567890abcd' } } } };
const MUTATION = 'mutation { createNote(input: {body: "x"}) { errors } }';

describe('readDocument', () => {
  it.each([
    ['{ a }', 'query', ['a']],
    ['query Q($x: [Int!]! = [1] @d(a: {b: 2})) @e { a: b(c: $x) @skip(if: true) { d } }', 'query', ['b']],
    ['mutation M { x: destroyIt(input: {}) { errors } y }', 'mutation', ['destroyIt', 'y']],
    ['fragment F on T { a ...G @x ... on U { b } ... { c } } query { ...F }', 'query', [undefined]],
    ['# mutation { a }\nquery { a(s: "} mutation { b }") }', 'query', ['a']],
    ['\ufeff,,{ on fragment query mutation }', 'query', ['on', 'fragment', 'query', 'mutation']],
  ])('reads %s', (source, operation, roots) => {
    expect(readDocument(source)).toMatchObject({ operation, roots });
  });

  it.each([
    '',
    '# only a comment',
    '{ a',
    '{ a } }',
    '{ }',
    '{ a } { b }',
    'query { a } mutation { b }',
    'subscription { a }',
    'type T { a: Int }',
    'extend type Mutation { a: Int }',
    'schema { query: Q }',
    '{ a(b: "torn) }',
    '{ a(b: """block""") }',
    '{ a(b: (]) }',
    '{ a(b: "\\x") }',
    '{ a\u0000 }',
    '{ a\u00a0b }',
    '{ a(b: 1a) }',
    'query "q" { a }',
    'fragment on on T { a } { a }',
    'fragment F on T { a }',
    `{ ${'a { '.repeat(100)}b${' }'.repeat(100)} }`,
    `{ ${'a '.repeat(20_000)}}`,
  ])('refuses %j', (source) => {
    expect(() => readDocument(source)).toThrow(SyntaxError);
  });

  it('passes on what it judged, without comments', () => {
    const { text } = readDocument('query { # }\n a(b: "#") # mutation\n }');
    expect(text).toBe('query { a ( b : "#" ) }');
    expect(readDocument(text)).toEqual(readDocument('query{a(b:"#")}'));
  });

  it('never fails in another way, and reads what it wrote', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '(',
      ')',
      '[',
      ']',
      ':',
      '...',
      ' on ',
      ' a ',
      ' query ',
      ' mutation ',
      ' fragment ',
      '@',
      '$',
      '"',
      '\\',
      '#',
      '\n',
      '1',
      '-',
      '!',
      '=',
      '|',
      '&',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        try {
          const document = readDocument(pieces.join(''));
          expect(readDocument(document.text)).toEqual(document);
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('execute_graphql', () => {
  it('is off unless it is named', async () => {
    await expect(bench(replies).run('execute_graphql', { query: '{ a }' })).rejects.toMatchObject({ code: 'catalog/tool' });
  });

  it('runs a query, through the funnel', async () => {
    const { api, run } = bench(replies, { tools });
    const outcome = await run('execute_graphql', { query: '{ currentUser { name } }', variables: { a: 1 } });
    expect(outcome.structuredContent).toMatchObject({ item: { data: { currentUser: { name: 'Ann', token: '[MASKED]' } } }, masked: 1 });
    expect(api.sent[0]?.body).toEqual({ query: '{ currentUser { name } }', variables: { a: 1 } });
  });

  it('lets queries and no mutations pass in read-only mode', async () => {
    const { api, run } = bench(replies, { tools, readOnly: true });
    await run('execute_graphql', { query: 'query { currentUser { name } }' });
    for (const query of [MUTATION, '# query\nmutation { a }', 'query { a } mutation { b }', 'mutation Q { query }', 'garbage']) {
      await expect(run('execute_graphql', { query })).rejects.toBeDefined();
    }
    await expect(run('execute_graphql', { query: MUTATION })).rejects.toThrow('execute_graphql is not allowed in read-only mode');
    expect(api.sent).toHaveLength(1);
  });

  it.each([
    'mutation { x: issueDestroy { errors } }',
    'mutation { mergeRequestAccept { errors } }',
    'mutation { ...F } fragment F on Mutation { createNote { errors } }',
  ])('asks the human about %s', async (query) => {
    const { api, asked, run } = bench(replies, { tools, confirm: 'ask' });
    await expect(run('execute_graphql', { query }, { action: 'decline' })).rejects.toThrow(/not confirmed/);
    expect(asked).toHaveLength(1);
    expect(api.sent).toEqual([]);
  });

  it('does not ask about a mutation that destroys nothing', async () => {
    const { asked, run } = bench(replies, { tools, confirm: 'ask' });
    await run('execute_graphql', { query: MUTATION }, { action: 'decline' });
    expect(asked).toEqual([]);
  });

  it.each([
    '{ project { x: ciVariables { nodes { y: value } } } }',
    '{ p { ...F } } fragment F on Job { manualVariables { nodes { value } } }',
    '{ g { runnersToken } }',
  ])('refuses withheld values behind any alias: %s', async (query) => {
    const { api, run } = bench(replies, { tools });
    await expect(run('execute_graphql', { query })).rejects.toMatchObject({ code: 'policy/denied' });
    expect(api.sent).toEqual([]);
  });
});
