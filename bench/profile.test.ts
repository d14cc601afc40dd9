import { describe, expect, it } from 'vitest';
import { type CpuProfile, summaryOf } from './profile.ts';

const frame = (functionName: string, url: string, lineNumber = 0) => ({ functionName, url, lineNumber });

describe('summary of a profile', () => {
  it('shares the busy time out by kind and by function, largest first, without the idle time', () => {
    const profile: CpuProfile = {
      nodes: [
        { id: 1, callFrame: frame('(idle)', '') },
        { id: 2, callFrame: frame('serve', 'file:///somewhere/dist/edge/app.js', 9) },
        { id: 3, callFrame: frame('writev', '') },
        { id: 4, callFrame: frame('', 'file:///somewhere/node_modules/@scope/part/index.js') },
        { id: 5, callFrame: frame('(garbage collector)', '') },
        { id: 6, callFrame: frame('serve', 'file:///somewhere/dist/edge/app.js', 9) },
        { id: 7, callFrame: frame('onParser', 'node:_http_server') },
      ],
      samples: [1, 2, 3, 4, 5, 6, 7, 3],
      timeDeltas: [9_000_000, 100_000, 300_000, 50_000, 50_000, 100_000, 100_000, 300_000],
    };
    const { busy, kinds, functions } = summaryOf(profile);
    expect(busy).toBeCloseTo(1);
    expect(kinds.map(([name, share]) => [name, Number(share.toFixed(2))])).toEqual([
      ['native functions called by JavaScript (writev, Buffer, JSON)', 0.6],
      ['turnpike: edge', 0.2],
      ['node:http', 0.1],
      ['@scope/part', 0.05],
      ['garbage collection', 0.05],
    ]);
    expect(functions.slice(0, 2).map(([name]) => name)).toEqual(['writev', 'serve edge/app.js:10']);
  });
});
