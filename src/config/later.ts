/**
 * Keys of configuration.md whose subject comes in a later release: still unknown keys, but a newcomer is told so
 * instead of being offered a likeness. Lists are written `[]`.
 */
const LATER: ReadonlySet<string> = new Set([
  'admin',
  'auth.oauth',
  'auth.trustedIssuers',
  'catalog.exposure',
  'catalog.pinning',
  'catalog.toolsetPresets',
  'credentials',
  'policy.flows',
  'store.url',
  'telemetry.metrics.detailedLabels',
  'telemetry.tracing',
  'upstreams[].autoStart',
  'upstreams[].labels',
  'upstreams[].auth.exchange',
  'upstreams[].auth.forward',
  'upstreams[].auth.mint',
  'upstreams[].auth.oauth',
  'upstreams[].credentials',
  'upstreams[].kubernetes',
  'workflows',
]);

/** Values of `upstreams[].type` of later releases. */
export const LATER_TYPES: readonly string[] = ['kubernetes'];

/** Whether a key at this path is one of a later release. */
export function isLater(path: readonly (string | number)[]): boolean {
  const text = path.map((part) => (typeof part === 'number' ? '[]' : `.${part}`)).join('');
  return LATER.has(text.slice(1));
}

/** Whether a variable would set a key of a later release. */
export function isLaterVariable(variable: string): boolean {
  return [...LATER].some((path) => {
    const name = path
      .split('.')
      .map((part) => part.replaceAll(/([A-Z])/g, '_$1').toUpperCase())
      .join('_');
    return variable === `TURNPIKE_${name}` || variable.startsWith(`TURNPIKE_${name}_`);
  });
}
