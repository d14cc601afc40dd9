import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, type Edits, editObject, elements, member, memberSpans, objectOf, parseJson, repeatedMember, toJson } from './json.ts';
import { splicedInto } from './json-splice.ts';

const spaced = fc.tuple(fc.json(), fc.constantFrom(undefined, 1, '\t')).map(([text, indent]) => JSON.stringify(JSON.parse(text), null, indent));
const object = fc.dictionary(fc.string(), fc.jsonValue());

describe('JSON as bytes', () => {
  it('finds the members that the full parser finds', () => {
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 2), (value, indent) => {
        const bytes = Buffer.from(JSON.stringify(value, null, indent));
        const parsed = JSON.parse(bytes.toString()) as Record<string, unknown>;
        const seen = memberSpans(bytes).map((span) => [span.key, JSON.parse(bytes.toString('utf8', span.valueStart, span.end))]);
        expect(seen).toEqual(JSON.parse(JSON.stringify(Object.entries(parsed))));
      }),
    );
  });

  it('finds the elements that the full parser finds', () => {
    fc.assert(
      fc.property(fc.array(spaced), (texts) => {
        const bytes = Buffer.from(`[ ${texts.join(' , ')} ]`);
        expect(elements(bytes).map((item) => JSON.parse(item.toString()))).toEqual(texts.map((text) => JSON.parse(text)));
      }),
    );
  });

  it('edits as an object edit would, and changes nothing else', () => {
    fc.assert(
      fc.property(
        object,
        fc.dictionary(fc.string(), fc.option(fc.jsonValue(), { nil: undefined })),
        fc.constantFrom(undefined, 1),
        (value, edits, indent) => {
          const bytes = Buffer.from(JSON.stringify(value, null, indent));
          const expected = new Map(Object.entries(JSON.parse(bytes.toString()) as object));
          for (const [key, next] of Object.entries(edits)) {
            if (next === undefined) expected.delete(key);
            else expected.set(key, JSON.parse(JSON.stringify(next)));
          }
          const edited = editObject(bytes, Object.fromEntries(Object.entries(edits).map(([k, v]) => [k, v === undefined ? undefined : toJson(v)])));
          expect(new Map(Object.entries(JSON.parse(edited.toString()) as object))).toEqual(expected);
        },
      ),
    );
  });

  it('removes, replaces and appends wherever the members stand, several in a row and repeated ones included', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const blank = fc.constantFrom('', ' ', '\n');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, fc.integer(), blank), { maxLength: 6 }),
        fc.dictionary(key, fc.option(fc.string(), { nil: undefined })),
        (members, edits) => {
          const text = members.map(([name, value, space]) => `${space}"${name}"${space}:${value}${space}`).join(',');
          const expected = members.flatMap(([name, value], index) => {
            if (!Object.hasOwn(edits, name)) return [[name, String(value)]];
            const isLast = members.findLastIndex(([other]) => other === name) === index;
            return edits[name] === undefined || !isLast ? [] : [[name, JSON.stringify(edits[name])]];
          });
          const added = Object.entries(edits).filter(([name, value]) => value !== undefined && !members.some(([other]) => other === name));
          const edited = editObject(
            Buffer.from(`{${text}}`),
            Object.fromEntries(Object.entries(edits).map(([name, value]) => [name, value === undefined ? undefined : toJson(value)])),
          );
          JSON.parse(edited.toString());
          const found = memberSpans(edited).map((span) => [span.key, edited.toString('utf8', span.valueStart, span.end)]);
          expect(found).toEqual([...expected, ...added.map(([name, value]) => [name, JSON.stringify(value)])]);
        },
      ),
    );
  });

  it('keeps blanks, big integers, number forms and unknown members', () => {
    const bytes = Buffer.from('{ "id": 12345678901234567890,\n "e" : 1.0e+2, "u":"\\u00e9", "name":"a" }');
    expect(editObject(bytes, { name: toJson('b') }).toString()).toBe('{ "id": 12345678901234567890,\n "e" : 1.0e+2, "u":"\\u00e9", "name":"b" }');
    expect(editObject(bytes, { name: undefined }).toString()).toBe('{ "id": 12345678901234567890,\n "e" : 1.0e+2, "u":"\\u00e9" }');
    expect(editObject(bytes, { x: toJson(1) }).toString()).toBe('{ "id": 12345678901234567890,\n "e" : 1.0e+2, "u":"\\u00e9", "name":"a","x":1 }');
    expect(editObject(bytes, {})).toBe(bytes);
  });

  it('replaces the last of repeated members and drops the others', () => {
    expect(editObject(Buffer.from('{"a":1,"b":2,"a":3}'), { a: toJson(9) }).toString()).toBe('{"b":2,"a":9}');
    expect(editObject(Buffer.from('{"a":1,"b":2,"a":3}'), { a: undefined }).toString()).toBe('{"b":2}');
    expect(editObject(Buffer.from('{"a":1,"a":3}'), { a: undefined, c: toJson(1) }).toString()).toBe('{"c":1}');
    expect(repeatedMember(Buffer.from('{"\\u0061":1,"a":2}'))).toBe('a');
    expect(member(Buffer.from('{"a":1,"a":2}'), 'a')?.toString()).toBe('2');
  });

  it('tells integers above 2^53 apart in the canonical form, and spellings not', () => {
    expect(canonicalJson(Buffer.from('{"b":9007199254740993, "a":[ "\\u0041" ]}'))).toBe('{"a":["A"],"b":9007199254740993}');
  });

  it('refuses invalid UTF-8 instead of repairing it', () => {
    expect(parseJson(Buffer.from([0x22, 0xff, 0x22]))).toEqual({ ok: false, error: 'not valid UTF-8' });
  });

  it('builds objects from bytes', () => {
    expect(objectOf({ a: toJson(1), b: undefined, c: Buffer.from('[1.0]') }).toString()).toBe('{"a":1,"c":[1.0]}');
  });

  it('finds the end of strings of any length, however many escapes they hold', () => {
    const part = fc.oneof(
      fc.constantFrom('"', '\\', '\\"', '\n', 'é', '{', ','),
      fc.tuple(fc.constantFrom('x', '"', '\\', 'é'), fc.integer({ min: 1, max: 700 })).map(([char, times]) => char.repeat(times)),
    );
    const text = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), fc.boolean(), (texts, nested) => {
        const values = nested ? texts.map((value) => ({ [value]: [value] })) : texts;
        const bytes = Buffer.from(JSON.stringify(Object.fromEntries(values.map((value, index) => [`k${index}`, value]))));
        expect(memberSpans(bytes).map(({ valueStart, end }) => JSON.parse(bytes.toString('utf8', valueStart, end)))).toEqual(values);
        expect(elements(Buffer.from(JSON.stringify(values))).map((item) => JSON.parse(item.toString()))).toEqual(values);
      }),
    );
    for (const open of ['x'.repeat(20), 'x'.repeat(2000), '\\"'.repeat(20), '\\"'.repeat(200)]) {
      expect(() => memberSpans(Buffer.from(`{"a":"${open}`))).toThrow(RangeError);
    }
  });

  it('reads keys as the full parser does: words of the protocol, their prefixes, escapes, other alphabets', () => {
    const word = fc.constantFrom('id', 'name', '_meta', 'io.modelcontextprotocol/clientInfo', 'io.modelcontextprotocol/related-task', 'contents');
    const key = fc.oneof(
      word,
      fc.tuple(word, fc.string({ maxLength: 2 })).map((parts) => parts.join('')),
      word.map((text) => text.slice(0, -1)),
      fc.string(),
    );
    const spelled = fc.tuple(key, fc.boolean()).map(([text, escaped]) => {
      const [first = 'a'] = text;
      return escaped && first.length === 1
        ? `"\\u${first.charCodeAt(0).toString(16).padStart(4, '0')}${JSON.stringify(text.slice(1)).slice(1)}`
        : JSON.stringify(text);
    });
    fc.assert(
      fc.property(fc.array(spelled), (keys) => {
        const bytes = Buffer.from(`{${keys.map((text) => `${text}:1`).join(',')}}`);
        expect(memberSpans(bytes).map((span) => span.key)).toEqual(keys.map((text) => JSON.parse(text)));
      }),
    );
  });

  it('builds a whole message as cutting and joining would, in one buffer', () => {
    const edits = fc.dictionary(fc.constantFrom('a', 'b', 'é', '_meta'), fc.option(fc.jsonValue().map(toJson), { nil: undefined }));
    const text = fc.constantFrom('', '{"id":"é","result":', '}');
    fc.assert(
      fc.property(object, edits, text, text, fc.boolean(), (value, changes, head, tail, apart) => {
        const bytes = Buffer.from(JSON.stringify({ ...value, a: 1 }, null, 1));
        const expected = Buffer.concat([Buffer.from(head), editObject(bytes, changes), Buffer.from(tail)]);
        const built = splicedInto(apart ? Buffer.from(head) : head, bytes, memberSpans(bytes), changes, tail, apart);
        expect(built.toString()).toBe(expected.toString());
        if (apart) expect(built.buffer.byteLength).toBe(built.length);
      }),
    );
  });

  it('edits alike whether few members change or many', () => {
    const key = fc.constantFrom(...'abcdefgh'.split(''));
    fc.assert(
      fc.property(fc.array(key, { maxLength: 12 }), fc.array(fc.tuple(key, fc.boolean()), { maxLength: 12 }), (keys, changes) => {
        const bytes = Buffer.from(`{${keys.map((name, index) => `"${name}":${index}`).join(',')}}`);
        const edits: Edits = Object.fromEntries(changes.map(([name, kept]) => [name, kept ? toJson(name) : undefined]));
        const oneByOne = Object.entries(edits).reduce<Buffer>((edited, [name, value]) => editObject(edited, { [name]: value }), bytes);
        // Members that change nothing raise the number of edits above the few that are looked for one by one.
        const ballast = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`none${index}`, undefined]));
        expect(editObject(bytes, edits).toString()).toBe(oneByOne.toString());
        expect(editObject(bytes, { ...edits, ...ballast }).toString()).toBe(oneByOne.toString());
      }),
    );
  });

  it('takes spans that are known', () => {
    const bytes = Buffer.from('{"a":1,"b":2}');
    const spans = memberSpans(bytes);
    expect(editObject(bytes, { b: toJson(3) }, spans).toString()).toBe('{"a":1,"b":3}');
    expect(member(bytes, 'b', spans)?.toString()).toBe('2');
    expect(member(bytes, 'b', spans.slice(0, 1))).toBeUndefined();
  });

  it('ends on arrays that only a skipping scanner has seen', () => {
    expect(() => elements(Buffer.from('[x{}]'))).toThrow(TypeError);
  });
});
