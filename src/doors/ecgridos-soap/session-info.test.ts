import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  call,
  envelope,
  namespace,
  operationXml,
  post,
  resultOf,
  sessionInfo,
  type SoapAnswer,
  soapLogin,
  unknownSessionId,
} from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

const { soap: user } = demoUsers;

let server: TestServer;
let sessionId: string;
beforeAll(async () => {
  server = await startTestServer();
  server.clock.nowMs = Date.UTC(2026, 4, 7, 10, 0, 0);
  sessionId = await soapLogin(server, user);
});
afterAll(() => server.close());

const fixture = (name: string): Promise<string> => Bun.file(join(import.meta.dir, 'fixtures', name)).text();

/** The answer that section 6.1 prints, for the text that was presented. */
function exampleAnswer(presented: string, envelopeNamespace: string): string {
  return `<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="${envelopeNamespace}"><soap:Body><SessionInfoResponse xmlns="http://www.ecgridos.net/"><SessionInfoResult><SessionID>${presented}</SessionID><UserID>12345</UserID><NetworkID>100</NetworkID><MailboxID>200</MailboxID><Created>2026-05-07T10:00:00Z</Created><Expires>2026-05-07T11:00:00Z</Expires></SessionInfoResult></SessionInfoResponse></soap:Body></soap:Envelope>`;
}

const exampleAnswer11 = (presented: string) => exampleAnswer(presented, 'http://schemas.xmlsoap.org/soap/envelope/');
const exampleAnswer12 = (presented: string) => exampleAnswer(presented, 'http://www.w3.org/2003/05/soap-envelope');

describe('the documents’ example', () => {
  test('[1] the Body of a session made at 10:00:00 is the seed’s XML without the white space between elements', async () => {
    const request = (await fixture('session-info.request.xml')).replace(unknownSessionId, sessionId);
    const answer = await post(server, request, { action: `"${namespace}SessionInfo"` });
    expect(answer.status).toBe(200);
    const printed = (await fixture('session-info.response.xml')).replace(unknownSessionId, sessionId);
    const body = /<soap:Body>(.*)<\/soap:Body>/.exec(answer.text)?.[1];
    expect(body).toBe(printed.replaceAll(/>\s+</g, '><').trim());
    expect(answer.text).toBe(exampleAnswer11(sessionId));
  });

  test('[7] SOAP 1.2 answers the same in its own envelope, with and without the action', async () => {
    const message = envelope(operationXml('SessionInfo', { SessionID: sessionId }), '1.2');
    const named = `application/soap+xml; charset=utf-8; action="${namespace}SessionInfo"`;
    for (const type of [named, 'application/soap+xml; charset=utf-8', 'application/soap+xml']) {
      const answer = await post(server, message, { version: '1.2', type });
      expect(answer).toMatchObject({ status: 200, text: exampleAnswer12(sessionId) });
      expect(answer.headers.get('content-type')).toBe('application/soap+xml; charset=utf-8');
    }
  });

  test('[14] an unknown SessionID faults in the very bytes of the document, in both versions', async () => {
    const request = await fixture('session-info.request.xml');
    const answer = await post(server, request, { action: `"${namespace}SessionInfo"` });
    expect(answer.status).toBe(500);
    expect(answer.headers.get('content-type')).toBe('text/xml; charset=utf-8');
    const detail =
      '<ErrorInfo><ErrorCode>1</ErrorCode><ErrorString>Session timeout</ErrorString><ErrorItem>SessionID</ErrorItem><ErrorMessage>The session is unknown or has ended. Log in again.</ErrorMessage></ErrorInfo><ECGridOSSOAPErrorCode>Authentication</ECGridOSSOAPErrorCode>';
    expect(answer.text).toBe(
      `<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault><faultcode>soap:Client</faultcode><faultstring>Invalid SessionID</faultstring><detail>${detail}</detail></soap:Fault></soap:Body></soap:Envelope>`,
    );
    const second = await call(server, 'SessionInfo', { SessionID: unknownSessionId }, { version: '1.2' });
    expect(second.status).toBe(400);
    expect(second.text).toBe(
      `<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body><soap:Fault><soap:Code><soap:Value>soap:Sender</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang="en">Invalid SessionID</soap:Text></soap:Reason><soap:Detail>${detail}</soap:Detail></soap:Fault></soap:Body></soap:Envelope>`,
    );
  });
});

