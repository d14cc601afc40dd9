import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as aggregator from '../../src/aggregator/index.ts';
import * as launcher from '../../src/launcher/index.ts';
import { ROOT, read } from '../docs/markdown.ts';

const guide = read('docs/guides/library.md');

/** Names that a module exports, types included. */
function exportsOf(path: string): string[] {
  const source = readFileSync(join(ROOT, path), 'utf8');
  return [...source.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list = '']) =>
    list
      .split(',')
      .map((name) => name.trim().replace(/^type /, ''))
      .filter((name) => name !== ''),
  );
}

describe('docs/guides/library.md', () => {
  it.each(['src/index.ts', 'src/launcher/index.ts', 'src/testing/index.ts'])('names every export of %s', (path) => {
    const names = exportsOf(path);
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => !guide.includes(`\`${name}\``))).toEqual([]);
  });

  it('names every method of the pool and of the launcher', () => {
    const methods = [launcher.SessionConnectionPool, launcher.Launcher].flatMap((one) => Object.getOwnPropertyNames(one.prototype));
    const hidden = ['constructor', 'launch'];
    expect(methods.filter((name) => !hidden.includes(name) && !new RegExp(`[\`.]${name}\\(`).test(guide))).toEqual([]);
  });

  it('`turnpike/aggregator` has the names of `turnpike/launcher`, but for the configuration', () => {
    const { configFrom: _, ...names } = launcher;
    expect({ ...aggregator }).toEqual(names);
  });
});

/** Pins: a name that goes or changes breaks somebody's program. */
it('the names of aggregator.md section 10 that are launcher and pool', () => {
  expect(Object.keys(launcher).toSorted()).toEqual([
    'DEFAULT_CLEANUP_INTERVAL',
    'DEFAULT_CONNECTION_POOL_MAX_AGE',
    'DEFAULT_IDLE_TIMEOUT',
    'DEFAULT_MAX_ERROR_COUNT',
    'Launcher',
    'McpError',
    'SessionConnectionPool',
    'configFrom',
    'connectionKeyToString',
    'getOrLaunch',
    'getOrLaunchForSession',
  ]);
  expect(Object.getOwnPropertyNames(launcher.SessionConnectionPool.prototype).toSorted()).toEqual([
    'constructor',
    'drainAll',
    'evict',
    'evictServer',
    'evictSession',
    'get',
    'getMetadata',
    'isTokenExpired',
    'isTokenExpiringSoon',
    'lease',
    'list',
    'put',
    'putWithDeferredClose',
    'putWithExpiry',
    'recordError',
    'recordSuccess',
    'setExchangedToken',
    'setNotificationCallback',
    'size',
    'snapshot',
    'stop',
  ]);
});
