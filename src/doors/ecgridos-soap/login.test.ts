import { change } from '../../core/change.ts';
import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test';
import { join } from 'node:path';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  call,
  envelope,
  guidPattern,
  namespace,
  post,
  resultOf,
  sessionInfo,
  type SoapParameters,
  soapLogin,
} from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { addUser } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';
import { listAudit, listSessions } from '../../core/index.ts';

const { john, soap: user } = demoUsers;
const settings = { CARDEA_THROTTLE_FREE_TRIES: '100', CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000' };
const senders = ['SenderSolution', 'SenderVersion', 'SenderCompanyName', 'SenderContact', 'SenderContactEmail'];

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ settings });
});
afterAll(() => server.close());

const login = (parameters: SoapParameters) => call(server, 'Login', parameters);
const sessionCount = async (): Promise<number> => (await listSessions(server.core, {})).length;

describe('[12] Login', () => {
  test('the documents’ example with all seven parameters opens a session, and its facts stand in the audit', async () => {
    const request = await Bun.file(join(import.meta.dir, 'fixtures', 'login.request.xml')).text();
    const answer = await post(server, request, { action: `"${namespace}Login"` });
    const sessionId = resultOf(answer, 'Login');
    expect(sessionId).toMatch(guidPattern);
    expect(answer.text).toBe(
      `<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><LoginResponse xmlns="http://www.ecgridos.net/"><LoginResult>${sessionId}</LoginResult></LoginResponse></soap:Body></soap:Envelope>`,
    );
    expect((await sessionInfo(server, sessionId))['UserID']).toBe('4821');
    const events = await listAudit(server.core, 0, 1000);
    const event = events.findLast(({ event }) => event === 'login.succeeded');
    expect(JSON.parse(event?.detail ?? '{}')).toMatchObject({
      SenderSolution: 'OrderSync',
      SenderVersion: '3.2',
      SenderCompanyName: 'Example Co',
      SenderContact: 'J. Smith',
      SenderContactEmail: 'jsmith@example.com',
    });
  });

  test('two of the seven are enough, and the others may be empty', async () => {
    await soapLogin(server, john);
    const empty = Object.fromEntries(senders.map((name) => [name, '']));
    resultOf(await login({ UserName: john.login, Password: john.password, ...empty }), 'Login');
  });

  test.each(['UserName', 'LoginName', 'Email', 'Login'])('the user name is accepted as %s', async (name) => {
    const sessionId = resultOf(await login({ Password: john.password, [name]: john.login }), 'Login');
    expect((await sessionInfo(server, sessionId))['UserID']).toBe('4821');
  });

  test('the same name under all four at once is one name; UserID is none of them', async () => {
    const names = { UserName: john.login, LoginName: john.login, Email: john.login, Login: john.login };
    resultOf(await login({ ...names, Password: john.password }), 'Login');
    expectFault(await login({ UserID: john.login, Password: john.password }), 'F6', { item: 'UserName' });
  });

  test.each([
    ['UserName', 'Email'],
    ['LoginName', 'Login'],
  ])('%s and %s with two values: F6, and no session', async (first, second) => {
    const before = await sessionCount();
    const answer = await login({ [first]: john.login, [second]: user.login, Password: john.password });
    expectFault(answer, 'F6', { item: 'UserName' });
    expect(await sessionCount()).toBe(before);
  });

  test.each([
    ['no user name', '<Password>x</Password>', 'UserName'],
    ['an empty user name', '<UserName/><Password>x</Password>', 'UserName'],
    ['no password', '<UserName>x</UserName>', 'Password'],
    ['an empty password', '<UserName>x</UserName><Password></Password>', 'Password'],
    ['the user name twice', '<UserName>x</UserName><UserName>x</UserName><Password>x</Password>', 'UserName'],
    ['the password twice', '<UserName>x</UserName><Password>x</Password><Password>y</Password>', 'Password'],
    [
      'a nil password',
      '<UserName>x</UserName><Password xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true">x</Password>',
      'Password',
    ],
    [
      'a sender field twice',
      '<UserName>x</UserName><Password>x</Password><SenderVersion>1</SenderVersion><SenderVersion>2</SenderVersion>',
      'SenderVersion',
    ],
  ])('L18: %s: F6, and no password is looked at', async (_, children, item) => {
    const hashes = countHashes(server);
    const answer = await post(server, envelope(`<Login xmlns="${namespace}">${children}</Login>`));
    expectFault(answer, 'F6', { item });
    expect(hashes.stop()).toBe(0);
  });

  test.each(senders)('%s takes 256 characters and refuses 257 with F7', async (name) => {
    const right = { UserName: john.login, Password: john.password };
    resultOf(await login({ ...right, [name]: 'ä'.repeat(256) }), 'Login');
    const before = await sessionCount();
    expectFault(await login({ ...right, [name]: 'ä'.repeat(257) }), 'F7', { item: name, message: 'max=256' });
    expect(await sessionCount()).toBe(before);
  });

  test('L16: a user name of 256 characters is judged, one of 257 is F7', async () => {
    expectFault(await login({ UserName: 'n'.repeat(256), Password: 'x' }), 'F2');
    const expected = { item: 'UserName', message: 'max=256' };
    expectFault(await login({ UserName: 'n'.repeat(257), Password: 'x' }), 'F7', expected);
  });

  test('L16: a password of 1,024 bytes is judged; one of 1,025 is F7 without hashing, counted in bytes', async () => {
    expectFault(await login({ UserName: john.login, Password: 'p'.repeat(1024) }), 'F2');
    const hashes = countHashes(server);
    for (const password of ['p'.repeat(1025), 'é'.repeat(513), '😀'.repeat(257)]) {
      const expected = { item: 'Password', message: 'max=1024' };
      expectFault(await login({ UserName: john.login, Password: password }), 'F7', expected);
    }
    expect(hashes.stop()).toBe(0);
  });

  test('names and passwords are never trimmed; CDATA and references are their text', async () => {
    await addUser(server, { login: 'spaced', password: ' pass <&> word ' });
    const { password } = { password: ' pass <&> word ' };
    await soapLogin(server, { login: 'spaced', password });
    expectFault(await login({ UserName: 'spaced', Password: password.trim() }), 'F2');
    expectFault(await login({ UserName: ' spaced', Password: password }), 'F2');
    const children = '<UserName>sp<!-- x -->aced</UserName><Password><![CDATA[ pass <&]]>&gt;&#x20;word </Password>';
    resultOf(await post(server, envelope(`<Login xmlns="${namespace}">${children}</Login>`)), 'Login');
  });

  test('names count in any letter case, and an e-mail address only if no login name matches', async () => {
    const id = await addUser(server, { login: 'mail-owner', email: 'Owner@Users.Example.com' });
    for (const name of ['MAIL-owner', 'owner@users.example.com']) {
      const sessionId = resultOf(await login({ UserName: name, Password: 'correct horse battery' }), 'Login');
      expect((await sessionInfo(server, sessionId))['UserID']).toBe(String(id));
    }
  });

  test('SES-03: a repeated message makes a new session, and both go on', async () => {
    const [first, second] = [await soapLogin(server, john), await soapLogin(server, john)];
    expect(second).not.toBe(first);
    await sessionInfo(server, first);
    await sessionInfo(server, second);
  });

  test('SES-01: a SessionID that the client chose is never adopted', async () => {
    const chosen = 'A1B2C3D4-E5F6-7890-ABCD-EF1234567890';
    const parameters = { SessionID: chosen, UserName: john.login, Password: john.password };
    expect(resultOf(await login(parameters), 'Login')).not.toBe(chosen);
    expectFault(await call(server, 'SessionInfo', { SessionID: chosen }), 'F1');
  });

  test('an API key is no password', async () => {
    expectFault(await login({ UserName: john.login, Password: 'F9E8D7C6-B5A4-3210-FEDC-BA9876543210' }), 'F2');
  });
});

