import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Client, createClientAsync } from 'soap';
import { demoKey, demoUsers } from '../../src/cli/demo-data.ts';
import { type Recorder, startRecorder } from '../support/recorder.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { endpoint, guidPattern } from '../support/soap.ts';
import { importWsdl, type JavaClient, runZeep, toolkits } from '../support/toolkits.ts';

/** Clients that SOAP toolkits make from the service description, as their users run them (SOAP-07). */

const { soap: user } = demoUsers;
const whole = { UserID: 12345, NetworkID: 100, MailboxID: 200 };
const faultTexts = ['1', 'Session timeout', 'SessionID', 'The session is unknown or has ended. Log in again.'];

let server: TestServer;
let recorder: Recorder;
let wsdl: string;
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_PUBLIC_URL: '' } });
  recorder = await startRecorder(server.url);
  // The description prints the host that was asked, so the clients' calls go through the recorder too.
  wsdl = `${recorder.url}${endpoint}?WSDL`;
});
afterAll(async () => {
  recorder.close();
  await server.close();
});

describe.each([
  ['1.1', {}],
  ['1.2', { forceSoap12Headers: true }],
] as const)('npm soap, SOAP %s', (version, options) => {
  let client: Client;
  const ask = async (operation: string, input: object): Promise<unknown> => {
    const [result] = (await client[`${operation}Async`](input)) as [Record<string, unknown>];
    return result[`${operation}Result`];
  };
  beforeAll(async () => {
    client = await createClientAsync(wsdl, options);
  });

  test('[2] loads the service description with its eleven operations', () => {
    const { ECGridOSPort } = client.describe()['ECGridOS'] as Record<string, object>;
    expect(Object.keys(ECGridOSPort ?? {})).toEqual(
      'Login Logout SessionInfo WhoAmI SessionLog Version NowUTC GenerateAPIKey UserGetAPIKey UserReset ChangePassword'.split(
        ' ',
      ),
    );
  });

  test('[2][7] Login → SessionInfo → WhoAmI → SessionLog → Logout → SessionInfo faults, with typed values', async () => {
    recorder.take();
    const SessionID = (await ask('Login', { UserName: user.login, Password: user.password })) as string;
    expect(recorder.take()).toContain(version === '1.1' ? 'text/xml' : 'application/soap+xml');
    expect(SessionID).toMatch(guidPattern);
    const [Created, Expires] = [new Date('2026-05-07T17:30:00Z'), new Date('2026-05-07T18:30:00Z')];
    // The documents' sample, word for word but for a stray member, which this client passes through.
    const info = await ask('SessionInfo', { SessionID, additional: 'params' });
    expect(info).toEqual({ SessionID, ...whole, Created, Expires });
    expect(await ask('WhoAmI', { SessionID })).toEqual({
      ...whole,
      Login: 'soapuser',
      AuthLevel: 'MailboxUser',
      Email: 'soapuser@example.com',
      FirstName: 'Sofia',
      LastName: 'Apel',
      Status: 'Active',
      Created: new Date('2026-01-12T08:00:00Z'),
    });
    const log = (await ask('SessionLog', { SessionID, UserID: 0, MaxRecords: 9 })) as { SessionIDInfo: object[] };
    const masked = expect.stringMatching(guidPattern) as unknown;
    expect(log.SessionIDInfo).toContainEqual({ SessionID: masked, ...whole, Created, Expires });
    expect(await ask('Logout', { SessionID })).toBe(true);
    expect(await ask('Logout', { SessionID })).toBe(false);
    await expectSessionFault(client, SessionID, version);
  });

  test('[8] an API key stands in the place of a session and never expires', async () => {
    const info = await ask('SessionInfo', { SessionID: demoKey });
    const Created = new Date('2026-05-07T17:30:00Z');
    const Expires = new Date('9999-01-01T00:00:00Z');
    const expected = { SessionID: demoKey, UserID: 4821, NetworkID: 1, MailboxID: 101, Created, Expires };
    expect(info).toEqual(expected);
  });

  test('[2] operations without parameters answer too', async () => {
    expect(await ask('Version', {})).toBe('4.1');
    expect(await ask('NowUTC', {})).toEqual(new Date('2026-05-07T17:30:00Z'));
  });
});

/** What the client throws holds the parsed fault; the text is what people search for `SessionID` and log in again. */
async function expectSessionFault(client: Client, SessionID: string, version: '1.1' | '1.2'): Promise<void> {
  const thrown = await client['SessionInfoAsync']({ SessionID }).catch((error: unknown) => error);
  const { message, root } = thrown as Error & { root: { Envelope: { Body: { Fault: unknown } } } };
  expect(message).toContain('Invalid SessionID');
  const [ErrorCode, ErrorString, ErrorItem, ErrorMessage] = faultTexts;
  const ErrorInfo = { ErrorCode, ErrorString, ErrorItem, ErrorMessage };
  const detail = { ErrorInfo, ECGridOSSOAPErrorCode: 'Authentication' };
  const fault11 = { faultcode: 'soap:Client', faultstring: 'Invalid SessionID', detail };
  const fault12 = { Code: { Value: 'soap:Sender' }, Detail: detail };
  expect(root.Envelope.Body.Fault).toMatchObject(version === '1.1' ? fault11 : fault12);
}

