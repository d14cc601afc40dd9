import { isJsonObject, type JsonObject } from '../../core/mcp.ts';
import type { Form } from './form-schema.ts';
import { asksIn, namesSecret } from './secret-words.ts';

/**
 * Whether a form asks a person for a secret (security class 17): a field is named, titled or described as one, or the
 * text of the form plainly asks for one. Fields that only offer what the server gave them (switches, choices) hold nothing
 * that it does not know.
 */
export function asksForSecret({ message, requestedSchema }: JsonObject, { fields }: Form): boolean {
  const free = [...fields].filter(([, { kind }]) => kind === 'string' || kind === 'number' || kind === 'integer');
  if (free.length === 0) return false;
  const { title, description } = isJsonObject(requestedSchema) ? requestedSchema : {};
  if ([message, title, description].some((text) => typeof text === 'string' && asksIn(text))) return true;
  return free.some(([name, { schema, texts }]) => {
    if (typeof schema.format === 'string' && schema.format.toLowerCase() === 'password') return true;
    return [name, ...texts].some(namesSecret);
  });
}
