import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  apiKey,
  bearer,
  type EcgridAnswer,
  expectBadBearer,
  expectRefusal,
  login,
  messages,
  rest,
  session,
} from '../../../tests/support/ecgrid.ts';
import { doorsOf, tokenOf } from '../../../tests/support/http.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call as callSoap, soapLogin } from '../../../tests/support/soap.ts';
import { addUser, setUserStatus, type TestUser, testPassword } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';

type Sent = Readonly<Record<string, string>>;
const newPassword = 'nine herons on a pond';

let server: TestServer;
let root: Sent;
let count = 0;
beforeAll(async () => {
  server = await startTestServer();
  root = bearer((await login(server, demoUsers.admin)).token);
});
afterAll(() => server.close());

function post(path: string, body?: unknown, headers: Sent = root): Promise<EcgridAnswer> {
  return rest(server, 'POST', path, body === undefined ? { headers } : { headers, body });
}

function remove(id: number, headers: Sent = root): Promise<EcgridAnswer> {
  return rest(server, 'DELETE', `/v2/users/${id}`, { headers });
}

/** One user with a credential of every kind, and whether each still signs in, door by door. */
async function everywhere(facts: Partial<TestUser> = {}) {
  count += 1;
  const who = { login: `everywhere-${count}`, password: testPassword };
  const id = await addUser(server, { ...who, place: { organizationId: 1, mailboxId: 101 }, ...facts });
  const { token } = await login(server, who);
  const web = tokenOf(await doorsOf(server.url).webLogin(who.login, who.password));
  const soap = await soapLogin(server, who);
  const key = (await post(`/v2/users/key-generate/${id}`)).body.data as string;
  const states = async () => ({
    token: (await session(server, bearer(token))).status,
    tokenAtWeb: (await doorsOf(server.url).webSession(token)).status,
    web: (await doorsOf(server.url).webSession(web)).status,
    soap: (await callSoap(server, 'SessionInfo', { SessionID: soap })).status,
    key: (await session(server, apiKey(key))).status,
    keyAtSoap: (await callSoap(server, 'SessionInfo', { SessionID: key })).status,
  });
  return { id, ...who, token, web, soap, key, states };
}

// The SOAP contract says "refused" with 500.
const allLive = { token: 200, tokenAtWeb: 200, web: 200, soap: 200, key: 200, keyAtSoap: 200 };
const sessionsEnded = { token: 401, tokenAtWeb: 401, web: 401, soap: 500, key: 200, keyAtSoap: 200 };
const allEnded = { token: 401, tokenAtWeb: 401, web: 401, soap: 500, key: 401, keyAtSoap: 500 };