/** A test that is skipped, with what to install in its name, where the machine has no such toolkit. */
function testWith(kit: keyof typeof toolkits, name: string, body: () => Promise<void>): void {
  const { found, needs } = toolkits[kit];
  test.skipIf(found === null)(found === null ? `${name} (needs ${needs})` : name, body);
}

testWith('zeep', '[2][8] zeep: login → info → who → log → logout → fault, with typed values', async () => {
  const said = await runZeep(wsdl, user.login, user.password, demoKey);
  expect(said).toMatchObject({ code: 0, stderr: '' });
  const seen = JSON.parse(said.stdout) as Record<string, unknown> & { Login: string; SessionLog: object[] };
  expect(seen.Login).toMatch(guidPattern);
  const [Created, Expires] = ['2026-05-07T17:30:00+00:00', '2026-05-07T18:30:00+00:00'];
  expect(seen).toEqual({
    Login: seen.Login,
    SessionInfo: { SessionID: seen.Login, ...whole, Created, Expires },
    WhoAmI: {
      ...whole,
      Login: 'soapuser',
      AuthLevel: 'MailboxUser',
      Email: 'soapuser@example.com',
      FirstName: 'Sofia',
      LastName: 'Apel',
      Status: 'Active',
      Created: '2026-01-12T08:00:00+00:00',
    },
    SessionLog: expect.arrayContaining([
      expect.objectContaining({ ...whole, Created, Expires }),
    ]) as unknown as object[],
    Version: '4.1',
    NowUTC: Created,
    'SessionInfo of a key': {
      SessionID: demoKey,
      UserID: 4821,
      NetworkID: 1,
      MailboxID: 101,
      Created,
      Expires: '9999-01-01T00:00:00+00:00',
    },
    Logout: [true, false],
    fault: ['soap:Client', 'Invalid SessionID', 'ErrorInfo', faultTexts],
  });
});

describe('JAX-WS', () => {
  let java: JavaClient;
  afterAll(() => java?.remove());

  testWith('jaxws', '[2][3] wsimport makes the classes of the documents, with one warning and no error', async () => {
    java = await importWsdl(wsdl);
    expect(java.said.code).toBe(0);
    const printed = java.said.stdout + java.said.stderr;
    expect(printed).not.toContain('[ERROR]');
    expect(printed.match(/\[WARNING\].*/g)).toEqual([
      '[WARNING] Ignoring SOAP port "ECGridOSPort12": it uses non-standard SOAP 1.2 binding.',
    ]);
    expect(await java.source('net/ecgridos/ECGridOS.java')).toContain('public ECGridOSPortType getECGridOSPort()');
    expect(await java.source('net/ecgridos/ECGridOSPortType.java')).toMatch(
      /public SessionIDInfo sessionInfo\(\s*@WebParam\([^)]*\)\s*String \w+\);/,
    );
  });

  testWith('jaxws', '[2][8] its client: login → info → who → log → logout → fault, with typed values', async () => {
    const said = await java.run(user.login, user.password, demoKey);
    expect(said.code).toBe(0);
    const sessionId = /^Login (.*)$/m.exec(said.stdout)?.[1] ?? said.stderr;
    expect(sessionId).toMatch(guidPattern);
    const times = '2026-05-07T17:30:00Z 2026-05-07T18:30:00Z';
    const lines = said.stdout.trimEnd().split('\n');
    expect(lines.toSpliced(3, 1)).toEqual([
      `Login ${sessionId}`,
      `SessionInfo ${sessionId} 12345 100 200 ${times}`,
      'WhoAmI 12345 soapuser 100 200 MAILBOX_USER soapuser@example.com Sofia Apel ACTIVE 2026-01-12T08:00:00Z',
      'Version 4.1',
      'NowUTC 2026-05-07T17:30:00Z',
      `SessionInfo of a key ${demoKey} 4821 1 101 2026-05-07T17:30:00Z 9999-01-01T00:00:00Z`,
      'Logout true false',
      'fault soap:Client Invalid SessionID ErrorInfo',
    ]);
    expect(lines[3]).toMatch(/^SessionLog ([0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12} 12345 100 200 \S+ \S+(, |$))+$/);
    expect(lines[3]).toContain(times);
    expect(lines[3]).not.toContain(sessionId);
  });
});
