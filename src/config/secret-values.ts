import { Secret } from '../core/secret.ts';

/** All secrets that a configuration holds, for those who must not repeat what others say of them (security class 25). */
export function secretValues(config: unknown): Secret[] {
  if (config instanceof Secret) return [config];
  if (typeof config !== 'object' || config === null) return [];
  return Object.values(config).flatMap(secretValues);
}
