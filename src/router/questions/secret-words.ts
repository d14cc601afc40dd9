import { fold, wordsOf } from './plain-words.ts';

/**
 * Which words are those of a secret: in names of fields (camelCase, snake_case, kebab-case) and in sentences. It matches
 * whole words, so that `keyboard`, `tokenize` and `primary key` are none.
 */

/** Whole words, and words in a row; by their first word. */
const TERMS: ReadonlyMap<string, readonly (readonly string[])[]> = Map.groupBy(
  [
    'password, passwd, pwd, passphrase, passcode, secret, token, credential, cred, bearer, otp, totp, cvv, cvc, pincode, senha, haslo, parola',
    'pass word, pass phrase, pass code, user pass, db pass, login pass, mot de passe',
    'api key, access key, private key, secret key, ssh key, signing key, encryption key, auth key, client secret',
    'pin code, your pin, card pin, bank pin, security pin, security code, card number, card verification, seed phrase, recovery phrase',
    'one time code, one time pin, one time pass, verification code, authentication code, authenticator code, auth code, fa code, mfa code',
    'sms code, digit code, login code, reset code, recovery code, backup code, digit pin, recovery key, master key, account key, security answer',
    'authorization header, auth header, session cookie, auth cookie, credit card, debit card, pswd',
  ]
    .flatMap((line) => line.split(', '))
    .map((term) => term.split(' ')),
  ([first = '']) => first,
);

/** Parts of words that are written in one (`dbpassword`), and words of scripts that write no blanks. */
const WITHIN = new RegExp(
  fold(
    'password|passwd|passphrase|passcode|apikey|passwort|kennwort|contraseña|wachtwoord|lösenord|пароль|密码|密碼|口令|パスワード|暗証番号|비밀번호',
  ),
);
/** Ends of such words, where the beginning may be another word: `tokenize`. */
const ENDING = /(?:secret|token|credential|privatekey|accesskey|secretkey)s?$/;

/** What a secret has, in place of the secret: `token count`, `secret name`, `password policy`. */
const ABOUT = setOf(
  'name type count limit budget length policy policies expiry expiration ttl lifetime usage manager symbol amount balance scope rotation reset',
  'provider less window price cost per strength bucket santa holder endpoint url uri path issuer audience',
);
/** The same the other way round: `name of the secret`. */
const ABOUT_OF = setOf('name number count amount length type kind lifetime expiry scope');
/** Before `token` or `tokens`: those of a language model. */
const OF_A_MODEL = setOf('max maximum min minimum num stop special eos bos pad');
/** Before `tokens` only: as many as one counts. */
const COUNTED = setOf('total input output prompt completion context new cached remaining reasoning thinking estimated used many fewer more');
/** Before `pin code`: where somebody lives. */
const POSTAL = setOf('postal postcode zip area');
/** Secrets where nothing stands beside them. */
const ALONE = setOf('pass pw');
const ARTICLES = setOf('the a an this that each every your');

const ASKING = setOf(
  'enter provide paste type input supply give send share submit insert tell write specify reveal fill need needs require requires whats what',
  'authenticate retype reenter copy put know',
);
/** What makes the secret behind it no object of the verb: `enter a name for the token`; and what goes back to the verb. */
const APART = setOf('for that which about holding containing whose named');
const ALONGSIDE = setOf('and or plus with');
const NEGATED = setOf('not never dont cannot cant wont without doesnt no');
/** How far behind the verb the secret may stand, in words. */
const REACH = 12;

/** Whether a name, title or description is that of a secret. */
export function namesSecret(text: string): boolean {
  const words = wordsOf(text);
  return (words.length === 1 && ALONE.has(words[0] ?? '')) || words.some((_, at) => isSecretAt(words, at));
}

/** Whether a text plainly asks for a secret: `enter your password`, `API key:`, `a token is required`. */
export function asksIn(text: string): boolean {
  return text.split(/\n|[.!?;](?=\s|$)/u).some(sentenceAsks);
}

function sentenceAsks(sentence: string): boolean {
  const words = wordsOf(sentence);
  const secrets = words.flatMap((_, at) => (isSecretAt(words, at) ? [at] : []));
  if (secrets.length === 0) return false;
  // A label, and nothing else.
  if (words.length <= 3) return true;
  return secrets.some((at) => {
    const after = words.slice(at + 1, at + 1 + REACH);
    if (after.some((word, index) => (word === 'required' || word === 'needed' || word === 'please') && !NEGATED.has(after[index - 1] ?? '')))
      return true;
    for (let verb = Math.max(0, at - REACH); verb < at; verb++) {
      if (ASKING.has(words[verb] ?? '') && !isNegated(words, verb) && isObject(words.slice(verb + 1, at))) return true;
    }
    return false;
  });
}

/** Whether the words between a verb and a secret leave the secret what the verb is about. */
function isObject(between: readonly string[]): boolean {
  const last = between.findLastIndex((word) => ALONGSIDE.has(word));
  return !between.slice(last + 1).some((word) => APART.has(word));
}

/** `never enter`, `will not ask you to enter`; but not `do not hesitate to enter`. */
function isNegated(words: readonly string[], verb: number): boolean {
  if (NEGATED.has(words[verb - 1] ?? '')) return true;
  const ask = words.slice(Math.max(0, verb - 4), verb).findIndex((word) => /^(ask|asks|asked|need|have|required)$/.test(word));
  return ask !== -1 && NEGATED.has(words[Math.max(0, verb - 4) + ask - 1] ?? '');
}

/** Whether a secret is named at this place, and not what is said about one. */
function isSecretAt(words: readonly string[], at: number): boolean {
  const word = words[at] ?? '';
  const length = isOneWord(word) ? 1 : lengthOfTerm(words, at);
  if (length === 0 || word === 'passwordless') return false;
  const next = words[at + length] ?? '';
  if (ABOUT.has(next) || ABOUT.has(singular(next))) return false;
  let before = at - 1;
  if (singular(word) === 'token' && OF_A_MODEL.has(words[before] ?? '')) return false;
  if (word.startsWith('pin') && POSTAL.has(words[before] ?? '')) return false;
  if (word === 'tokens' && COUNTED.has(words[before] ?? '')) return false;
  while (ARTICLES.has(words[before] ?? '')) before--;
  return !(words[before] === 'of' && ABOUT_OF.has(singular(words[before - 1] ?? '')));
}

function isOneWord(word: string): boolean {
  return WITHIN.test(word) || ENDING.test(word);
}

function lengthOfTerm(words: readonly string[], at: number): number {
  const word = words[at] ?? '';
  const candidates = TERMS.get(word) ?? TERMS.get(singular(word)) ?? [];
  const term = candidates.find((parts) =>
    parts.every((part, index) => index === 0 || part === words[at + index] || part === singular(words[at + index] ?? '')),
  );
  return term?.length ?? 0;
}

function singular(word: string): string {
  return word.length > 3 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word;
}

function setOf(...lines: readonly string[]): ReadonlySet<string> {
  return new Set(lines.flatMap((line) => line.split(' ')));
}