describe('[21] changes bind the very next request on every door', () => {
  test('S04: reset ends all sessions, whichever door opened them; the key goes on, and one can log in again', async () => {
    const user = await everywhere();
    expect(await user.states()).toEqual(allLive);
    const answer = await post(`/v2/users/reset/${user.id}`);
    expect(answer.text).toBe('{"success":true,"data":true,"errorCode":"","message":""}');
    expect(await user.states()).toEqual(sessionsEnded);
    await login(server, user);
  });

  test('a user resets itself: the session of the call ends too', async () => {
    const user = await everywhere({ authLevel: 'General' });
    expect((await post(`/v2/users/reset/${user.id}`, undefined, bearer(user.token))).status).toBe(200);
    expect(await user.states()).toEqual(sessionsEnded);
  });

  test('a reset clears the counted failures: the throttled name signs in at once', async () => {
    const user = await everywhere();
    const wrong = () => post('/v2/auth/login', { login: user.login, password: 'wrong' }, {});
    for (let tries = 0; tries < 6; tries += 1) await wrong();
    expectRefusal(await wrong(), 429, 'RateLimitExceeded', messages.E6);
    await post(`/v2/users/reset/${user.id}`);
    await login(server, user);
  });

  test("password: all of the target's sessions end, the key goes on, the new password counts alone", async () => {
    const user = await everywhere();
    const answer = await post('/v2/users/password', { userId: user.id, newPassword });
    expect(answer.text).toBe('{"success":true,"data":true,"errorCode":"","message":""}');
    expect(await user.states()).toEqual(sessionsEnded);
    expectRefusal(await post('/v2/auth/login', user, {}), 401, 'InvalidSession', messages.E5);
    await login(server, { ...user, password: newPassword });
  });

  test('S07: delete ends everything and the key with it; the login is unknown and the user gone', async () => {
    const user = await everywhere();
    const answer = await remove(user.id);
    expect(answer.text).toBe('{"success":true,"data":true,"errorCode":"","message":""}');
    expect(await user.states()).toEqual(allEnded);
    expectRefusal(await post('/v2/auth/login', user, {}), 401, 'InvalidSession', messages.E5);
    expectRefusal(await remove(user.id), 404, 'ObjectNotFound', 'User not found.');
  });

  test('S07: suspend refuses everything; the end of it brings back the key alone', async () => {
    const user = await everywhere();
    await setUserStatus(server, user.id, 'Suspended');
    expect(await user.states()).toEqual(allEnded);
    await setUserStatus(server, user.id, 'Active');
    expect(await user.states()).toEqual(sessionsEnded);
  });

  test('S07: a demotion and a promotion bind the next request of the session that was open', async () => {
    const user = await everywhere({ authLevel: 'NetworkAdmin' });
    const other = await addUser(server, { login: `other-${user.id}`, place: { organizationId: 1, mailboxId: null } });
    const look = () => rest(server, 'GET', `/v2/users/${other}`, { headers: bearer(user.token) });
    expect((await look()).status).toBe(200);
    await post('/v2/users/role', { userId: user.id, authLevel: 'General' });
    expectRefusal(await look(), 404, 'ObjectNotFound', 'User not found.');
    const shown = await session(server, bearer(user.token));
    expect(shown.body.data).toMatchObject({ authLevel: 'General' });
    expectRefusal(await post('/v2/users', {}, bearer(user.token)), 400, 'InvalidParameter', /^(login|password|email) /);
    await post('/v2/users/role', { userId: user.id, authLevel: 'NetworkUser' });
    expect((await look()).status).toBe(200);
    expect(await user.states()).toEqual(allLive);
  });

  test('a change of network or mailbox shows at both ECGrid doors on the next request', async () => {
    const user = await everywhere();
    await post('/v2/users/set-network-mailbox', { userId: user.id, networkId: 100, mailboxId: 200 });
    const shown = await session(server, bearer(user.token));
    expect(shown.body.data).toMatchObject({ networkId: 100, mailboxId: 200 });
    const { text } = await callSoap(server, 'SessionInfo', { SessionID: user.soap });
    expect(text).toContain('<NetworkID>100</NetworkID><MailboxID>200</MailboxID>');
  });
});

describe('6.7 DELETE /v2/users/{id}', () => {
  test('ids are never reused, nor does a new user of the same login inherit anything (S08)', async () => {
    const user = await everywhere();
    await remove(user.id);
    const born = await post('/v2/users', {
      login: user.login,
      email: 'born@users.example.com',
      password: testPassword,
    });
    const { userId } = born.body.data as { userId: number };
    expect(userId).toBeGreaterThan(user.id);
    expect(await user.states()).toEqual(allEnded);
    await remove(userId);
    server = await server.restart();
    const next = await addUser(server, { login: user.login });
    expect(next).toBeGreaterThan(userId);
    expect(await user.states()).toEqual(allEnded);
  });

  test('oneself is 403, as a deletion, a new password and a new role', async () => {
    const requests: [string, string, unknown?][] = [
      ['DELETE', '/v2/users/1'],
      ['POST', '/v2/users/password', { userId: 1, newPassword }],
      ['POST', '/v2/users/role', { userId: 1, authLevel: 'Root' }],
    ];
    for (const [method, path, body] of requests) {
      const answer = await rest(server, method, path, body === undefined ? { headers: root } : { headers: root, body });
      expectRefusal(answer, 403, 'AccessDenied', 'Access denied.');
    }
  });
});

