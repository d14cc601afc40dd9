import { expect, test } from 'vitest';
import { Secret } from '../../core/secret.ts';
import { childEnvironment } from './child-environment.ts';

test('of our environment only the six names pass, and the configured ones win', () => {
  const own = {
    PATH: '/bin',
    HOME: '/home/x',
    LANG: 'C',
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    TMPDIR: '/tmp',
    USER: 'x',
    TURNPIKE_TOKEN: 'sentinel',
    LD_PRELOAD: '/evil.so',
  };
  const { LC_ALL, TMPDIR, ...rest } = own;
  expect({ ...childEnvironment(own, { TOKEN: new Secret('s3cret'), PATH: '/opt/bin' }) }).toEqual({
    PATH: '/opt/bin',
    HOME: '/home/x',
    LANG: 'C',
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    TMPDIR: '/tmp',
    TOKEN: 's3cret',
  });
  expect(Object.keys(childEnvironment(rest, {}))).toEqual(['PATH', 'HOME', 'LANG', 'TZ']);
});

test.each(['LD_PRELOAD', 'LD_LIBRARY_PATH', 'DYLD_INSERT_LIBRARIES', 'NODE_OPTIONS', 'BASH_ENV'])('%s needs allowUnsafeEnv', (name) => {
  expect(() => childEnvironment({}, { [name]: 'x' })).toThrow(
    expect.objectContaining({ code: 'config/refused', message: expect.stringContaining(name) }),
  );
  expect(childEnvironment({}, { [name]: 'x' }, { allowUnsafeEnv: true })[name]).toBe('x');
});

test.each([
  ['', 'x'],
  ['A=B', 'x'],
  ['A\0', 'x'],
  ['A', 'x\0y'],
])('%j: %j cannot stand in an environment, and the value is not printed', (name, value) => {
  const build = () => childEnvironment({}, { [name]: new Secret(`${value}sentinel`) });
  expect(build).toThrow(expect.objectContaining({ code: 'config/invalid', message: expect.not.stringContaining('sentinel') }));
});

test('a name of the object prototype is a name like others', () => {
  expect(childEnvironment({}, JSON.parse('{"__proto__":"x"}'))).toHaveProperty('__proto__', 'x');
});
