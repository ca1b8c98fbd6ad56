import { describe, expect, test } from 'bun:test';
import { attack, type Ground, soundLogout, soundQuestion, useGround } from '../../../tests/support/soap-attack.ts';
import { fieldsOf, resultOf, type SoapVersion, versions } from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';

const ground = useGround();

type Build = (ground: Ground, version: SoapVersion) => string | Uint8Array;
type Case = readonly [name: string, build: Build];

const declaration = '<?xml version="1.0" encoding="utf-8"?>';

/** The sound logout with something between its declaration and its root. */
function before(text: string | ((canary: string) => string)): Build {
  return (ground, version) => {
    const prologue = typeof text === 'string' ? text : text(ground.canary.url);
    return soundLogout(ground, version).replace(declaration, declaration + prologue);
  };
}

/** The sound logout with another declaration. */
function declared(text: string): Build {
  return (ground, version) => soundLogout(ground, version).replace(declaration, text);
}

/** The sound logout with one piece of it replaced. */
function changed(from: string, to: string | ((canary: string) => string)): Build {
  return (ground, version) => {
    const replacement = typeof to === 'string' ? to : to(ground.canary.url);
    return soundLogout(ground, version).replace(from, () => replacement);
  };
}

const inLogout = (xml: string) => changed('</Logout>', `${xml}</Logout>`);
const onLogout = (attributes: string) => changed('<Logout ', `<Logout ${attributes} `);
const many = (count: number, piece: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => piece(i)).join('');

const bomb = many(
  10,
  (i) => `<!ENTITY e${i + 1} "&e${i};&e${i};&e${i};&e${i};&e${i};&e${i};&e${i};&e${i};&e${i};&e${i};">`,
);

const documentTypes: readonly Case[] = [
  ['[15] X01 a bare DOCTYPE', before('<!DOCTYPE Envelope>')],
  ['[15] X01 an internal subset', before('<!DOCTYPE Envelope [<!ELEMENT Envelope ANY>]>')],
  ['[15] X01 SYSTEM to the canary', before((url) => `<!DOCTYPE Envelope SYSTEM "${url}">`)],
  ['[15] X01 PUBLIC to the canary', before((url) => `<!DOCTYPE Envelope PUBLIC "-//X//DTD//EN" "${url}">`)],
  ['X01 doctype in lower case', before('<!doctype Envelope>')],
  ['X01 a DOCTYPE after a comment', before('<!-- a comment --><!DOCTYPE Envelope>')],
  ['X01 a DOCTYPE inside the root', inLogout('<!DOCTYPE Envelope>')],
  ['X01 a DOCTYPE of 60,000 characters', before(`<!DOCTYPE Envelope [${' '.repeat(60_000)}]>`)],
  ['X01 a DOCTYPE that never ends', before('<!DOCTYPE Envelope [')],
  [
    '[15] X03 an exponential entity',
    (ground, version) =>
      String(before(`<!DOCTYPE Envelope [<!ENTITY e0 "lol">${bomb}]>`)(ground, version)).replace(
        '</Logout>',
        '&e10;</Logout>',
      ),
  ],
  [
    '[15] X04 a quadratic entity',
    (ground, version) =>
      String(before(`<!DOCTYPE Envelope [<!ENTITY e "${'a'.repeat(20_000)}">]>`)(ground, version)).replace(
        '</Logout>',
        `${'&e;'.repeat(10_000)}</Logout>`,
      ),
  ],
  ['X05 a parameter entity', before((url) => `<!DOCTYPE Envelope [<!ENTITY % p SYSTEM "${url}"> %p;]>`)],
  [
    'X05 an external general entity',
    (ground, version) =>
      String(before((url) => `<!DOCTYPE Envelope [<!ENTITY e SYSTEM "${url}">]>`)(ground, version)).replace(
        '</Logout>',
        '&e;</Logout>',
      ),
  ],
  ['X05 an entity on a local file', before('<!DOCTYPE Envelope [<!ENTITY e SYSTEM "file:///etc/passwd">]>')],
];

