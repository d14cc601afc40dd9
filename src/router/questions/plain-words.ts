/** Letters that look like Latin ones. */
const LOOK_ALIKE: Readonly<Record<string, string>> = Object.fromEntries(
  [...'аaеeоoрpсcуyхxіiѕsјjкkԁdαaοoρpεeκkιiτtνvłl'.matchAll(/(.)([a-z])/gu)].map(([, from = '', to = '']) => [from, to]),
);

/** One spelling for all that look alike, in lower case. */
export function fold(text: string): string {
  return plain(text)
    .toLowerCase()
    .replace(/\P{ASCII}/gu, (letter) => LOOK_ALIKE[letter] ?? letter);
}

const IS_ASCII = /^\p{ASCII}*$/u;
const UNSEEN = /[\p{M}\p{Cf}'’]/gu;
/** Single characters that stand for whole sentences in Arabic. */
const SENTENCES = /[\ufdf0-\ufdfd]/g;

/** Without accents, forms that only look different, characters that are not seen, and apostrophes. */
function plain(text: string): string {
  if (IS_ASCII.test(text)) return text.replaceAll("'", '');
  // Marks go first: putting a long run of them in order takes time that grows with its square. What is made up of a letter and a mark leaves one.
  return text.replace(UNSEEN, '').replace(SENTENCES, ' ').normalize('NFKD').replace(UNSEEN, '');
}

/** Words in lower case, split where the case changes and at everything that is no letter. Letters that stand alone in a row are one word. */
export function wordsOf(text: string): string[] {
  const split = plain(text).replace(/(?<=\p{Ll})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/gu, ' ');
  const words: string[] = [];
  let spelled = '';
  const end = () => {
    if (spelled.length > 3) words.push(spelled);
    else words.push(...spelled);
    spelled = '';
  };
  for (const word of fold(split).match(/\p{L}+/gu) ?? []) {
    if (word.length === 1) spelled += word;
    else {
      if (spelled !== '') end();
      words.push(word);
    }
  }
  if (spelled !== '') end();
  return words;
}
