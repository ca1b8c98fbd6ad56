import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { HttpFault } from './faults.ts';
import { parseJson, parseJsonObject } from './json.ts';

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function expectRefused(body: Uint8Array, parse: (body: Uint8Array) => unknown = parseJson): void {
  try {
    parse(body);
  } catch (error) {
    expect(error).toBeInstanceOf(HttpFault);
    expect((error as HttpFault).fault).toBe('bad_json');
    return;
  }
  throw new Error(`accepted: ${Buffer.from(body).toString('latin1').slice(0, 80)}`);
}

/** Milliseconds of the fastest of some runs, so that a busy machine does not decide. */
function fastest(run: () => void): number {
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return Math.min(...times);
}

const malformed = [
  '{"a":1,}',
  '[1,]',
  "{'a':1}",
  '{"a":1}//x',
  '/*x*/{}',
  '{a:1}',
  'hello',
  'NaN',
  'Infinity',
  'undefined',
  '+1',
  '01',
  '1.',
  '.5',
  '"\n"',
  '"\t"',
  '"\u0000"',
  '"\\x"',
  '"\\u12"',
  '{',
  '[',
  '"',
  '{"a"',
  '{"a":',
  '{"a":1',
  '[1',
  '{]',
  '[}',
  '{}{}',
  '{} x',
  '{}\n{}',
  '',
  ' ',
  '\n\t',
  '}',
  ']',
  '{"a" 1}',
  '{"\\',
  '{"a\\',
  '{"\\x":1}',
  '{,}',
  '[[]',
  '{}}',
];

test('B01: malformed text is refused', () => {
  for (const text of malformed) expectRefused(bytes(text));
});

test('B02: invalid UTF-8, other encodings and a byte-order mark are refused, never repaired', () => {
  const inString = (...middle: number[]): Uint8Array => Uint8Array.from([0x22, ...middle, 0x22]);
  expectRefused(inString(0x80));
  expectRefused(inString(0xc0, 0xaf));
  expectRefused(inString(0xed, 0xa0, 0x80));
  expectRefused(inString(0xe2, 0x82));
  expectRefused(inString(0xf4, 0x90, 0x80, 0x80));
  expectRefused(inString(0xff));
  expectRefused(Uint8Array.from([0xef, 0xbb, 0xbf, ...bytes('{}')]));
  expectRefused(Buffer.from('{"a":1}', 'utf16le'));
  expectRefused(Uint8Array.from([0xff, 0xfe, ...Buffer.from('{}', 'utf16le')]));
  expectRefused(Uint8Array.from([0, 0, 0, 0x7b, 0, 0, 0, 0x7d]));
});

test('B03: a top level that is no object is refused where an object is needed', () => {
  for (const text of ['[]', '[{}]', '"a"', '1', 'true', 'null', '']) expectRefused(bytes(text), parseJsonObject);
  expect(parseJsonObject(bytes(' {"a": [1]} '))).toEqual({ a: [1] });
});

test('B04: a key twice in one object is refused, also behind escapes and further in', () => {
  const twice = [
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"\\u0061":1,"a":2}',
    '{"\\"":1,"\\u0022":2}',
    '{"":1,"":2}',
    '[{"x":{"a":[{}],"b":1,"a":2}}]',
    '{"a":{"b":1},"c":[1,"d"],"a":2}',
    '{ "a" : 1 , "a" : 2 }',
  ];
  for (const text of twice) expectRefused(bytes(text));
});

test('B04: the same word in another object, in an array or as a value is no repetition', () => {
  const fine = ['{"a":"a","b":"a"}', '{"a":{"a":{"a":1}}}', '["a","a"]', '[{"a":1},{"a":1}]', '{"a":["b","b"],"b":1}'];
  for (const text of fine) expect(parseJson(bytes(text))).toEqual(JSON.parse(text));
  expect(parseJson(bytes('{"a\\\\":1,"a\\"":2,"a":"}{][,:"}'))).toEqual({ 'a\\': 1, 'a"': 2, a: '}{][,:' });
});