const instructions: readonly Case[] = [
  ['[15] X08 a processing instruction before the root', before('<?php echo 1 ?>')],
  ['X08 a style sheet on the canary', before((url) => `<?xml-stylesheet href="${url}" type="text/xsl"?>`)],
  ['[15] X08 a processing instruction inside', inLogout('<?x y?>')],
  ['X08 a processing instruction after the root', (ground, version) => `${soundLogout(ground, version)}<?x y?>`],
  ['X08 XML 1.1', declared('<?xml version="1.1" encoding="utf-8"?>')],
  ['X08 a version that does not exist', declared('<?xml version="2.0" encoding="utf-8"?>')],
  ['X08 another declared encoding than the bytes have', declared('<?xml version="1.0" encoding="utf-16"?>')],
  ['X08 a declared Latin-1', declared('<?xml version="1.0" encoding="iso-8859-1"?>')],
  ['X08 a second declaration', before(declaration)],
  ['X08 a declaration after white space', declared(`\n${declaration}`)],
];

const excesses: readonly Case[] = [
  ['[15] X09 depth 33', inLogout(`${'<a>'.repeat(30)}${'</a>'.repeat(30)}`)],
  ['X09 16,000 levels that are never closed', inLogout('<a>'.repeat(16_000))],
  ['[15] X10 65 attributes', onLogout(many(64, (i) => ` a${i}=""`))],
  ['X10 65 attributes of which 64 declare a namespace', onLogout(many(64, (i) => ` xmlns:n${i}="urn:n"`))],
  ['X10 6,000 attributes', onLogout(many(6_000, (i) => ` a${i}=""`))],
  ['X10 the same attribute twice', onLogout('a="1" a="2"')],
  ['X10 the same attribute twice under two prefixes', onLogout('xmlns:p="urn:n" xmlns:q="urn:n" p:a="1" q:a="2"')],
  ['X11 3,000 namespaces', onLogout(many(3_000, (i) => ` xmlns:n${i}="urn:n"`))],
  ['X11 a prefix that nothing declares', inLogout('<p:a/>')],
  ['X12 an element name of 257 characters', inLogout(`<${'a'.repeat(257)}/>`)],
  ['X12 an element name of 300 characters, prefix counted', inLogout(`<p:${'a'.repeat(298)} xmlns:p="urn:n"/>`)],
  ['X12 an element name of 60,000 characters', inLogout(`<${'a'.repeat(60_000)}/>`)],
  ['X12 an attribute name of 60,000 characters', onLogout(`${'a'.repeat(60_000)}=""`)],
  ['X12 2,001 elements', inLogout('<a/>'.repeat(2_001))],
];

const broken: readonly Case[] = [
  ['X14 an unclosed element', changed('</Logout>', '')],
  ['X14 an unclosed comment', inLogout('<!-- ')],
  ['X14 an unclosed CDATA section', inLogout('<![CDATA[')],
  ['X14 an unclosed attribute', onLogout('a="')],
  ['X14 a document that stops in a tag', (ground, version) => soundLogout(ground, version).slice(0, -3)],
  ['X14 60,000 times <', () => '<'.repeat(60_000)],
  ['X14 60,000 times &', inLogout('&'.repeat(60_000))],
  ['X14 tags closed in the wrong order', inLogout('<a><b></a></b>')],
  ['[15] X14 two roots', (ground, version) => `${soundLogout(ground, version)}<Envelope/>`],
  ['X14 text after the root', (ground, version) => `${soundLogout(ground, version)}more`],
  ['X14 an empty body', () => ''],
  ['X14 only white space', () => ' \r\n\t'],
  ['X14 JSON', () => '{"SessionID":"x"}'],
  ['X14 -- inside a comment', inLogout('<!-- a -- b -->')],
  ['X14 ]]> in text', inLogout(']]>')],
  ['[15] X15 &#0;', inLogout('&#0;')],
  ['X15 a reference to a control character', inLogout('&#1;')],
  ['X15 a reference to half a surrogate pair', inLogout('&#xD800;')],
  ['X15 a reference above U+10FFFF', inLogout('&#x110000;')],
  ['X15 a reference to U+FFFE', inLogout('&#xFFFE;')],
  ['X15 an undeclared entity', inLogout('&foo;')],
  ['X15 an HTML entity', inLogout('&nbsp;')],
  ['X15 NUL', inLogout('\u0000')],
  ['X15 a control character', inLogout('\u0008')],
  ['X15 U+FFFF', inLogout('\uffff')],
  ['X15 a lone surrogate in UTF-8', (ground, version) => splice(soundLogout(ground, version), [0xed, 0xa0, 0x80])],
  ['X16 invalid UTF-8', (ground, version) => splice(soundLogout(ground, version), [0xff])],
  ['X16 an overlong form', (ground, version) => splice(soundLogout(ground, version), [0xc0, 0xbc])],
  ['X16 a cut UTF-8 sequence', (ground, version) => splice(soundLogout(ground, version), [0xe2, 0x82])],
  ['X16 UTF-16 without its mark', (ground, version) => Buffer.from(soundLogout(ground, version), 'utf16le')],
];