/** Spellings of one request by the clients of section 10; `ID` stands for the SessionID. */
const spellings: readonly (readonly [name: string, body: string, echoed?: (id: string) => string])[] = [
  [
    'the prefixes of zeep',
    wrap('soap-env', '<ns0:SessionInfo xmlns:ns0="NS"><ns0:SessionID>ID</ns0:SessionID></ns0:SessionInfo>'),
  ],
  ['the prefix of JAX-WS', wrap('S', '<SessionInfo xmlns="NS"><SessionID>ID</SessionID></SessionInfo>')],
  [
    'default namespaces',
    '<Envelope xmlns="SOAP"><Body><SessionInfo xmlns="NS"><SessionID>ID</SessionID></SessionInfo></Body></Envelope>',
  ],
  [
    'an un-namespaced parameter',
    wrap('soap', '<ecg:SessionInfo xmlns:ecg="NS"><SessionID>ID</SessionID></ecg:SessionInfo>'),
  ],
  [
    'comments between',
    wrap('soap', '<!--a--><SessionInfo xmlns="NS"><!--b--><SessionID>ID</SessionID><!--c--></SessionInfo>'),
  ],
  [
    'a comment within the text',
    wrap('soap', '<SessionInfo xmlns="NS"><SessionID>ID1<!--x-->ID2</SessionID></SessionInfo>'),
  ],
  ['CDATA', wrap('soap', '<SessionInfo xmlns="NS"><SessionID><![CDATA[ID]]></SessionID></SessionInfo>')],
  [
    'CDATA in the middle',
    wrap('soap', '<SessionInfo xmlns="NS"><SessionID>ID1<![CDATA[ID2]]></SessionID></SessionInfo>'),
  ],
  [
    'extra children before and behind',
    wrap(
      'soap',
      '<SessionInfo xmlns="NS"><Other/><SessionID>ID</SessionID><additional>params</additional></SessionInfo>',
    ),
  ],
  [
    'a namesake in a foreign namespace',
    wrap(
      'soap',
      '<SessionInfo xmlns="NS"><SessionID xmlns="urn:x">no</SessionID><SessionID>ID</SessionID></SessionInfo>',
    ),
  ],
  [
    'a namesake deeper down',
    wrap(
      'soap',
      '<SessionInfo xmlns="NS"><Other><SessionID>no</SessionID></Other><SessionID>ID</SessionID></SessionInfo>',
    ),
  ],
  [
    'a nil namesake',
    wrap(
      'soap',
      '<SessionInfo xmlns="NS" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><SessionID i:nil="true"/><SessionID>ID</SessionID></SessionInfo>',
    ),
  ],
  [
    'white space around',
    wrap('soap', '\n <SessionInfo xmlns="NS">\n  <SessionID>\n\t ID \r\n</SessionID>\n </SessionInfo>\n'),
  ],
  [
    'lower-case digits',
    wrap('soap', '<SessionInfo xmlns="NS"><SessionID>id</SessionID></SessionInfo>'),
    (id) => id.toLowerCase(),
  ],
  ['character references', wrap('soap', '<SessionInfo xmlns="NS"><SessionID>ID1&#45;ID3</SessionID></SessionInfo>')],
  [
    'an empty header',
    '<s:Envelope xmlns:s="SOAP"><s:Header/><s:Body><SessionInfo xmlns="NS"><SessionID>ID</SessionID></SessionInfo></s:Body></s:Envelope>',
  ],
  [
    'encodingStyle and xsi:type',
    wrap(
      'soap',
      '<SessionInfo xmlns="NS" soap:encodingStyle="urn:x" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><SessionID i:type="int">ID</SessionID></SessionInfo>',
    ),
  ],
];

function wrap(prefix: string, operation: string): string {
  return `<${prefix}:Envelope xmlns:${prefix}="SOAP"><${prefix}:Body>${operation}</${prefix}:Body></${prefix}:Envelope>`;
}

function spell(body: string, id: string): string {
  return body
    .replace('SOAP', 'http://schemas.xmlsoap.org/soap/envelope/')
    .replace('NS', namespace)
    .replace('>id<', () => `>${id.toLowerCase()}<`)
    .replace('ID1&#45;ID3', () => `${id.slice(0, 8)}&#45;${id.slice(9)}`)
    .replace(/ID1(.*)ID2/, (_, between: string) => id.slice(0, 20) + between.replace('ID2', '') + id.slice(20))
    .replace(/(>|\[|\t )ID(?= |<|\])/, (_, before: string) => before + id);
}

