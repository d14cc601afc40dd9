import { describe, expect, it } from 'vitest';
import { GitLabError } from './gitlab-error.ts';
import { waitBefore } from './retry.ts';

const asking = (retryAfterSeconds?: number) => new GitLabError('rate_limited', 'slow down', { status: 429, retryAfterSeconds });

describe('the wait before the next attempt', () => {
  it('is what GitLab asks for up to 30 s', () => {
    expect([0, 7, 30, 31, 3600].map((seconds) => waitBefore(1, asking(seconds), 0.5))).toEqual([0, 7000, 30_000, undefined, undefined]);
  });

  it('else doubles, with full jitter', () => {
    expect([1, 2, 3].map((made) => waitBefore(made, asking(), 1))).toEqual([500, 1000, 2000]);
    expect([0, 0.25].map((random) => waitBefore(1, new Error('lost'), random))).toEqual([0, 125]);
  });
});