describe('a further sign-in step', () => {
  const stepDue = { message: 'AccessDenied: a further sign-in step is required.' };

  test('is due: Login with the right password is F4 and no session, with a wrong one F2', async () => {
    await addUser(server, { login: 'due', passwordChangeDue: true });
    const before = await sessionCount();
    expectFault(await login({ UserName: 'due', Password: 'correct horse battery' }), 'F4', stepDue);
    expectFault(await login({ UserName: 'due', Password: 'wrong' }), 'F2');
    expect(await sessionCount()).toBe(before);
  });

  test('comes due: a live session can only change the password or log out; a key is unaffected', async () => {
    const who = { login: 'later', password: 'correct horse battery' };
    const id = await addUser(server, { login: who.login });
    const sessionId = await soapLogin(server, who);
    const other = await soapLogin(server, who);
    const key = resultOf(await call(server, 'GenerateAPIKey', { SessionID: sessionId }), 'GenerateAPIKey');
    await change(server.core, (trx) =>
      trx.updateTable('users').set({ password_change_due: 1 }).where('id', '=', id).execute(),
    );
    for (const operation of ['SessionInfo', 'WhoAmI', 'SessionLog', 'GenerateAPIKey', 'UserGetAPIKey', 'UserReset']) {
      expectFault(await call(server, operation, { SessionID: sessionId, UserID: 0 }), 'F4', stepDue);
    }
    expect((await sessionInfo(server, key))['UserID']).toBe(String(id));
    expect(resultOf(await call(server, 'Logout', { SessionID: other }), 'Logout')).toBe('true');
    const passwords = { OldPassword: who.password, NewPassword: 'another horse battery' };
    const changed = await call(server, 'ChangePassword', { SessionID: sessionId, ...passwords });
    expect(resultOf(changed, 'ChangePassword')).toBe('true');
    await sessionInfo(server, sessionId);
  });
});

/** Counts the password hashes that are computed until it is stopped. */
function countHashes({ core }: TestServer): { readonly stop: () => number } {
  const runs = [spyOn(core.hasher, 'verify'), spyOn(core.hasher, 'verifyDummy')];
  return {
    stop() {
      const total = runs.reduce((sum, run) => sum + run.mock.calls.length, 0);
      for (const run of runs) run.mockRestore();
      return total;
    },
  };
}
