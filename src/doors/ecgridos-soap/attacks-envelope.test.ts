import { describe, expect, test } from 'bun:test';
import { attack, type Ground, soundLogout, soundQuestion, useGround } from '../../../tests/support/soap-attack.ts';
import {
  envelope,
  envelopeNamespaces,
  fieldsOf,
  operationXml,
  resultOf,
  send,
  endpoint,
  type SoapVersion,
  versions,
} from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';

const ground = useGround();
const upgrade =
  '<soap:Upgrade><soap:SupportedEnvelope qname="e1:Envelope" xmlns:e1="http://www.w3.org/2003/05/soap-envelope"/><soap:SupportedEnvelope qname="e2:Envelope" xmlns:e2="http://schemas.xmlsoap.org/soap/envelope/"/></soap:Upgrade>';
const media: Readonly<Record<SoapVersion, string>> = { '1.1': 'text/xml', '1.2': 'application/soap+xml' };
const next: Readonly<Record<SoapVersion, string>> = {
  '1.1': 'http://schemas.xmlsoap.org/soap/actor/next',
  '1.2': 'http://www.w3.org/2003/05/soap-envelope/role/next',
};

const logout = ({ sessionId }: Ground) => operationXml('Logout', { SessionID: sessionId });
const info = ({ sessionId }: Ground) => operationXml('SessionInfo', { SessionID: sessionId });

