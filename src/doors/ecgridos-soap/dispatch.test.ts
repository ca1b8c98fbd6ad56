import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  call,
  endpoint,
  envelope,
  envelopeNamespaces,
  namespace,
  operationXml,
  post,
  resultOf,
  type SoapAnswer,
  type SoapVersion,
  soapLogin,
  versions,
} from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { demoUsers } from '../../cli/demo-data.ts';
import { listAudit, listSessions } from '../../core/index.ts';

const { soap: user } = demoUsers;
const loginXml = operationXml('Login', { UserName: user.login, Password: user.password });

let server: TestServer;
let sessionId: string;
beforeAll(async () => {
  server = await startTestServer();
  sessionId = await soapLogin(server, user);
});
afterAll(() => server.close());

/** What a request must have left alone: every session, and every event that was written down. */
async function traces(): Promise<unknown> {
  const [sessions, events] = [await listSessions(server.core, {}), await listAudit(server.core, 0, 1000)];
  return { sessions: sessions.map(({ id, endedAt }) => [id, endedAt]), events: events.length };
}

/** Sends what must be refused, and fails the test if anything happened. */
async function sendInVain(message: string, options: Parameters<typeof post>[2]): Promise<SoapAnswer> {
  const before = await traces();
  const answer = await post(server, message, options);
  expect(await traces()).toEqual(before);
  return answer;
}

describe('[6] the action of SOAP 1.1', () => {
  const message = () => envelope(operationXml('SessionInfo', { SessionID: sessionId }));

  test.each([
    ['quoted', `"${namespace}SessionInfo"`],
    ['bare', `${namespace}SessionInfo`],
    ['the quoted operation name', '"SessionInfo"'],
    ['the bare operation name', 'SessionInfo'],
    ['empty in quotes', '""'],
    ['empty', ''],
    ['absent', null],
  ])('%s: the operation of the body is carried out', async (_, action) => {
    resultOf(await post(server, message(), { action }), 'SessionInfo');
  });

  test.each([
    ['another operation', `"${namespace}WhoAmI"`],
    ['another operation by its bare name', 'Logout'],
    ['a namesake in a foreign namespace', '"http://ecgridos.net/SessionInfo"'],
    ['the namespace alone', `"${namespace}"`],
    ['the operation in another letter case', `"${namespace}sessioninfo"`],
    ['something else', '"urn:x"'],
  ])('%s: F10', async (_, action) => {
    expectFault(await post(server, message(), { action }), 'F10');
  });

  test('SOAP-05: a Login body under the action of Logout opens no session, and a Logout body under Login ends none', async () => {
    expectFault(await sendInVain(envelope(loginXml), { action: `"${namespace}Logout"` }), 'F10');
    const logout = envelope(operationXml('Logout', { SessionID: sessionId }));
    expectFault(await sendInVain(logout, { action: `"${namespace}Login"` }), 'F10');
    resultOf(await call(server, 'SessionInfo', { SessionID: sessionId }), 'SessionInfo');
  });
});

describe('[6][7] the action of SOAP 1.2', () => {
  const send = (parameters: string, action: string | null = null): Promise<SoapAnswer> => {
    const message = envelope(operationXml('SessionInfo', { SessionID: sessionId }), '1.2');
    return post(server, message, { version: '1.2', type: `application/soap+xml${parameters}`, action });
  };

  test.each([
    ['quoted', `; charset=utf-8; action="${namespace}SessionInfo"`],
    ['bare', '; action=SessionInfo'],
    ['before the charset, without blanks', `;action="${namespace}SessionInfo";charset=UTF-8`],
    ['empty', '; charset=utf-8; action=""'],
    ['absent', '; charset=utf-8'],
  ])('%s: the operation of the body is carried out', async (_, parameters) => {
    resultOf(await send(parameters), 'SessionInfo');
  });

  test('the header of SOAP 1.1, which zeep sends along, is ignored', async () => {
    resultOf(await send('; charset=utf-8', `"${namespace}Logout"`), 'SessionInfo');
  });

  test('SOAP-05: another operation is F10, and a Login body opens no session', async () => {
    expectFault(await send(`; action="${namespace}WhoAmI"`), 'F10');
    const type = `application/soap+xml; action="${namespace}Logout"`;
    expectFault(await sendInVain(envelope(loginXml, '1.2'), { version: '1.2', type }), 'F10');
  });
});

/** A header block; `mark` holds its attributes. */
const block = (mark: string): string => `<w:Security xmlns:w="urn:example:wsse" ${mark}><w:Token/></w:Security>`;
const next: Readonly<Record<SoapVersion, string>> = {
  '1.1': 'soap:actor="http://schemas.xmlsoap.org/soap/actor/next"',
  '1.2': 'soap:role="http://www.w3.org/2003/05/soap-envelope/role/next"',
};
const ours: Readonly<Record<SoapVersion, readonly string[]>> = {
  '1.1': [
    'soap:mustUnderstand="1"',
    'soap:mustUnderstand="true" soap:actor=""',
    `soap:mustUnderstand="1" ${next['1.1']}`,
  ],
  '1.2': [
    'soap:mustUnderstand="true"',
    'soap:mustUnderstand="1" soap:role=""',
    `soap:mustUnderstand="1" ${next['1.2']}`,
    'soap:mustUnderstand="1" soap:role="http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver"',
  ],
};
const notOurs: Readonly<Record<SoapVersion, readonly string[]>> = {
  '1.1': [
    '',
    'soap:mustUnderstand="0"',
    'soap:mustUnderstand="false"',
    'soap:mustUnderstand="1" soap:actor="urn:x"',
    'mustUnderstand="1"',
  ],
  '1.2': [
    '',
    'soap:mustUnderstand="0"',
    'soap:mustUnderstand="false"',
    'soap:mustUnderstand="1" soap:role="http://www.w3.org/2003/05/soap-envelope/role/none"',
    'mustUnderstand="true"',
  ],
};
const notUnderstood = '<soap:NotUnderstood qname="n:Security" xmlns:n="urn:example:wsse"/>';

