import type { Secret } from '../../../core/secret.ts';
import { cleanText } from './clean-text.ts';
import { WORD_START, withoutJwts } from './jwts.ts';

/** What stands where a secret stood. */
export const MASKED = '[MASKED]';

/** Fields that no result holds, whatever the settings (gitlab.md 4, "Masking"), in the spellings of REST and GraphQL. */
const DROPPED: ReadonlySet<string> = new Set(['runnerstoken', 'importurl', 'feedtoken', 'incomingemailtoken', 'staticobjecttoken']);

const KEY_BEGIN = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/;
const KEY_END = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/;
/** A block that does not end goes on to the end of the text. */
const KEY_BLOCK = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)/g;
/** `scheme://user:password@`; the greedy run takes passwords that hold an `@`. */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]{0,20}:\/\/[^\s/:@"'<>]{0,256}:)([^\s/"'<>]{1,1024})(?=@)/gi;
/** Prefixes of GitLab's own tokens: no word holds them. */
const OWN = '(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct|wt)-';
const TOKEN = new RegExp(`(?:gl${OWN}|${WORD_START}gl[a-z]{2,8}-)[A-Za-z0-9_.-]{8,512}`, 'g');
const PREFIX = new RegExp(`^gl${OWN}`);
/** Words with hyphens between them (`global-navigation-bar`) are no token, where the prefix is none of GitLab's. */
const WORDS = /^[a-z]{2,12}(?:-[a-z]{1,12})*[.-]*$/;
/** Tokens of makers unknown to us are at least so long behind their prefix. */
const SHORTEST_UNKNOWN = 16;

/** A text with how many secrets were masked in it. */
export interface MaskedText {
  readonly text: string;
  readonly masked: number;
}

/** Reads lines in their order. */
export interface LineReader {
  /** A line that may be shown. */
  read(line: string): MaskedText;
  /** A line that is not. */
  skip(line: string): void;
}

/** Masks secrets and counts what it masked; one for each result. */
export class Masker {
  readonly #secrets: readonly string[];
  readonly #enabled: boolean;
  #count = 0;

  /** @param secrets the caller's own; shorter than 8 characters they are none and would blot out words */
  constructor(secrets: readonly Secret[], enabled: boolean) {
    this.#secrets = secrets.map((secret) => secret.reveal()).filter((plain) => plain.length >= 8);
    this.#enabled = enabled;
  }

  /** Secrets masked so far. */
  get count(): number {
    return this.#count;
  }

  /** One text, cleaned and masked. Cleaned first: hidden characters must not split a secret. */
  text(text: string): string {
    const read = this.measure(text);
    this.#count += read.masked;
    return read.text;
  }

  /** As `text`, without counting: for what may not be shown after all. */
  measure(text: string): MaskedText {
    const clean = cleanText(text);
    return this.#enabled && clean.length >= 8 ? this.#mask(clean) : { text: clean, masked: 0 };
  }

  /** Counts what was measured and is shown. */
  add(masked: number): void {
    this.#count += masked;
  }

  /** Any JSON value: names and texts at every depth cleaned and masked, dropped fields gone. */
  value(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((entry) => this.value(entry));
    if (typeof value !== 'object' || value === null) return value;
    const kept: [string, unknown][] = [];
    for (const [name, entry] of Object.entries(value)) {
      if (DROPPED.has(name.replaceAll('_', '').toLowerCase())) continue;
      kept.push([this.text(name), this.value(entry)]);
    }
    return Object.fromEntries(kept);
  }

  /** For lines that come one after another: a key block is masked although its lines are looked at singly. */
  lines(): LineReader {
    let inKey = false;
    const advance = (clean: string): void => {
      const begin = clean.lastIndexOf('-----BEGIN ');
      if (begin !== -1) inKey = KEY_BEGIN.test(clean.slice(begin)) && !KEY_END.test(clean.slice(begin));
    };
    const read = (line: string): MaskedText => {
      if (!this.#enabled) return this.measure(line);
      const clean = cleanText(line);
      const end = inKey ? KEY_END.exec(clean) : undefined;
      if (end === null) return { text: MASKED, masked: 0 };
      inKey = false;
      advance(clean);
      if (end === undefined) return this.measure(clean);
      const rest = this.measure(clean.slice(end.index + end[0].length));
      return { ...rest, text: MASKED + rest.text };
    };
    return {
      read,
      // Cheap for nearly all lines: only the ends of a key block matter of what is not shown.
      skip: (line) => void (line.includes('-----') && read(line)),
    };
  }

  #mask(text: string): MaskedText {
    let masked = 0;
    let left = text;
    for (const secret of this.#secrets) {
      const parts = left.split(secret);
      masked += parts.length - 1;
      left = parts.join(MASKED);
    }
    const hide = () => {
      masked++;
      return MASKED;
    };
    if (left.includes('-----BEGIN ')) left = left.replace(KEY_BLOCK, hide);
    if (left.includes('eyJ')) left = withoutJwts(left, hide);
    if (left.includes('gl')) left = left.replace(TOKEN, (token) => (isToken(token) ? hide() : token));
    // What is masked already inside a URL counts once.
    if (left.includes('://')) left = left.replace(URL_PASSWORD, (all, head, password) => (password === MASKED ? all : head + hide()));
    return { text: left, masked };
  }
}

function isToken(text: string): boolean {
  if (PREFIX.test(text)) return true;
  return text.length - text.indexOf('-') > SHORTEST_UNKNOWN && !WORDS.test(text);
}
