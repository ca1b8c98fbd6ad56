import { expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { validateXML } from 'xmllint-wasm';
import { tries } from '../../../tests/support/seeds.ts';
import { element, writeDocument, type Xml } from './xml-writer.ts';

type Tree = {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string;
  readonly children: readonly Tree[];
};

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    ']]>',
    '<!--',
    '<![CDATA[',
    '&amp;',
    '&#0;',
    '\'"',
    '\r\n\t',
    ' \n ',
    '\ud800',
    '\ufffe',
    '<?x?>',
    '\u0085\u2028',
  ),
);
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.record({
    name: fc.constantFrom('a', 'SessionID', 'B-1', '_x'),
    attributes: fc.dictionary(fc.constantFrom('id', 'lang', 'qname'), texts, { maxKeys: 3 }),
    text: texts,
    children: fc.oneof({ maxDepth: 4 }, fc.constant([]), fc.array(tie('tree'), { maxLength: 3 })),
  }),
}));

function write({ name, attributes, text, children }: Tree): Xml {
  return element(name, [text, ...children.map(write)], attributes);
}

/** What XML 1.0 cannot hold became the replacement character. */
function legal(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  return text.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd');
}

/** The tree as Canonical XML 1.0 writes it, section 2.3: every text has exactly one form there. */
function canonical({ name, attributes, text, children }: Tree): string {
  const inText: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#xD;' };
  const inValue: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '"': '&quot;',
    '\t': '&#x9;',
    '\n': '&#xA;',
    '\r': '&#xD;',
  };
  const declared = Object.entries(attributes)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => ` ${key}="${legal(value).replace(/[&<"\t\n\r]/g, (sign) => inValue[sign] ?? sign)}"`);
  const inside = legal(text).replace(/[&<>\r]/g, (sign) => inText[sign] ?? sign);
  return `<${name}${declared.join('')}>${inside}${children.map(canonical).join('')}</${name}>`;
}

test('[27] what is written is read back by libxml2 to the same texts, attributes and children', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(tree, { minLength: 100, maxLength: 100 }), async (trees) => {
      const all = { name: 'all', attributes: {}, text: '', children: trees };
      const read = await validateXML({ xml: writeDocument(write(all)), normalization: 'c14n' });
      expect(read.errors).toEqual([]);
      expect(read.normalized.trimEnd()).toBe(canonical(all));
    }),
    { ...tries(4), endOnFailure: true },
  );
}, 60_000);
