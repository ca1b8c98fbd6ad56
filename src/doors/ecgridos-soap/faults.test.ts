import { Database } from 'bun:sqlite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, spyOn, test } from 'bun:test';
import { join } from 'node:path';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  call,
  envelope,
  namespace,
  post,
  sessionInfo,
  type SoapAnswer,
  soapLogin,
  unknownSessionId,
  versions,
} from '../../../tests/support/soap.ts';
import { type ExpectedFault, expectFault, type FaultId } from '../../../tests/support/soap-answer.ts';
import { breakStore } from '../../../tests/support/store-trouble.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { CoreError } from '../../core/index.ts';

let server: TestServer;
let sessionId: string;
let adminId: string;
beforeAll(async () => {
  server = await startTestServer();
  await addUser(server, { login: 'plain' });
  await addUser(server, { login: 'root', authLevel: 'Root' });
});
afterAll(() => server.close());
let broken: { readonly mend: () => void } | undefined;
afterEach(() => broken?.mend());
// The throttle forgets between tests.
beforeEach(async () => {
  server.clock.advance(2 * 3600);
  sessionId = await soapLogin(server, { login: 'plain', password: testPassword });
  adminId = await soapLogin(server, { login: 'root', password: testPassword });
});

const stored = 'AccessDenied: API keys are stored as digests and cannot be shown. Generate a new key.';
const upgrade =
  '<soap:Upgrade><soap:SupportedEnvelope qname="e1:Envelope" xmlns:e1="http://www.w3.org/2003/05/soap-envelope"/><soap:SupportedEnvelope qname="e2:Envelope" xmlns:e2="http://schemas.xmlsoap.org/soap/envelope/"/></soap:Upgrade>';

