import { addAbortListener } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { OwnAbort } from './own-abort.ts';

/** What both kinds must do alike. */
describe.each([
  ['the built-in one', () => new AbortController()],
  ['our own', () => new OwnAbort()],
])('%s', (_, make) => {
  it('tells each listener once, in order, with its reason and target', () => {
    const controller = make();
    const { signal } = controller;
    const heard: unknown[] = [];
    const one = (event: Event) => heard.push(['one', (event.target as AbortSignal).reason]);
    const two = { handleEvent: (event: Event) => void heard.push(['two', event.type]) };
    signal.addEventListener('abort', one, { once: true });
    signal.addEventListener('abort', two, { once: true });
    signal.addEventListener('abort', one, { once: true });
    expect(signal.aborted).toBe(false);
    signal.throwIfAborted();
    controller.abort('why');
    controller.abort('again');
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBe('why');
    expect(heard).toEqual([
      ['one', 'why'],
      ['two', 'abort'],
    ]);
    expect(() => signal.throwIfAborted()).toThrow('why');
  });

  it('tells nobody who left, also not one whom another listener took back', () => {
    const controller = make();
    const { signal } = controller;
    const heard: string[] = [];
    const listener = (name: string) => () => void heard.push(name);
    const [gone, last, late] = [listener('gone'), listener('last'), listener('late')];
    signal.addEventListener('abort', gone);
    signal.addEventListener('abort', () => signal.removeEventListener('abort', last));
    signal.addEventListener('abort', last);
    signal.removeEventListener('abort', gone);
    controller.abort();
    signal.addEventListener('abort', late);
    controller.abort();
    expect(heard).toEqual([]);
    expect((signal.reason as Error).name).toBe('AbortError');
  });

  it('serves onabort, and the library of Node', () => {
    const controller = make();
    const heard: string[] = [];
    controller.signal.onabort = () => void heard.push('onabort');
    using _listener = addAbortListener(controller.signal, () => void heard.push('added'));
    controller.abort(new Error('over'));
    expect(heard).toEqual(['onabort', 'added']);
  });
});

describe('our own signal', () => {
  it('tells the others when a listener throws, which is thrown again apart', () => {
    const apart = vi.spyOn(process, 'nextTick').mockImplementation(() => {});
    const controller = new OwnAbort();
    const heard: string[] = [];
    controller.signal.addEventListener('abort', () => {
      throw new Error('mine');
    });
    controller.signal.addEventListener('abort', () => void heard.push('second'));
    controller.abort();
    const [[rethrow] = []] = apart.mock.calls;
    apart.mockRestore();
    expect(heard).toEqual(['second']);
    expect(rethrow).toThrow('mine');
  });
});