test('B05: the keys of prototypes are refused, escaped and nested too, and no prototype is touched', () => {
  for (const key of ['__proto__', 'constructor', 'prototype', '\\u005f_proto__', 'c\\u006fnstructor']) {
    expectRefused(bytes(`{"${key}":{"x":1}}`));
    expectRefused(bytes(`{"a":[{"b":{"${key}":1}}]}`));
  }
  expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  const harmless = '{"toString":1,"hasOwnProperty":2,"a":"__proto__","b":["constructor"]}';
  expect(parseJson(bytes(harmless))).toEqual(JSON.parse(harmless));
});

test('B06: 16 levels pass, 17 and 200,000 are refused without overflow', () => {
  const nested = (levels: number): Uint8Array => bytes('['.repeat(levels) + ']'.repeat(levels));
  const objects = (levels: number): Uint8Array => bytes('{"a":'.repeat(levels) + '1' + '}'.repeat(levels));
  expect(parseJson(nested(16))).toBeArray();
  expect(parseJson(objects(16))).toBeObject();
  expect(parseJson(bytes(`[${'[],'.repeat(1_000)}{}]`))).toBeArrayOfSize(1_001);
  for (const levels of [17, 200_000]) {
    expectRefused(nested(levels));
    expectRefused(objects(levels));
    expectRefused(bytes('['.repeat(levels)));
  }
});

test('B15: many, long and number-like keys are read in time that grows with the body alone', () => {
  const object = (count: number, key: (index: number) => string): Uint8Array =>
    bytes(JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [key(index), 1]))));
  const bodies = [
    object(10_000, (index) => `k${index}`),
    object(3_000, (index) => `${index * 7_919}`),
    object(1, () => 'k'.repeat(15_000)),
    bytes(`{"${'\\\\'.repeat(7_500)}":1}`),
    bytes(`["${'\\"'.repeat(8_000)}"]`),
  ];
  // A tenth of this when nobody else wants the machine; what grows by the square takes many times as long.
  for (const body of bodies) expect(fastest(() => parseJson(body))).toBeLessThan(100);
});

test('B18: parsing equals JSON.parse on everything JSON.stringify makes of ordinary values', () => {
  const ordinary = fc
    .jsonValue({ maxDepth: 6 })
    .filter((value) => !/__proto__|constructor|prototype/.test(JSON.stringify(value)));
  fc.assert(
    fc.property(ordinary, fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(parseJson(bytes(text))).toEqual(JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

test('B18: whatever bytes come, the answer is a value or bad_json', () => {
  const jsonLike = fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0061 abtruefalsn-+.eE\n'), maxLength: 60 });
  const body = fc.oneof(fc.uint8Array({ maxLength: 60 }), jsonLike.map(bytes));
  fc.assert(
    fc.property(body, (input) => {
      try {
        parseJson(input);
      } catch (error) {
        expect(error).toBeInstanceOf(HttpFault);
      }
    }),
    { numRuns: 5_000 },
  );
});

test('B04: a key repeated at any place of an object is found, however it is written', () => {
  const escaped = (key: string): string =>
    [...key].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
  const keys = fc.uniqueArray(fc.string({ unit: fc.constantFrom(...'abc"\\é{}'), maxLength: 5 }), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(keys, fc.nat(), fc.boolean(), (names, pick, escape) => {
      const members = names.map((name) => `${JSON.stringify(name)}:{"x":[1]}`);
      expect(Object.keys(parseJsonObject(bytes(`{${members.join()}}`)))).toEqual(names);
      const again = names[pick % names.length] as string;
      members.push(escape ? `"${escaped(again)}":1` : `${JSON.stringify(again)}:1`);
      expectRefused(bytes(`{${members.join()}}`));
    }),
  );
});