/** Bytes inside the operation element. */
function splice(text: string, bytes: readonly number[]): Uint8Array {
  const at = text.indexOf('</Logout>');
  return Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from(bytes), Buffer.from(text.slice(at))]);
}

describe.each(versions.map((version) => [version]))('XML that SOAP %s refuses', (version) => {
  test.each([...documentTypes, ...instructions, ...excesses, ...broken])(
    '%s is a malformed request, executed in no part',
    async (_, build) => {
      expectFault(await attack(ground, build(ground, version), { version }), 'F11');
    },
  );

  test('X16 UTF-16 whose half of a pair stands alone is a malformed request', async () => {
    const text = soundLogout(ground, version).replace(declaration, '').replace('</Logout>', '\ud800</Logout>');
    const type = version === '1.1' ? 'text/xml; charset=utf-16' : 'application/soap+xml; charset=utf-16';
    const bytes = Buffer.from(`\ufeff${text}`, 'utf16le');
    expectFault(await attack(ground, bytes, { version, type }), 'F11');
  });
});

describe.each(versions.map((version) => [version]))('XML that SOAP %s reads', (version) => {
  const harmless: readonly Case[] = [
    ['[15] X09 depth 32', (ground) => soundQuestion(ground, version, `${'<a>'.repeat(29)}${'</a>'.repeat(29)}`)],
    [
      '[15] X10 64 attributes',
      (ground) =>
        soundQuestion(ground, version).replace('<SessionInfo ', `<SessionInfo ${many(63, (i) => ` a${i}=""`)} `),
    ],
    ['X12 a name of 256 characters', (ground) => soundQuestion(ground, version, `<${'a'.repeat(256)}/>`)],
    ['X13 a comment of 60,000 characters', (ground) => soundQuestion(ground, version, `<!--${'x'.repeat(60_000)}-->`)],
    [
      'X13 an attribute of 60,000 characters',
      (ground) => soundQuestion(ground, version, `<a b="${'x'.repeat(60_000)}"/>`),
    ],
    [
      'X15 8,000 references in a parameter that nobody reads',
      (ground) => soundQuestion(ground, version, `<Other>${'&#65;'.repeat(8_000)}</Other>`),
    ],
    [
      'X15 references in the SessionID',
      (ground) => soundQuestion(ground, version).replace('<SessionID>', '<SessionID>&#32;&#x9;'),
    ],
    ['X16 UTF-8 with its mark', (ground) => `\ufeff${soundQuestion(ground, version)}`],
    ['X06 an XInclude beside the SessionID', (ground) => soundQuestion(ground, version, include(ground))],
    [
      'X06 an XInclude inside the SessionID',
      (ground) => soundQuestion(ground, version).replace('</SessionID>', `${include(ground)}</SessionID>`),
    ],
    [
      'X07 schemaLocation to the canary',
      ({ canary, ...ground }) =>
        soundQuestion({ canary, ...ground }, version).replace(
          '<soap:Body>',
          `<soap:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.ecgridos.net/ ${canary.url}" xsi:noNamespaceSchemaLocation="${canary.url}">`,
        ),
    ],
  ];

  function include({ canary }: Ground): string {
    return `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="${canary.url}" parse="text"/>`;
  }

  test.each(harmless)('%s: the operation answers and nothing is looked up', async (_, build) => {
    const answer = await attack(ground, build(ground, version), { version });
    expect(fieldsOf(resultOf(answer, 'SessionInfo'))).toMatchObject({ SessionID: ground.sessionId, UserID: '12345' });
  });

  test.each(['utf16le', 'utf16be'] as const)(
    'X16 %s with its mark is read, unless UTF-8 is declared',
    async (order) => {
      const text = soundQuestion(ground, version).replace('encoding="utf-8"', 'encoding="utf-16"');
      const little = Buffer.from(`\ufeff${text}`, 'utf16le');
      const bytes = order === 'utf16be' ? little.swap16() : little;
      const media = version === '1.1' ? 'text/xml' : 'application/soap+xml';
      for (const type of [media, `${media}; charset=utf-16`, `${media}; charset="UTF-16"`]) {
        const answer = await attack(ground, bytes, { version, type });
        expect(fieldsOf(resultOf(answer, 'SessionInfo'))).toMatchObject({ UserID: '12345' });
      }
      expectFault(await attack(ground, bytes, { version, type: `${media}; charset=utf-8` }), 'F11');
    },
  );
});