describe('6.7 POST /v2/users/role', () => {
  test('the level changes and the rest stays; NoChange keeps it; a place may come along in the same call', async () => {
    const user = await everywhere();
    const set = async (body: object) => (await post('/v2/users/role', { userId: user.id, ...body })).body.data;
    const before = { userId: user.id, login: user.login, networkId: 1, mailboxId: 101 };
    expect(await set({ authLevel: 'TPUser' })).toMatchObject({ ...before, authLevel: 'TPUser' });
    expect(await set({ authLevel: 'NoChange' })).toMatchObject({ ...before, authLevel: 'TPUser' });
    const moved = await set({ authLevel: 'NoChange', networkId: 100, mailboxId: 200 });
    expect(moved).toMatchObject({ authLevel: 'TPUser', networkId: 100, mailboxId: 200 });
    const both = await set({ authLevel: 'NetOps', networkId: 1 });
    expect(both).toMatchObject({ authLevel: 'NetOps', networkId: 1, mailboxId: 0 });
  });

  test.each<[string, object, RegExp]>([
    ['no level', { userId: 12345 }, /^authLevel /],
    ['a level that is none', { userId: 12345, authLevel: 'Boss' }, /^authLevel /],
    ['a level as a number', { userId: 12345, authLevel: 0 }, /^authLevel /],
    ['no user', { authLevel: 'General' }, /^userId /],
    ['a network that does not exist', { userId: 12345, authLevel: 'NoChange', networkId: 98 }, /^networkId /],
  ])('%s is 400 that names the field', async (_, body, message) => {
    expectRefusal(await post('/v2/users/role', body), 400, 'InvalidParameter', message);
  });
});

describe('6.7 POST /v2/users/set-network-mailbox', () => {
  test('a new network without a mailbox has none; a mailbox alone moves within the network; 0 leaves the mailbox', async () => {
    const user = await everywhere();
    const move = async (body: object) =>
      (await post('/v2/users/set-network-mailbox', { userId: user.id, ...body })).body.data;
    expect(await move({ networkId: 100 })).toMatchObject({ networkId: 100, mailboxId: 0 });
    expect(await move({ mailboxId: 200 })).toMatchObject({ networkId: 100, mailboxId: 200 });
    expect(await move({ networkId: 100 })).toMatchObject({ networkId: 100, mailboxId: 200 });
    expect(await move({})).toMatchObject({ networkId: 100, mailboxId: 200 });
    expect(await move({ mailboxId: 0 })).toMatchObject({ networkId: 100, mailboxId: 0 });
    expect(await move({ networkId: 1, mailboxId: 101 })).toMatchObject({ networkId: 1, mailboxId: 101 });
  });

  test.each<[string, object, RegExp]>([
    ['a network that does not exist', { userId: 12345, networkId: 98 }, /^networkId /],
    ['the network 0', { userId: 12345, networkId: 0 }, /^networkId /],
    ['a mailbox of another network', { userId: 12345, mailboxId: 101 }, /^mailboxId /],
    ['a new network with the old mailbox', { userId: 12345, networkId: 1, mailboxId: 200 }, /^mailboxId /],
    ['no user', { networkId: 1 }, /^userId /],
    ['a network null', { userId: 12345, networkId: null }, /^networkId /],
  ])('%s is 400 that names the field, and nobody moves', async (_, body, message) => {
    expectRefusal(await post('/v2/users/set-network-mailbox', body), 400, 'InvalidParameter', message);
    const { body: shown } = await rest(server, 'GET', '/v2/users/12345', { headers: root });
    expect(shown.data).toMatchObject({ networkId: 100, mailboxId: 200 });
  });
});

describe('6.7 after a password was set by an administrator', () => {
  test('the wrong field is 400, and a bearer of the old time never returns', async () => {
    const user = await everywhere();
    expectRefusal(await post('/v2/users/password', { userId: user.id }), 400, 'InvalidParameter', /^newPassword /);
    expectRefusal(await post('/v2/users/password', { newPassword }), 400, 'InvalidParameter', /^userId /);
    expect(await user.states()).toEqual(allLive);
    await post('/v2/users/password', { userId: user.id, newPassword });
    expectBadBearer(await rest(server, 'POST', '/v2/auth/refresh', { body: { token: user.token } }));
  });
});