describe.each(versions.map((version) => [version]))('section 7 in SOAP %s', (version) => {
  const options = { version } as const;
  const ask = (operation: string, parameters: Record<string, string | number> = {}): Promise<SoapAnswer> =>
    call(server, operation, parameters, options);
  const change = (OldPassword: string, NewPassword: string) =>
    ask('ChangePassword', { SessionID: sessionId, OldPassword, NewPassword });
  const send = (body: string, header = '') => post(server, envelope(body, version, header), options);
  const mandatory = '<h:Block xmlns:h="urn:h" soap:mustUnderstand="1"/>';

  const rows: readonly (readonly [FaultId, string, () => Promise<SoapAnswer>, ExpectedFault?])[] = [
    ['F1', 'an unknown SessionID', () => ask('SessionInfo', { SessionID: unknownSessionId })],
    ['F1', 'anonymous use of WhoAmI', () => ask('WhoAmI')],
    ['F2', 'a wrong login', () => ask('Login', { UserName: 'plain', Password: 'wrong' })],
    ['F3', 'a throttled login', () => sixthLogin()],
    ['F4', 'another user’s log as a plain user', () => ask('SessionLog', { SessionID: sessionId, UserID: 1 })],
    ['F4', 'another user’s key as a plain user', () => ask('GenerateAPIKey', { SessionID: sessionId, UserID: 1 })],
    ['F4', 'the reset of another user as a plain user', () => ask('UserReset', { SessionID: sessionId, UserID: 1 })],
    [
      'F4',
      'the stored key of oneself',
      () => ask('UserGetAPIKey', { SessionID: sessionId, UserID: 0 }),
      { message: stored },
    ],
    [
      'F4',
      'the stored key of anybody as Root',
      () => ask('UserGetAPIKey', { SessionID: adminId, UserID: 777 }),
      { message: stored },
    ],
    ['F5', 'the log of a user who is not there', () => ask('SessionLog', { SessionID: adminId, UserID: 777 })],
    ['F5', 'a key for a user who is not there', () => ask('GenerateAPIKey', { SessionID: adminId, UserID: 777 })],
    ['F5', 'the reset of a user who is not there', () => ask('UserReset', { SessionID: adminId, UserID: 777 })],
    ['F6', 'a missing password', () => ask('Login', { UserName: 'plain' }), { item: 'Password' }],
    [
      'F6',
      'a missing new password',
      () => ask('ChangePassword', { SessionID: sessionId, OldPassword: 'x' }),
      { item: 'NewPassword' },
    ],
    [
      'F6',
      'a number out of range',
      () => ask('SessionLog', { SessionID: sessionId, MaxRecords: 40_000 }),
      { item: 'MaxRecords' },
    ],
    [
      'F7',
      'a user name too long',
      () => ask('Login', { UserName: 'x'.repeat(257), Password: 'x' }),
      { item: 'UserName', message: 'max=256' },
    ],
    [
      'F7',
      'a new password too long',
      () => change(testPassword, 'x'.repeat(1025)),
      { item: 'NewPassword', message: 'max=1024' },
    ],
    ['F8', 'a wrong old password', () => change('wrong', 'another horse battery'), { item: 'OldPassword' }],
    ['F8', 'a new password too short', () => change(testPassword, 'short'), { item: 'NewPassword' }],
    ['F8', 'a new password that is common', () => change(testPassword, 'password1234'), { item: 'NewPassword' }],
    ['F8', 'the old password as the new one', () => change(testPassword, testPassword), { item: 'NewPassword' }],
    ['F9', 'an unknown operation', () => send(`<Nothing xmlns="${namespace}"/>`)],
    ['F11', 'no XML at all', () => post(server, 'SessionID', options)],
    ['F11', 'an empty body', () => post(server, '', options)],
    ['F11', 'a DOCTYPE', () => post(server, `<!DOCTYPE x>${envelope('<x/>', version)}`, options)],
    ['F11', 'a root of another name', () => post(server, '<SessionID/>', options)],
    [
      'F12',
      'an unknown envelope',
      () => post(server, '<Envelope xmlns="urn:x"><Body/></Envelope>', options),
      { header12: upgrade },
    ],
    [
      'F12',
      'an envelope in no namespace',
      () => post(server, '<Envelope><Body/></Envelope>', options),
      { header12: upgrade },
    ],
    [
      'F13',
      'a mandatory header',
      () => send(`<Version xmlns="${namespace}"/>`, mandatory),
      { header12: '<soap:NotUnderstood qname="n:Block" xmlns:n="urn:h"/>' },
    ],
  ];

  test.each(rows)('[14] %s: %s', async (id, _, provoke, expected = {}) => {
    const answer = await provoke();
    expectFault(answer, id, expected);
    if (id === 'F1' && version === '1.1') expect(answer.text).toContain('<faultstring>Invalid SessionID</faultstring>');
  });

  const sixthLogin = async (): Promise<SoapAnswer> => {
    for (let attempt = 0; attempt < 5; attempt += 1) await ask('Login', { UserName: 'nobody', Password: 'x' });
    return ask('Login', { UserName: 'nobody', Password: 'x' });
  };

  test('[6] F10: an action that contradicts the body', async () => {
    const body = envelope(`<Version xmlns="${namespace}"/>`, version);
    const named = version === '1.1' ? { action: '"x"' } : { type: 'application/soap+xml; action="x"' };
    expectFault(await post(server, body, { ...options, ...named }), 'F10');
  });

  test('[24] F14: with the store out of reach every call says so, never F1, and goes on after it', async () => {
    broken = breakStore(server);
    for (const operation of ['SessionInfo', 'WhoAmI', 'SessionLog', 'Logout', 'GenerateAPIKey', 'UserReset']) {
      expectFault(await ask(operation, { SessionID: sessionId }), 'F14');
    }
    expectFault(await ask('Login', { UserName: 'plain', Password: testPassword }), 'F14');
    expectFault(await change(testPassword, 'another horse battery'), 'F14');
    expect((await ask('Version')).status).toBe(200);
    broken.mend();
    await sessionInfo(server, sessionId);
  });

  test('[24] F14: a store that cannot be written refuses changes and still answers checks; nothing was acknowledged', async () => {
    const file = [...new Bun.Glob('*.db').scanSync({ cwd: server.directory })][0] ?? '';
    const other = new Database(join(server.directory, file));
    other.run('begin immediate');
    try {
      expectFault(await ask('Login', { UserName: 'plain', Password: testPassword }), 'F14');
      expectFault(await ask('Logout', { SessionID: sessionId }), 'F14');
      expect((await ask('SessionInfo', { SessionID: sessionId })).status).toBe(200);
    } finally {
      other.run('rollback');
      other.close();
    }
    await sessionInfo(server, sessionId);
  });

  test('F14: a full hashing lane', async () => {
    const lane = spyOn(server.core.hasher, 'verify').mockRejectedValue(new CoreError('unavailable'));
    expectFault(await ask('Login', { UserName: 'plain', Password: testPassword }), 'F14');
    lane.mockRestore();
  });

  test('F15: an unexpected fault tells nothing of the inside; its text stands in the log under the request id', async () => {
    broken = breakStore(server, { error: new TypeError('secret-text at place.ts:1') });
    const answers = [
      await ask('SessionInfo', { SessionID: sessionId }),
      await ask('Login', { UserName: 'plain', Password: testPassword }),
      await ask('Logout', { SessionID: sessionId }),
    ];
    broken.mend();
    for (const answer of answers) {
      expectFault(answer, 'F15');
      const id = answer.headers.get('x-request-id') ?? '';
      const lines = server.log.filter((line) => line.includes(`"${id}"`) && line.includes('secret-text'));
      expect(lines).not.toEqual([]);
    }
  });
});