describe.each(versions.map((version) => [version]))('envelopes that SOAP %s refuses', (version) => {
  const other: SoapVersion = version === '1.1' ? '1.2' : '1.1';
  const inside = (xml: string) => `<soap:Envelope xmlns:soap="${envelopeNamespaces[version]}">${xml}</soap:Envelope>`;

  const structures: readonly (readonly [string, (ground: Ground) => string])[] = [
    ['X19 a root of another name', (g) => soundLogout(g, version).replaceAll('soap:Envelope', 'soap:Letter')],
    ['X19 a bare operation', (g) => logout(g)],
    ['X19 a root in lower case', (g) => soundLogout(g, version).replaceAll('soap:Envelope', 'soap:envelope')],
    ['X20 no Body', () => inside('')],
    ['X20 only a Header', () => inside('<soap:Header/>')],
    ['[15] X20 two Bodies', (g) => inside(`<soap:Body>${logout(g)}</soap:Body><soap:Body>${logout(g)}</soap:Body>`)],
    ['[15] X20 an empty Body', () => inside('<soap:Body/>')],
    ['X20 a Body with text only', () => inside('<soap:Body>Logout</soap:Body>')],
    ['X20 a Body outside the envelope namespace', (g) => inside(`<Body>${logout(g)}</Body>`)],
    [
      'X20 a Body of the other version',
      (g) => inside(`<o:Body xmlns:o="${envelopeNamespaces[other]}">${logout(g)}</o:Body>`),
    ],
    ['[15] X20 two operations', (g) => envelope(logout(g) + logout(g), version)],
    ['X20 text beside the operation', (g) => envelope(`${logout(g)}text`, version)],
    ['[15] X21 an element after Body', (g) => soundLogout(g, version).replace('</soap:Body>', '</soap:Body><x/>')],
    ['X21 text after Body', (g) => soundLogout(g, version).replace('</soap:Body>', '</soap:Body>text')],
    ['X21 an element before Body', (g) => soundLogout(g, version).replace('<soap:Body>', '<x/><soap:Body>')],
    ['X21 Header after Body', (g) => soundLogout(g, version).replace('</soap:Body>', '</soap:Body><soap:Header/>')],
    [
      'X21 two Headers',
      (g) => soundLogout(g, version).replace('<soap:Body>', '<soap:Header/><soap:Header/><soap:Body>'),
    ],
    ['X24 mustUnderstand 2', (g) => envelope(logout(g), version, '<h:A xmlns:h="urn:h" soap:mustUnderstand="2"/>')],
    ['X24 mustUnderstand yes', (g) => envelope(logout(g), version, '<h:A xmlns:h="urn:h" soap:mustUnderstand="yes"/>')],
    ['X24 mustUnderstand empty', (g) => envelope(logout(g), version, '<h:A xmlns:h="urn:h" soap:mustUnderstand=""/>')],
  ];
  test.each(structures)('%s is a malformed request, executed in no part', async (_, build) => {
    expectFault(await attack(ground, build(ground), { version }), 'F11');
  });

  const namespaces: readonly (readonly [string, string])[] = [
    ['[17] X17 the envelope of the other version', envelopeNamespaces[other]],
    ['[17] X18 an unknown envelope namespace', 'http://www.w3.org/2001/12/soap-envelope'],
    ['X18 the right namespace with a slash more', `${envelopeNamespaces[version]}/`],
    ['X18 the right namespace in other case', envelopeNamespaces[version].toUpperCase()],
  ];
  test.each(namespaces)('%s is a version mismatch, with the supported ones told in 1.2', async (_, namespace) => {
    const text = soundLogout(ground, version).replace(envelopeNamespaces[version], namespace);
    expectFault(await attack(ground, text, { version }), 'F12', { header12: upgrade });
  });

  test('X18 an envelope without namespace is a version mismatch', async () => {
    const text = `<Envelope><Body>${logout(ground)}</Body></Envelope>`;
    expectFault(await attack(ground, text, { version }), 'F12', { header12: upgrade });
  });

  const operations: readonly (readonly [string, string])[] = [
    ['X22 without namespace', '<Logout><SessionID>ID</SessionID></Logout>'],
    ['[19] X22 in a foreign namespace', '<Logout xmlns="urn:other"><SessionID>ID</SessionID></Logout>'],
    ['X22 in the old namespace', '<Logout xmlns="http://ecgridos.net/"><SessionID>ID</SessionID></Logout>'],
    [
      'X22 in the namespace without its slash',
      '<Logout xmlns="http://www.ecgridos.net"><SessionID>ID</SessionID></Logout>',
    ],
    ['X22 in the envelope namespace', '<soap:Logout><SessionID>ID</SessionID></soap:Logout>'],
    ['[19] X23 unknown', operationXml('Explode')],
    ['X23 one of the vendor that is not offered', operationXml('NetworkList', { SessionID: 'ID' })],
    ['X23 a right name in other case', operationXml('LOGOUT', { SessionID: 'ID' })],
    ['X23 the name of a response', operationXml('LogoutResponse')],
    ['X23 __proto__', operationXml('__proto__')],
    ['X23 constructor', operationXml('constructor')],
    ['X23 toString', operationXml('toString')],
  ];
  test.each(operations)('%s: an operation that is not offered, and nothing happens', async (_, body) => {
    const text = envelope(body.replace('ID<', `${ground.sessionId}<`), version);
    expectFault(await attack(ground, text, { version }), 'F9');
  });

  const target = version === '1.1' ? 'actor' : 'role';
  const ours: readonly (readonly [string, string])[] = [
    ['X24 1, aimed at nobody in particular', 'soap:mustUnderstand="1"'],
    ['X24 true', 'soap:mustUnderstand="true"'],
    [`X24 an empty ${target}`, `soap:mustUnderstand="1" soap:${target}=""`],
    [`X24 the ${target} next`, `soap:mustUnderstand="1" soap:${target}="${next[version]}"`],
    ...(version === '1.1'
      ? []
      : [
          [
            'X24 the ultimate receiver',
            `soap:mustUnderstand="true" soap:role="${envelopeNamespaces['1.2']}/role/ultimateReceiver"`,
          ] as const,
        ]),
  ];
  test.each(ours)('[18] %s: the header is not understood, and nothing is executed', async (_, attributes) => {
    const header = `<h:Security xmlns:h="urn:h&amp;&quot;" ${attributes}/>`;
    const answer = await attack(ground, envelope(logout(ground), version, header), { version });
    expectFault(answer, 'F13', {
      header12: '<soap:NotUnderstood qname="n:Security" xmlns:n="urn:h&amp;&quot;"/>',
    });
  });

  test('X24 each of several mandatory headers is named', async () => {
    const header =
      '<a:A xmlns:a="urn:a" soap:mustUnderstand="1"/><b:B xmlns:b="urn:b"/><c:C xmlns:c="urn:c" soap:mustUnderstand="true"/>';
    const answer = await attack(ground, envelope(logout(ground), version, header), { version });
    const named = '<soap:NotUnderstood qname="n:A" xmlns:n="urn:a"/><soap:NotUnderstood qname="n:C" xmlns:n="urn:c"/>';
    expectFault(answer, 'F13', { header12: named });
  });

  test('X24 a mandatory header without namespace is answered in well-formed XML', async () => {
    const answer = await attack(ground, envelope(logout(ground), version, '<Plain soap:mustUnderstand="1"/>'), {
      version,
    });
    expectFault(answer, 'F13', { header12: '<soap:NotUnderstood qname="Plain"/>' });
  });

  test('X24 a mandatory header in the namespace of xml: itself is answered in well-formed XML', async () => {
    const answer = await attack(ground, envelope(logout(ground), version, '<xml:space soap:mustUnderstand="1"/>'), {
      version,
    });
    expectFault(answer, 'F13', { header12: '<soap:NotUnderstood qname="xml:space"/>' });
  });
});

