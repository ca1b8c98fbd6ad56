import { describe, expect, test } from 'bun:test';
import { assert, property, string, uint8Array } from 'fast-check';
import { decodeXml, MalformedXml, type MalformedReason, readXml } from './xml-reader.ts';

const reasons: readonly MalformedReason[] = ['encoding', 'syntax', 'doctype', 'instruction', 'limit', 'structure'];

/** Why a document is refused; `read` if it is not. */
function outcome(bytes: Uint8Array | string, charset?: string): string {
  try {
    const { text, encoding } = decodeXml(Buffer.from(bytes), charset);
    readXml(text, encoding);
    return 'read';
  } catch (error) {
    if (error instanceof MalformedXml) return error.reason;
    throw error;
  }
}

/** Work of this process in the least of a few runs, so that a busy machine does not count. */
function fastestMs(text: string): number {
  const runs = Array.from({ length: 5 }, () => {
    const start = process.cpuUsage();
    outcome(text);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1_000;
  });
  return Math.min(...runs);
}

const repeat = (count: number, piece: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => piece(i)).join('');

describe('the reader', () => {
  test('resolves namespaces, joins text over comments and CDATA, keeps white space', () => {
    const text = '<p:a xmlns:p="urn:p" xmlns="urn:d" x="1" p:y="2"> one<!-- c -->&amp;<![CDATA[<two>]]><b/>\n</p:a>';
    const root = readXml(text, 'utf-8');
    expect(root).toMatchObject({ namespace: 'urn:p', name: 'a', text: ' one&<two>\n' });
    expect(root.children).toMatchObject([{ namespace: 'urn:d', name: 'b', text: '', children: [] }]);
    expect(root.attributes).toContainEqual({ namespace: '', name: 'x', value: '1' });
    expect(root.attributes).toContainEqual({ namespace: 'urn:p', name: 'y', value: '2' });
  });

  test.each([
    ['X01', '<!DOCTYPE a><a/>', 'doctype'],
    ['X01', '<!doctype a><a/>', 'syntax'],
    ['X08', '<?pi?><a/>', 'instruction'],
    ['X08', '<?xml version="1.1"?><a/>', 'syntax'],
    ['X08', '<?xml version="1.0" encoding="latin1"?><a/>', 'encoding'],
    ['X09', '<a>'.repeat(32) + '</a>'.repeat(32), 'read'],
    ['X09', '<a>'.repeat(33) + '</a>'.repeat(33), 'limit'],
    ['X10', `<a ${repeat(64, (i) => ` b${i}=""`)}/>`, 'read'],
    ['X10', `<a ${repeat(65, (i) => ` b${i}=""`)}/>`, 'limit'],
    ['X10', `<a ${repeat(65, (i) => ` xmlns:b${i}="u"`)}/>`, 'limit'],
    ['X12', `<${'a'.repeat(256)}/>`, 'read'],
    ['X12', `<${'a'.repeat(257)}/>`, 'limit'],
    ['X12', `<a ${'a'.repeat(257)}=""/>`, 'limit'],
    ['X14', '<a/><b/>', 'syntax'],
    ['X14', '', 'syntax'],
    ['X15', '<a>&nbsp;</a>', 'syntax'],
    ['X16', Buffer.from([0x3c, 0x61, 0x3e, 0xff]), 'encoding'],
  ] as const)('%s %p is %s', (_, text, expected) => {
    expect(outcome(text)).toBe(expected);
  });

  test.each([
    [
      'X01 a DOCTYPE before a bomb',
      `<!DOCTYPE a [${repeat(600, (i) => `<!ENTITY e${i} "${`&e${i - 1};`.repeat(10)}">`)}]><a>&e9;</a>`,
    ],
    ['X09 16,000 levels', '<a>'.repeat(16_000)],
    ['X10 6,000 attributes', `<a ${repeat(6_000, (i) => ` b${i}=""`)}/>`],
    ['X11 3,000 namespaces', `<a ${repeat(3_000, (i) => ` xmlns:b${i}="u"`)}/>`],
    ['X12 a name of 60,000 characters', `<${'a'.repeat(60_000)}/>`],
    ['X12 15,000 elements', `<a>${'<a/>'.repeat(15_000)}</a>`],
  ])('%s is refused within 10 ms', (_, text) => {
    expect(outcome(text)).not.toBe('read');
    expect(fastestMs(text)).toBeLessThan(10);
  });

  test.each([
    ['X14 60,000 times <', '<'.repeat(60_000)],
    ['X14 60,000 times & in text', `<a>${'&'.repeat(60_000)}</a>`],
    ['X14 a comment that never ends', `<a><!--${'-'.repeat(60_000)}`],
    ['X14 a CDATA section that never ends', `<a><![CDATA[${']'.repeat(60_000)}`],
    ['X13 60,000 characters of text', `<a>${'x'.repeat(60_000)}</a>`],
    ['X15 12,000 references', `<a>${'&#65;'.repeat(12_000)}</a>`],
    ['X13 an attribute of 15,000 references', `<a b="${'&lt;'.repeat(15_000)}"/>`],
  ])('%s is judged within 100 ms', (_, text) => {
    expect(fastestMs(text)).toBeLessThan(100);
  });

  test('X16 bytes that are no text of any kind end in one of the fixed reasons', () => {
    assert(
      property(uint8Array({ maxLength: 300 }), (bytes) => {
        expect(['read', ...reasons]).toContain(outcome(bytes));
      }),
      { numRuns: 1_000 },
    );
  });

  test('B18 strings put into text, attributes and names are read or end in one of the fixed reasons', () => {
    assert(
      property(string({ unit: 'binary', maxLength: 30 }), (text) => {
        for (const whole of [text, `<a>${text}</a>`, `<a b="${text}"/>`, `<${text}/>`, `<a xmlns:${text}=""/>`]) {
          expect(['read', ...reasons]).toContain(outcome(whole));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('a declared name of a prototype is a name like any other', () => {
    const root = readXml('<a __proto__="1" constructor="2"><__proto__>3</__proto__></a>', 'utf-8');
    expect(root.attributes).toContainEqual({ namespace: '', name: '__proto__', value: '1' });
    expect(root.children).toMatchObject([{ name: '__proto__', text: '3' }]);
    expect(({} as Record<string, unknown>)['1']).toBeUndefined();
  });
});
