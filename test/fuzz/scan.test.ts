import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { incomingText, mutated, requestText } from './message-text.ts';
import { judgeIncoming, judgeRequest } from './verdict.ts';

const requestBytes = requestText.map((text) => Buffer.from(text));
const incomingBytes = incomingText.map((text) => Buffer.from(text));

/** How many of `count` inputs a scanner accepted; a disagreement throws. */
function accepted(judge: (bytes: Buffer) => 'accepted' | 'refused', inputs: fc.Arbitrary<Buffer>, count: number): number {
  let yes = 0;
  fc.assert(
    fc.property(inputs, (bytes) => {
      if (judge(bytes) === 'accepted') yes++;
    }),
    { numRuns: count },
  );
  return yes;
}

describe('scanner and parser', () => {
  it('read every request alike', () => {
    expect(accepted(judgeRequest, requestBytes, 3000)).toBeGreaterThan(300);
  });

  it('read alike what is nearly a request', () => {
    expect(accepted(judgeRequest, mutated(requestBytes), 3000)).toBeGreaterThan(50);
  });

  it('read alike what upstreams say', () => {
    expect(accepted(judgeIncoming, incomingBytes, 3000)).toBeGreaterThan(300);
  });

  it('read alike what upstreams nearly say', () => {
    expect(accepted(judgeIncoming, mutated(incomingBytes), 3000)).toBeGreaterThan(50);
  });
});
