import { describe, expect, test } from 'bun:test';
import { array, assert, constant, constantFrom, dictionary, letrec, oneof, property, record, string } from 'fast-check';
import { readXml, type XmlElement } from './xml-reader.ts';
import { element, writeDocument, type Xml } from './xml-writer.ts';

type Tree = {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
  readonly children: readonly Tree[];
};

const texts = oneof(
  string({ unit: 'binary', maxLength: 12 }),
  constantFrom(']]>', '<!--', '&amp;', '\'"', '\r\n\t', '\ud800', '&#0;'),
);
const { tree } = letrec<{ tree: Tree }>((tie) => ({
  tree: record({
    name: constantFrom('a', 'SessionID', 'B-1', '_x', '__proto__'),
    attributes: dictionary(constantFrom('id', 'lang', 'qname'), texts, { maxKeys: 3 }),
    text: texts,
    children: oneof({ maxDepth: 4 }, constant([]), array(tie('tree'), { maxLength: 3 })),
  }),
}));

/** Text first, then the children: the reader joins text pieces, so this loses nothing. */
function write({ name, attributes, text, children }: Tree): Xml {
  return element(name, [text, ...children.map(write)], attributes);
}

/** What the reader must give back: what XML 1.0 cannot hold became the replacement character. */
function expected({ name, attributes, text, children }: Tree): XmlElement {
  return {
    namespace: '',
    name,
    attributes: Object.entries(attributes).map(([key, value]) => ({ namespace: '', name: key, value: legal(value) })),
    children: children.map(expected),
    text: legal(text),
  };
}

function legal(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  return text.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd');
}

describe('the writer', () => {
  test('[27] whatever the texts, the document is well-formed and is read back as it was meant', () => {
    assert(
      property(tree, (one) => {
        expect(readXml(writeDocument(write(one)), 'utf-8')).toEqual(expected(one));
      }),
      { numRuns: 2_000 },
    );
  });

  test('[27] no text can open or close a tag, a quote or a reference', () => {
    assert(
      property(texts, texts, (text, value) => {
        const { xml } = element('a', [text], { b: value });
        const [, attribute = '', content = ''] = /^<a b="([^"<>]*)">([^<>]*)<\/a>$/.exec(xml) ?? [];
        for (const piece of [attribute, content]) {
          expect(piece.replace(/&(amp|lt|gt|quot|#13|#10|#9);/g, '')).not.toMatch(/[&<>"\r\n\t]/);
        }
        expect(content === '' && text !== '').toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  test('[27] a document is the declaration, a line feed and its root without white space between elements', () => {
    const root = element('a', [element('b', ['1 < 2 & "3"']), element('c', []), element('d', [''])], { e: 'x\n' });
    expect(writeDocument(root)).toBe(
      '<?xml version="1.0" encoding="utf-8"?>\n<a e="x&#10;"><b>1 &lt; 2 &amp; &quot;3&quot;</b><c/><d></d></a>',
    );
  });

  test('X15 what XML cannot hold is written as a replacement character, never as it is', () => {
    const text = element('a', ['\u0000\u0008\u000b\ufffe\uffff\ud800z\udc00']).xml;
    expect(text).toBe('<a>\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdz\ufffd</a>');
  });
});
