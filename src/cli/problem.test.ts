import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { TurnpikeError } from '../core/errors.ts';
import { problemText, startProblem } from './problem.ts';

function listenError(code: string): Error {
  return Object.assign(new Error(`listen ${code}`), { code, syscall: code === 'ENOTFOUND' ? 'getaddrinfo' : 'listen' });
}

describe('what is told when the start fails', () => {
  it.each([
    ['EADDRINUSE', '[::1]:80 is in use by another process. Stop that one, or choose another port with listen.port or --listen-port.'],
    ['EADDRNOTAVAIL', '::1 is no address of this machine. Set listen.host or --listen-host to one that is, such as 127.0.0.1.'],
    ['ENOTFOUND', '::1 has no address. Set listen.host or --listen-host to one of this machine, such as 127.0.0.1.'],
    ['EACCES', 'Not allowed to listen on [::1]:80. Ports below 1024 need a privilege; choose another with listen.port or --listen-port.'],
  ])('%s', (code, text) => {
    expect(startProblem(listenError(code), { host: '::1', port: 80 })).toBe(text);
    const wrapped = new TurnpikeError('internal', undefined, { cause: listenError(code) });
    expect(startProblem(wrapped, { host: '::1', port: 80 })).toBe(text);
  });

  it('a real port in use', async () => {
    const first = createServer();
    await new Promise<void>((resolve) => first.listen(0, '127.0.0.1', resolve));
    const { port } = first.address() as { port: number };
    const error = await new Promise((resolve) => createServer().on('error', resolve).listen(port, '127.0.0.1'));
    first.close();
    expect(startProblem(error, { host: '127.0.0.1', port })).toBe(
      `127.0.0.1:${port} is in use by another process. Stop that one, or choose another port with listen.port or --listen-port.`,
    );
  });

  it('EACCES of a file is not taken for one of the port', () => {
    const error = Object.assign(new Error('EACCES: permission denied, mkdir /data'), { code: 'EACCES', syscall: 'mkdir' });
    expect(startProblem(error, { host: '127.0.0.1', port: 80 })).toBe('EACCES: permission denied, mkdir /data');
  });

  it('never a stack trace, never a secret, for operators the reason too', () => {
    const error = new TurnpikeError('store/failed', 'The store is closed.', { reason: 'Error: disk full, password=hunter2\n    at open (x.ts:1)' });
    expect(problemText(error)).toBe('The store is closed. (Error: disk full, password=***)');
    expect(problemText(new TurnpikeError('internal'))).toBe('Internal error.');
    expect(problemText('a\nb')).toBe('a\\nb');
  });

  it('every line of a configuration error', () => {
    expect(problemText(new TurnpikeError('config/invalid', 'a: x\nb: y'))).toBe('a: x\nb: y');
  });
});