describe.each(versions.map((version) => [version]))('[18] header blocks in SOAP %s', (version) => {
  const options = { version } as const;

  test.each(ours[version].map((mark) => [mark]))('SOAP-02: %s on Login is F13, and no session', async (mark) => {
    const answer = await sendInVain(envelope(loginXml, version, block(mark)), options);
    expectFault(answer, 'F13', { header12: notUnderstood });
  });

  test.each(notOurs[version].map((mark) => [mark]))('"%s" is ignored', async (mark) => {
    resultOf(await post(server, envelope(loginXml, version, block(mark)), options), 'Login');
  });

  test.each(['2', 'yes', ''])('mustUnderstand="%s" is malformed', async (value) => {
    const message = envelope(loginXml, version, block(`soap:mustUnderstand="${value}"`));
    expectFault(await sendInVain(message, options), 'F11');
  });

  test('every block that is not understood is named, escaped, the others not', async () => {
    const blocks = `${block('')}${block('soap:mustUnderstand="1"')}<x:Ä.1 xmlns:x="urn:&quot;&lt;&amp;" soap:mustUnderstand="1"/>`;
    const answer = await sendInVain(envelope(loginXml, version, blocks), options);
    const second = '<soap:NotUnderstood qname="n:Ä.1" xmlns:n="urn:&quot;&lt;&amp;"/>';
    expectFault(answer, 'F13', { header12: notUnderstood + second });
  });

  test.each([
    ['no namespace', 'Security'],
    ['the namespace of XML', 'xml:Security'],
  ])('a block in %s, for which no prefix can be declared, is named in a well-formed answer', async (_, name) => {
    const answer = await sendInVain(envelope(loginXml, version, `<${name} soap:mustUnderstand="1"/>`), options);
    expectFault(answer, 'F13', { header12: `<soap:NotUnderstood qname="${name}"/>` });
  });

  test('mandatory headers are judged before the body: an unknown operation below one is F13', async () => {
    const message = envelope('<Nothing/>', version, block('soap:mustUnderstand="1"'));
    expectFault(await sendInVain(message, options), 'F13', { header12: notUnderstood });
  });
});

describe.each(versions.map((version) => [version]))('[19] what is no operation, in SOAP %s', (version) => {
  test.each([
    ['an unknown operation', `<Nothing xmlns="${namespace}"/>`],
    [
      'a vendor operation that is not offered',
      `<NetworkList xmlns="${namespace}"><SessionID>x</SessionID></NetworkList>`,
    ],
    ['a known name in a foreign namespace', '<Version xmlns="urn:x"/>'],
    ['a known name in the old namespace', '<Version xmlns="http://ecgridos.net/"/>'],
    ['a known name in the namespace without its slash', '<Version xmlns="http://www.ecgridos.net"/>'],
    ['a known name in no namespace', '<Version/>'],
    ['a known name in another letter case', `<version xmlns="${namespace}"/>`],
    ['a response element', `<VersionResponse xmlns="${namespace}"/>`],
    ['a name of every object', `<constructor xmlns="${namespace}"/>`],
  ])('%s: F9', async (_, body) => {
    expectFault(await post(server, envelope(body, version), { version }), 'F9');
  });

  test('a Login in a foreign namespace opens no session', async () => {
    const foreign = loginXml.replace(namespace, 'urn:x');
    expectFault(await sendInVain(envelope(foreign, version), { version }), 'F9');
  });
});

test('[7] SOAP 1.2 tells a fault of the receiver with 500', async () => {
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const answer = await call(server, 'Login', { UserName: 'nobody', Password: 'x' }, { version: '1.2' });
    if (attempt < 5) expectFault(answer, 'F2');
    else expectFault(answer, 'F3');
  }
});

test('[7] the media type chooses the version, not the envelope alone: the other envelope is F12 in the type’s version', async () => {
  const upgrade =
    '<soap:Upgrade><soap:SupportedEnvelope qname="e1:Envelope" xmlns:e1="http://www.w3.org/2003/05/soap-envelope"/><soap:SupportedEnvelope qname="e2:Envelope" xmlns:e2="http://schemas.xmlsoap.org/soap/envelope/"/></soap:Upgrade>';
  const as11 = await sendInVain(envelope(loginXml, '1.2'), { version: '1.1', path: endpoint });
  expectFault(as11, 'F12');
  expect(as11.text).toContain(envelopeNamespaces['1.1']);
  expectFault(await sendInVain(envelope(loginXml, '1.1'), { version: '1.2' }), 'F12', { header12: upgrade });
});
