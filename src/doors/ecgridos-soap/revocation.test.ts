import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { apiKey, bearer, login as restLogin, rest, session } from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call, resultOf, sessionInfo, soapLogin } from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const newPassword = 'another horse battery';

describe.each(engines.map((engine) => [engine]))('[25] SES-05: what ends sessions, on %s', (engine) => {
  let server: TestServer;
  let count = 0;
  let id = 0;
  let who = { login: '', password: testPassword };
  let sessionId = '';
  let key = '';
  let adminToken = '';
  let adminId = '';
  beforeAll(async () => {
    server = await startTestServer({ engine });
    adminToken = (await restLogin(server, demoUsers.admin)).token;
    adminId = await soapLogin(server, demoUsers.admin);
  }, 30_000);
  afterAll(() => server.close());
  // A user with a warm session and a warm key.
  beforeEach(async () => {
    count += 1;
    who = { login: `user-${count}`, password: testPassword };
    id = await addUser(server, who);
    sessionId = await soapLogin(server, who);
    key = resultOf(await call(server, 'GenerateAPIKey', { SessionID: sessionId }), 'GenerateAPIKey');
    await sessionInfo(server, sessionId);
    await sessionInfo(server, key);
  });

  const byAdmin = async (method: string, path: string, body?: unknown): Promise<void> => {
    const answer = await rest(server, method, path, {
      headers: bearer(adminToken),
      ...(body !== undefined && { body }),
    });
    expect(answer.status).toBe(200);
  };
  const isRefused = async (credential: string): Promise<void> => {
    expectFault(await call(server, 'SessionInfo', { SessionID: credential }), 'F1');
    expectFault(await call(server, 'WhoAmI', { SessionID: credential }, { version: '1.2' }), 'F1');
    expect(resultOf(await call(server, 'Logout', { SessionID: credential }), 'Logout')).toBe('false');
  };

  test.each([
    ['the REST reset', () => byAdmin('POST', `/v2/users/reset/${id}`), true],
    ['the administrator’s UserReset', () => reset(adminId, id), true],
    ['the user’s own UserReset by another session', async () => reset(await soapLogin(server, who), 0), true],
    ['UserReset by the user’s key', () => reset(key, id), true],
    [
      'a password that the administrator set over REST',
      () => byAdmin('POST', '/v2/users/password', { userId: id, newPassword }),
      true,
    ],
    ['the user’s own password change over REST', () => changeOverRest(), true],
    ['ChangePassword by another session', async () => change(await soapLogin(server, who)), true],
    ['ChangePassword by the user’s key', () => change(key), true],
    ['disabling the user', () => setUserStatus(server, id, 'Suspended'), false],
    ['deleting the user over REST', () => byAdmin('DELETE', `/v2/users/${id}`), false],
  ])('%s: the session faults F1 on the very next call', async (_, end, keyLives) => {
    await end();
    await isRefused(sessionId);
    if (keyLives) await sessionInfo(server, key);
    else await isRefused(key);
  });

  const reset = async (presented: string, UserID: number): Promise<void> => {
    expect(resultOf(await call(server, 'UserReset', { SessionID: presented, UserID }), 'UserReset')).toBe('true');
  };
  const change = async (presented: string): Promise<void> => {
    const passwords = { OldPassword: who.password, NewPassword: newPassword };
    const answer = await call(server, 'ChangePassword', { SessionID: presented, ...passwords });
    expect(resultOf(answer, 'ChangePassword')).toBe('true');
  };
  const changeOverRest = async (): Promise<void> => {
    const headers = bearer((await restLogin(server, who)).token);
    const body = { currentPassword: who.password, newPassword };
    expect((await rest(server, 'PUT', '/v2/auth/password', { headers, body })).status).toBe(200);
  };

  test('SES-06: a user who may sign in again does not get the old session back', async () => {
    await setUserStatus(server, id, 'Suspended');
    await setUserStatus(server, id, 'Active');
    await isRefused(sessionId);
    await sessionInfo(server, await soapLogin(server, who));
  });

  test('UserReset ends the sessions of every door, and after it the user logs in again', async () => {
    const { token } = await restLogin(server, who);
    await reset(adminId, id);
    expect((await session(server, bearer(token))).status).toBe(401);
    await sessionInfo(server, await soapLogin(server, who));
    await sessionInfo(server, adminId);
  });

  test('UserReset of oneself ends the presenting session too', async () => {
    await reset(sessionId, 0);
    await isRefused(sessionId);
  });

  test('UserReset lifts the wait after wrong passwords', async () => {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await call(server, 'Login', { UserName: who.login, Password: 'wrong' });
    }
    await reset(adminId, id);
    server.clock.advance(60);
    for (let attempt = 0; attempt < 4; attempt += 1) {
      expectFault(await call(server, 'Login', { UserName: who.login, Password: 'wrong' }), 'F2');
    }
    await soapLogin(server, who);
  });

  test('SES-09: ChangePassword keeps the presenting session and ends the others of every door', async () => {
    const other = await soapLogin(server, who);
    const { token } = await restLogin(server, who);
    await change(sessionId);
    await sessionInfo(server, sessionId);
    await isRefused(other);
    expect((await session(server, bearer(token))).status).toBe(401);
    expectFault(await call(server, 'Login', { UserName: who.login, Password: who.password }), 'F2');
    await soapLogin(server, { login: who.login, password: newPassword });
  });

  test('a key generated by REST works here at once, and the previous one faults F1; sessions go on', async () => {
    const { token } = await restLogin(server, who);
    const answer = await rest(server, 'POST', `/v2/users/key-generate/${id}`, { headers: bearer(token) });
    const next = answer.body.data as string;
    expect((await sessionInfo(server, next))['UserID']).toBe(String(id));
    await isRefused(key);
    await sessionInfo(server, sessionId);
  });

  test('a key generated here works over REST at once, and the previous one is refused there, even if it made this call', async () => {
    const answer = await call(server, 'GenerateAPIKey', { SessionID: key, UserID: id });
    const next = resultOf(answer, 'GenerateAPIKey');
    expect((await session(server, apiKey(next))).status).toBe(200);
    expect((await session(server, apiKey(key))).status).toBe(401);
    await isRefused(key);
  });

  test('S21: the 101st session of a user ends the oldest, and only that', async () => {
    const more: string[] = [];
    server.clock.advance(1);
    for (let index = 0; index < 99; index += 1) more.push(await soapLogin(server, who));
    await sessionInfo(server, sessionId);
    await soapLogin(server, who);
    await isRefused(sessionId);
    await sessionInfo(server, more[0] ?? '');
  });
});