describe('[5] one request in many spellings', () => {
  test.each(spellings)('%s', async (_, body, echoed = (id) => id) => {
    const answer = await post(server, spell(body, sessionId));
    expect(answer).toMatchObject({ status: 200, text: exampleAnswer11(echoed(sessionId)) });
  });

  test('UTF-16 in both byte orders, and UTF-8 with a mark', async () => {
    const message = spell(spellings[0]?.[1] ?? '', sessionId);
    const little = Buffer.from(`\ufeff${message}`, 'utf16le');
    const big = Buffer.from(little).swap16();
    for (const [body, type] of [
      [little, 'text/xml; charset=utf-16'],
      [big, 'text/xml; charset="UTF-16"'],
      [Buffer.from(`\ufeff${message}`), 'text/xml'],
    ] as const) {
      expect(await post(server, body, { type })).toMatchObject({ status: 200, text: exampleAnswer11(sessionId) });
    }
  });

  test('the path counts in any letter case', async () => {
    const message = envelope(operationXml('SessionInfo', { SessionID: sessionId }));
    const answer = await post(server, message, { path: '/V4.1/PROD/ecgridos.ASMX' });
    expect(answer.text).toBe(exampleAnswer11(sessionId));
  });

  test('a chunked body is read like any other', async () => {
    const message = envelope(operationXml('SessionInfo', { SessionID: sessionId }));
    expect((await post(server, message, { chunked: true })).text).toBe(exampleAnswer11(sessionId));
  });
});

describe('[8] an API key as SessionID', () => {
  test('shows the creation of the key and no end', async () => {
    const info = await sessionInfo(server, demoKey);
    expect(info).toEqual({
      SessionID: demoKey,
      UserID: '4821',
      NetworkID: '1',
      MailboxID: '101',
      Created: '2026-05-07T17:30:00Z',
      Expires: '9999-01-01T00:00:00Z',
    });
  });

  test('counts in any letter case, and the text comes back as sent', async () => {
    expect((await sessionInfo(server, demoKey.toLowerCase()))['SessionID']).toBe(demoKey.toLowerCase());
  });

  test('shows its own expiry if it has one, and is refused from that second on', async () => {
    const { db } = server.core.store;
    const key = resultOf(await call(server, 'GenerateAPIKey', { SessionID: sessionId, UserID: 0 }), 'GenerateAPIKey');
    // No operation makes a key with an end; an import can.
    const end = Math.floor(server.clock.nowMs / 1000) + 1;
    await db.updateTable('api_keys').set({ expires_at: end }).where('user_id', '=', user.id).execute();
    expect((await sessionInfo(server, key))['Expires']).toBe('2026-05-07T10:00:01Z');
    server.clock.advance(1);
    expectFault(await call(server, 'SessionInfo', { SessionID: key }), 'F1');
    server.clock.advance(-1);
  });
});

const wrongTexts = (id: string): readonly (readonly [string, string])[] => [
  ['empty', ''],
  ['white space', ' \t\n'],
  ['in braces', `{${id}}`],
  ['without dashes', id.replaceAll('-', '')],
  ['as a URN', `urn:uuid:${id}`],
  ['with a digit too few', id.slice(1)],
  ['with a digit too many', `${id}0`],
  ['with a letter that is no digit', `G${id.slice(1)}`],
  ['with a no-break space', `${id}\u00a0`],
  ['in full-width digits', id.replace(/[0-9]/g, (digit) => String.fromCharCode(0xff10 + Number(digit)))],
  ['a JWT', 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl'],
  ['very long', 'A'.repeat(60_000)],
];

describe('K03, K17: what is no SessionID faults F1', () => {
  const ask = (sent: string): Promise<SoapAnswer> => call(server, 'SessionInfo', { SessionID: sent });

  test('whatever is sent in its place, and without a look into the store', async () => {
    const { store } = server.core;
    const { checks } = store;
    Object.defineProperty(store, 'checks', { get: () => expect.unreachable(), configurable: true });
    try {
      for (const [, text] of wrongTexts(sessionId)) expectFault(await ask(text), 'F1');
    } finally {
      Object.defineProperty(store, 'checks', { value: checks, configurable: true, writable: true, enumerable: true });
    }
  });

  test('missing, nil or given twice, even if both are right', async () => {
    const one = `<SessionID>${sessionId}</SessionID>`;
    const nil = '<SessionID xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="1"/>';
    for (const inside of ['', nil, one + one, `${one}<SessionID/>`]) {
      expectFault(await post(server, envelope(`<SessionInfo xmlns="${namespace}">${inside}</SessionInfo>`)), 'F1');
    }
  });

  test('credentials outside the message are never read', async () => {
    const headers = { 'X-API-Key': demoKey, Authorization: `Bearer ${demoKey}`, Cookie: `SessionID=${sessionId}` };
    expectFault(await call(server, 'SessionInfo', {}, { headers }), 'F1');
    expectFault(await call(server, 'WhoAmI', { SessionID: unknownSessionId }, { headers }), 'F1');
  });
});
