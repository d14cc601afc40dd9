import { isSecretName, redactText } from '../../telemetry/redact.ts';

/** Words of variables, flags and query parameters that name a secret, beside those that are never printed anyway. */
const SECRET_WORD = /(^|[-_])(key|pat|pass|pwd|auth|bearer|credentials?|dsn|sig|signature)($|[-_])/i;
const PASSWORD = /passw|passphrase|pwd|secret/i;
const PATH_WORD = /(file|path|dir|folder|credentials)$/i;
const PATH = /^(~|\.{1,2})?[/\\]|^[A-Za-z]:[/\\]/;
/** Long, of one piece, letters and digits mixed: nobody types that. */
const RANDOM = /^(?=.*[A-Za-z])(?=.*[0-9])[A-Za-z0-9_\-+/=.]{28,}$/;

/** Whether a value should not stand in a configuration file. Rather one too many: a reference does no harm. */
export function looksSecret(name: string, value: string): boolean {
  if (value === '') return false;
  const isNamed = isSecretName(name) || SECRET_WORD.test(name);
  if (isNamed) return !isHarmless(name, value);
  return hasSecretLook(value);
}

/** Whether a value looks like a secret whatever it is called. */
export function hasSecretLook(value: string): boolean {
  if (redactText(value, value.length + 8) !== value && !value.includes('\n')) return true;
  return RANDOM.test(value) && !PATH.test(value) && !value.includes('://') && !isIdentifier(value);
}

function isHarmless(name: string, value: string): boolean {
  if (PASSWORD.test(name)) return false;
  return /^(true|false|yes|no|on|off|none|\d{1,6})$/i.test(value) || (PATH_WORD.test(name) && PATH.test(value));
}

/** Names of packages and models have digits, too; they are made of words. */
function isIdentifier(value: string): boolean {
  return value.split(/[-_./=+]/).every((word) => /^([A-Za-z]+\d{0,4}|\d{1,8}|)$/.test(word));
}
