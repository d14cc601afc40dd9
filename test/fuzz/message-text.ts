import fc from 'fast-check';

/** JSON texts as no library writes them: odd blanks, escapes, repeated members, every form of number, and mistakes now and then. */

const blank = fc.constantFrom('', '', '', ' ', '\n', '\r\n\t', '  ');
const escapeText = fc.constantFrom('\\n', '\\"', '\\\\', '\\/', '\\u0041', '\\ud83d\\ude00', '\\ud800', '\\\\\\"', '\\u00e9');
const plain = fc.constantFrom('a', 'name', '{', '}', '[', ']', ':', ',', 'é', '😀', '\u2028', ' ', 'x'.repeat(60), '\u007f');
const wrongChar = fc.constantFrom('\u0000', '\n', '\t', '\\x', '\\u12g4', '\\');

/** Mostly valid: `wrong` parts are one of some dozens. */
const rarely = <T>(usual: fc.Arbitrary<T>, wrong: fc.Arbitrary<T>) => fc.oneof({ weight: 40, arbitrary: usual }, { weight: 1, arbitrary: wrong });

export const stringText = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: plain },
      { weight: 3, arbitrary: escapeText },
      { weight: 1, arbitrary: fc.tuple(escapeText, fc.integer({ min: 1, max: 300 })).map(([text, times]) => text.repeat(times)) },
    ),
    { maxLength: 8 },
  )
  .chain((parts) =>
    rarely(
      fc.constant(parts),
      wrongChar.map((wrong) => [...parts, wrong]),
    ),
  )
  .map((parts) => `"${parts.join('')}"`);

const integerText = fc.oneof(
  fc.maxSafeInteger().map(String),
  fc.constantFrom('0', '-0', '9007199254740991', '9007199254740992', '-9007199254740991', '-9007199254740993', '12345678901234567890123'),
);
const numberText = rarely(
  fc.oneof(integerText, fc.double({ noNaN: true, noDefaultInfinity: true }).map(String), fc.constantFrom('1E3', '1e+2', '0.10', '-0.0e-0', '1e999')),
  fc.constantFrom('01', '-', '+1', '.5', '1.', '1e', '0x1', 'NaN', '1e+', '--1', '-01'),
);
const literalText = rarely(fc.constantFrom('true', 'false', 'null'), fc.constantFrom('tru', 'True', 'nul', 'falsey', 'undefined', ''));

const { value } = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, literalText, numberText, stringText, tie('object'), tie('array')),
  object: fc.array(fc.tuple(blank, stringText, blank, blank, tie('value'), blank), { maxLength: 3 }).map(objectText),
  array: fc.array(fc.tuple(blank, tie('value'), blank), { maxLength: 3 }).map((items) => `[${items.map((item) => item.join('')).join(',')}]`),
}));

export const valueText = rarely(
  value,
  fc.integer({ min: 25, max: 520 }).chain((depth) => fc.constantFrom(nested('[', ']', depth), nested('{"a":', '}', depth))),
);

function nested(open: string, close: string, depth: number): string {
  return `${open.repeat(depth)}1${close.repeat(depth)}`;
}

type MemberText = readonly [before: string, key: string, afterKey: string, beforeValue: string, value: string, after: string];

function objectText(members: readonly MemberText[]): string {
  const texts = members.map(([before, key, afterKey, beforeValue, text, after]) => `${before}${key}${afterKey}:${beforeValue}${text}${after}`);
  return `{${texts.join(',')}}`;
}

/** An object of some of these members, in any order, some of them twice now and then. */
function objectWith(known: Readonly<Record<string, fc.Arbitrary<string>>>, required: readonly string[]): fc.Arbitrary<string> {
  const names = Object.keys(known);
  const memberOf = (name: string) =>
    fc.tuple(blank, rarely(fc.constant(JSON.stringify(name)), escaped(name)), blank, blank, known[name] as fc.Arbitrary<string>, blank);
  const foreign = fc.tuple(blank, stringText, blank, blank, valueText, blank);
  return fc
    .tuple(
      fc.subarray(names.filter((name) => !required.includes(name))),
      rarely<string[]>(fc.constant([]), fc.subarray(names)),
      fc.array(foreign, { maxLength: 1 }),
    )
    .chain(([some, again, others]) =>
      fc
        .tuple(...[...required, ...some, ...again].map(memberOf))
        .chain((members) => fc.shuffledSubarray([...members, ...others], { minLength: members.length })),
    )
    .map(objectText);
}

/** The name with one letter escaped. */
function escaped(name: string): fc.Arbitrary<string> {
  return fc.constant(`"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}"`);
}

const idText = fc.oneof({ weight: 4, arbitrary: integerText }, { weight: 3, arbitrary: stringText }, valueText);
const methodText = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('"tools/call"', '"resources/read"', '"initialize"', '"notifications/progress"') },
  stringText,
  valueText,
);
const versionText = rarely(fc.constant('"2.0"'), fc.constantFrom('"2.00"', '2.0', '"1.0"', '"\\u0032.0"', 'null'));
const metaText = fc.oneof(
  { weight: 5, arbitrary: objectWith({ 'io.modelcontextprotocol/protocolVersion': stringText, progressToken: idText, a: valueText }, []) },
  valueText,
);
const paramsText = fc.oneof(
  { weight: 8, arbitrary: objectWith({ name: stringText, arguments: valueText, _meta: metaText, uri: stringText, ['__proto__']: valueText }, []) },
  valueText,
);
const resultText = fc.oneof(
  { weight: 8, arbitrary: objectWith({ content: valueText, isError: literalText, _meta: metaText, structuredContent: valueText }, []) },
  valueText,
);

const around = (message: fc.Arbitrary<string>) => fc.tuple(blank, message, blank).map((parts) => parts.join(''));

/** A request, or something close to one. */
export const requestText = around(
  objectWith({ jsonrpc: versionText, id: idText, method: methodText, params: paramsText }, ['jsonrpc', 'id', 'method']),
);

/** A result, a notification, or something close to one. */
export const incomingText = around(
  fc.oneof(
    objectWith({ jsonrpc: versionText, id: integerText, result: resultText, error: valueText }, ['jsonrpc', 'id', 'result']),
    objectWith({ jsonrpc: versionText, method: methodText, params: paramsText, id: integerText }, ['jsonrpc', 'method']),
  ),
);

/** One byte changed, taken out, doubled or put in, or the end cut off. */
export function mutated(bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const odd = fc.oneof(fc.constantFrom(...Buffer.from('{}[]":,\\ 0-.eE\n\0')), fc.integer({ min: 0, max: 255 }));
  return fc.tuple(bytes, fc.array(fc.tuple(fc.nat(), fc.nat(4), odd), { minLength: 1, maxLength: 3 })).map(([original, changes]) => {
    let changed = original;
    for (const [where, how, byte] of changes) {
      const at = where % (changed.length + 1);
      const [before, after] = [changed.subarray(0, at), changed.subarray(at)];
      if (how === 0) changed = Buffer.concat([before, Buffer.of(byte), after]);
      else if (how === 1) changed = Buffer.concat([before, after.subarray(1)]);
      else if (how === 2) changed = Buffer.concat([before, Buffer.of(byte), after.subarray(1)]);
      else if (how === 3) changed = Buffer.concat([before, after.subarray(0, 6), after]);
      else if (where % 7 === 0) changed = before;
    }
    return changed;
  });
}
