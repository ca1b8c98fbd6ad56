import { describe, expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { readPlain } from './xml-plain.ts';
import { parseXml, type XmlElement } from './xml-reader.ts';

function parsed(text: string): XmlElement | 'refused' {
  try {
    return parseXml(text, 'utf-8');
  } catch {
    return 'refused';
  }
}

/** Whatever is read the short way is what the parser reads; what the parser refuses is never read. */
function agrees(text: string): boolean {
  const plain = readPlain(text);
  if (plain !== undefined) expect({ text, read: plain }).toEqual({ text, read: parsed(text) as XmlElement });
  return plain !== undefined;
}

const soap = 'http://schemas.xmlsoap.org/soap/envelope/';

test.each([
  `<Envelope xmlns="${soap}"><Body><Version xmlns="http://www.ecgridos.net/"/></Body></Envelope>`,
  `<?xml version="1.0" encoding="utf-8"?>\n<s:Envelope xmlns:s="${soap}" xmlns:i="urn:i"><s:Body><a i:nil='true'>t > u</a><b a="1" b="" /></s:Body></s:Envelope>\n`,
  '<?xml version="1.0"?><a/>',
  '<a.b-c_1>\n\t<x:y xmlns:x="u" z="/>"/>text</a.b-c_1>',
])('a plain document is read: %s', (text) => {
  expect(agrees(text)).toBe(true);
});

describe('what is not plain, or not XML, is left to the parser', () => {
  test.each([
    '',
    ' ',
    'a',
    '<',
    '<a',
    '<a>',
    '</a>',
    '<a></b>',
    '<a/><b/>',
    '<a/>x',
    'x<a/>',
    '<a></a></a>',
    '<a b></a>',
    '<1/>',
    '<a:/>',
    '<a>&amp;</a>',
    '<a b="&lt;"/>',
    '<a><![CDATA[x]]></a>',
    '<a><!-- x --></a>',
    '<?pi x?><a/>',
    '<!DOCTYPE a><a/>',
    '<a>]]></a>',
    '<a>é</a>',
    '<a>\r\n</a>',
    '<a>\u0001</a>',
    '<é/>',
    '\ufeff<a/>',
    '<a b="\n"/>',
    '<a b="1"b="2"/>',
    '<a b="1" b="2"/>',
    '<a b = "1"/>',
    '<p:a/>',
    '<a p:b="1"/>',
    '<a xmlns:p=""/>',
    '<a xmlns:xml="u"/>',
    '<a xmlns:xmlns="u"/>',
    '<a xmlns=" u"/>',
    '<xmlns:a/>',
    '<xml:a/>',
    '<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>',
    '<a xmlns="http://www.w3.org/2000/xmlns/"/>',
    '<a xmlns:p="u" xmlns:p="v"/>',
    '<?xml version="1.1"?><a/>',
    '<?xml version="1.0" encoding="utf-16"?><a/>',
    ' <?xml version="1.0"?><a/>',
    '<a b=1/>',
    '<a b=\'1"/>',
    `${'<a>'.repeat(40)}${'</a>'.repeat(40)}`,
    `<a>${'<b/>'.repeat(150)}</a>`,
    `<${'n'.repeat(101)}/>`,
    `<a ${'n'.repeat(60_000)}="1"/>`,
    `<a ${'n'.repeat(101)}="1"/>`,
    `<a p:${'n'.repeat(101)}="1"/>`,
    '<a b="1" c d="2"/>',
    '<a 1b="1"/>',
  ])('%#: %s', (text) => {
    expect(readPlain(text)).toBeUndefined();
  });
});

test('whatever is put together from pieces of XML, it is never read another way than by the parser', () => {
  const piece = fc.constantFrom(
    '<a>',
    '</a>',
    '<a',
    '>',
    '/>',
    '<p:b',
    '</p:b>',
    ' xmlns:p="u"',
    ' xmlns="v"',
    ' xmlns:q="u"',
    ' c="1"',
    " p:c='2'",
    ' q:c="3"',
    ' ',
    '\n',
    'text',
    '"',
    "'",
    '=',
    '<',
    '&amp;',
    '<?xml version="1.0"?>',
    '<!-- -->',
    ']]>',
    ':',
    'xml:lang="e"',
    '</',
    '<x/>',
    ' xml:d="4"',
  );
  let read = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), fc.boolean(), (pieces, wrapped) => {
      const inside = pieces.join('');
      if (agrees(wrapped ? `<r xmlns:p="u">${inside}</r>` : inside)) read += 1;
    }),
    { numRuns: 30_000 },
  );
  expect(read).toBeGreaterThan(500);
});

test('no document takes long to be found unplain', () => {
  const long = 60_000;
  for (const text of [
    `<a${' '.repeat(long)}`,
    `<a${' b="1"'.repeat(long / 6)}`,
    `<a>${'<b '.repeat(long / 3)}`,
    `<a b="${'x'.repeat(long)}`,
    `<a>${' '.repeat(long)}`,
    '<'.repeat(long),
    `<${'a'.repeat(long)}`,
  ]) {
    const startedMs = performance.now();
    expect(readPlain(text)).toBeUndefined();
    expect(performance.now() - startedMs).toBeLessThan(200);
  }
});
