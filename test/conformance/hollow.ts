/** Scenarios that pass without looking at anything, and why. Every one that is pinned as hollow stands here. */
export const HOLLOW: Readonly<Record<string, string>> = {
  'server-sse-polling':
    'looks at answer streams only; Turnpike answers a call that says nothing on its way as JSON, which 2025-11-25 basic/transports allows. Resumed streams: test/security/26-event-streams.test.ts',
  'tasks-status-notifications':
    'the referee skips it for everybody: it does not open the subscriptions/listen stream yet, on which SEP-2663 sends them. Here: src/router/update-feed.test.ts',
};
