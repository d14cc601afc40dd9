import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { foreignHeaders } from './foreign-headers.ts';

it('shows the router parameters and our own headers, never a credential, and never two values as one', () => {
  const headersDistinct = {
    authorization: ['Bearer secret'],
    cookie: ['a=b'],
    'mcp-name': ['x'],
    'mcp-param-region': ['eu'],
    'mcp-param-twice': ['eu', 'us'],
    'x-turnpike-toolset': ['server:a', 'server:b'],
    'x-turnpikes': ['no'],
  };
  const headers = Object.fromEntries(Object.entries(headersDistinct).map(([name, values]) => [name, values.join(', ')]));
  expect(foreignHeaders({ headers, headersDistinct } as unknown as IncomingMessage)).toEqual({
    'mcp-param-region': 'eu',
    'mcp-param-twice': ['eu', 'us'],
    'x-turnpike-toolset': ['server:a', 'server:b'],
  });
});
