import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EdgeSettings } from '../settings.ts';

/** Headers of every answer (security.md, "Defaults that follow"). */
const ALWAYS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'content-security-policy': "default-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cache-control': 'no-store',
};
const HSTS = 'max-age=31536000; includeSubDomains';
const REQUEST_HEADERS = 'Authorization, Content-Type, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-ID, X-Turnpike-Toolset';

/** Sets what every answer carries; CORS only for origins of `listen.allowedOrigins`. */
export function setCommonHeaders(request: IncomingMessage, response: ServerResponse, { listen }: EdgeSettings): void {
  for (const [name, value] of Object.entries(ALWAYS)) response.setHeader(name, value);
  if (listen.hsts || listen.tls !== undefined) response.setHeader('strict-transport-security', HSTS);
  const { origin } = request.headers;
  if (origin === undefined || !listen.allowedOrigins.includes(origin)) return;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', 'Mcp-Session-Id, WWW-Authenticate');
  response.setHeader('vary', 'Origin');
}

/** Answers a CORS preflight of an allowed origin. `Mcp-Param-*` names are echoed, because a wildcard would not cover them. */
export function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
  const asked = String(request.headers['access-control-request-headers'] ?? '');
  const params = asked
    .split(',')
    .map((name) => name.trim())
    .filter((name) => /^mcp-param-[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/i.test(name));
  response.setHeader('access-control-allow-methods', 'GET, POST, DELETE, OPTIONS');
  response.setHeader('access-control-allow-headers', [REQUEST_HEADERS, ...params.slice(0, 50)].join(', '));
  response.setHeader('access-control-max-age', '3600');
  response.writeHead(204).end();
}