describe.each(versions.map((version) => [version]))('envelopes that SOAP %s answers', (version) => {
  const target = version === '1.1' ? 'actor' : 'role';
  const instance = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"';
  const wsa = 'xmlns:wsa="http://www.w3.org/2005/08/addressing"';
  const wsse = 'xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"';
  const cases: readonly (readonly [string, (ground: Ground) => string])[] = [
    [
      '[18] X24 a mandatory header for another',
      (g) => envelope(info(g), version, `<h:A xmlns:h="urn:h" soap:mustUnderstand="1" soap:${target}="urn:somebody"/>`),
    ],
    ['[18] X24 mustUnderstand 0', (g) => envelope(info(g), version, '<h:A xmlns:h="urn:h" soap:mustUnderstand="0"/>')],
    [
      'X24 mustUnderstand false',
      (g) => envelope(info(g), version, '<h:A xmlns:h="urn:h" soap:mustUnderstand="false"/>'),
    ],
    [
      'X24 mustUnderstand outside the envelope namespace',
      (g) => envelope(info(g), version, '<h:A xmlns:h="urn:h" mustUnderstand="1" h:mustUnderstand="1"/>'),
    ],
    [
      'X25 encodingStyle on the envelope',
      (g) =>
        envelope(info(g), version).replace(
          '<soap:Body>',
          '<soap:Body soap:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">',
        ),
    ],
    [
      'X25 xsi:type that lies',
      (g) =>
        soundQuestion(g, version).replace(
          '<SessionID>',
          `<SessionID ${instance} xmlns:s="http://www.w3.org/2001/XMLSchema" xsi:type="s:int">`,
        ),
    ],
    [
      'X25 an array of a thousand million',
      (g) =>
        soundQuestion(
          g,
          version,
          '<List xmlns:e="http://schemas.xmlsoap.org/soap/encoding/" e:arrayType="x[1000000000]" e:arraySize="1000000000"/>',
        ),
    ],
    [
      'X27 WS-Security',
      (g) =>
        soundQuestion(
          g,
          version,
          '',
          `<wsse:Security ${wsse}><wsse:UsernameToken><wsse:Username>admin</wsse:Username><wsse:Password>VMware1!</wsse:Password></wsse:UsernameToken></wsse:Security>`,
        ),
    ],
    [
      'X27 WS-Addressing with ReplyTo to the canary',
      (g) =>
        soundQuestion(
          g,
          version,
          '',
          `<wsa:ReplyTo ${wsa}><wsa:Address>${g.canary.url}</wsa:Address></wsa:ReplyTo><wsa:FaultTo ${wsa}><wsa:Address>${g.canary.url}</wsa:Address></wsa:FaultTo>`,
        ),
    ],
    ['X28 a second Body inside Header', (g) => soundQuestion(g, version, '', `<soap:Body>${logout(g)}</soap:Body>`)],
    ['X28 an operation inside Header', (g) => soundQuestion(g, version, '', logout(g))],
    [
      'X28 an operation inside a signed block',
      (g) =>
        soundQuestion(
          g,
          version,
          '',
          `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:Object>${envelope(logout(g), version).split('\n')[1]}</ds:Object></ds:Signature>`,
        ),
    ],
    ['X28 an operation inside the operation', (g) => soundQuestion(g, version, logout(g))],
    [
      'X21 white space and comments around everything',
      (g) => envelope(info(g), version).replaceAll('><', '>\n  <!-- c -->\n<'),
    ],
  ];
  test.each(cases)('%s: only the operation in the Body counts', async (_, build) => {
    const answer = await attack(ground, build(ground), { version });
    expect(fieldsOf(resultOf(answer, 'SessionInfo'))).toMatchObject({ SessionID: ground.sessionId, UserID: '12345' });
  });

  const types = [
    `${media[version]}; charset=utf-7`,
    `${media[version]}; charset=iso-8859-1`,
    `${media[version]}; charset=utf-32`,
    'application/json',
    'application/xml',
    'text/plain',
    'application/x-www-form-urlencoded',
    `multipart/related; type="${media[version]}"; boundary=b; start="<root>"`,
    'application/xop+xml',
    'application/fastinfoset',
    'application/soap+fastinfoset',
    'application/soap+msbin1',
    `${media[version]}, application/json`,
    // As two headers arrive: neither charset may be the one that counts.
    `${media[version]}; charset=utf-16, ${media[version]}; charset=utf-8`,
    `${media[version]}; charset=utf-8; charset=utf-8`,
    '',
    null,
  ];
  test.each(types)('[16] X16 X30 B07 B12 B13 the media type %p is refused in one line of text', async (type) => {
    const answer = await attack(ground, soundLogout(ground, version), { version, type });
    expect(answer.status).toBe(415);
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  });

  test.each(['gzip', 'br', 'deflate', 'zstd', 'identity, gzip'])(
    '[16] B09 the coding %s is refused, and nothing unpacked',
    async (coding) => {
      const body = Bun.gzipSync(Buffer.from(soundLogout(ground, version)));
      const answer = await attack(ground, body, { version, headers: { 'Content-Encoding': coding } });
      expect(answer.status).toBe(415);
    },
  );

  test('X26 an action with a bare CR is no HTTP, and nothing is executed', async () => {
    const text = soundLogout(ground, version);
    const head = [
      `POST ${endpoint} HTTP/1.1`,
      `Content-Type: ${media[version]}`,
      'SOAPAction: "a\rb"',
      `Content-Length: ${text.length}`,
    ];
    const answer = await send(ground.server, head, text);
    expect(answer).toMatchObject({ status: 400, text: '' });
    expect((await attack(ground, soundQuestion(ground, version), { version })).status).toBe(200);
  });
});
