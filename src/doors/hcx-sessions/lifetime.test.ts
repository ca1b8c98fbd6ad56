import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  adminPath,
  basic,
  byToken,
  dataOf,
  endSession,
  expectError,
  getSession,
  hcx,
  hybridityPath,
  openJwt,
  patient,
  refusals,
  signIn,
} from '../../../tests/support/hcx.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';
import { setUserRoles } from '../../core/index.ts';

const { admin, john } = demoUsers;
const minute = 60;
const facts = { actorId: null, caller: { address: 'local', userAgent: 'test', requestId: 'test' } };

describe.each(engines.map((engine) => [engine]))('a session of this door on %s', (engine) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ engine, settings: patient });
  }, 30_000);
  afterAll(() => server.close());

  const isLive = async (token: string) => {
    const answer = await getSession(server, byToken(token));
    if (answer.status !== 200) expectError(answer, ...refusals.noContext);
    return answer.status === 200;
  };

  test('[9] DELETE ends it for good: four members, then 401 for GET and DELETE; others of the user go on', async () => {
    const ended = await signIn(server, admin);
    const other = await signIn(server, admin);
    const answer = await endSession(server, byToken(ended));
    expect(answer.status).toBe(200);
    const time = server.clock.nowMs;
    expect(answer.text).toBe(`{"success":true,"completed":true,"time":${time},"version":"1.0"}`);
    expect(await isLive(ended)).toBe(false);
    expectError(await endSession(server, byToken(ended)), ...refusals.noSession);
    expect(await isLive(other)).toBe(true);
    expect((await endSession(server, { authorization: other })).status).toBe(200);
    expect(await isLive(other)).toBe(false);
  });

  test('[9] DELETE with Basic is 401, and the password is not looked at: no hash, no failure counted', async () => {
    const before = server.core.hasher.evaluated();
    const counters = () => server.core.store.lists.selectFrom('throttle').selectAll().execute();
    const counted = await counters();
    for (const who of [admin, { ...admin, password: 'wrong' }, { login: 'nobody', password: 'x' }]) {
      expectError(await endSession(server, basic(who)), ...refusals.noSession);
    }
    expectError(await endSession(server, {}), ...refusals.noSession);
    expect(server.core.hasher.evaluated()).toBe(before);
    expect(await counters()).toEqual(counted);
  });

  test.each(['rest', 'web'] as const)('[9] DELETE with a JWT of the %s door ends it on every door', async (door) => {
    const jwt = await openJwt(server, door, john);
    const headers = { Authorization: `Bearer ${jwt}` };
    expect((await endSession(server, { authorization: headers.Authorization })).status).toBe(200);
    expect((await getSession(server, { authorization: headers.Authorization })).status).toBe(401);
    expect((await fetch(`${server.url}/auth/session`, { headers })).status).toBe(401);
    expect((await fetch(`${server.url}/v2/auth/session`, { method: 'POST', headers })).status).toBe(401);
  });

  test('[21] a token of either listener works at the other, for GET and DELETE', async () => {
    for (const path of [adminPath, hybridityPath]) {
      const token = await signIn(server, admin, path);
      for (const origin of [server.httpsUrl, server.url]) {
        expect((await hcx(origin, 'GET', adminPath, { headers: byToken(token) })).status).toBe(200);
      }
      const away = path === adminPath ? server.url : server.httpsUrl;
      expect((await hcx(away, 'DELETE', adminPath, { headers: byToken(token) })).status).toBe(200);
      expect(await isLive(token)).toBe(false);
    }
  });

  test('[21] idle limits: 15 min after the web path, alive at 13; 60 min after the appliance path, alive at 58', async () => {
    for (const [path, alive, dead] of [
      [hybridityPath, 13, 15],
      [adminPath, 58, 60],
    ] as const) {
      const token = await signIn(server, admin, path);
      server.clock.advance(alive * minute);
      expect(await isLive(token)).toBe(true);
      // Use has moved the limit.
      server.clock.advance(alive * minute);
      expect(await isLive(token)).toBe(true);
      server.clock.advance(dead * minute);
      expect(await isLive(token)).toBe(false);
      expectError(await endSession(server, byToken(token)), ...refusals.noSession);
    }
  });

  test('[21] twelve hours after the login both are dead in spite of use', async () => {
    const tokens = [await signIn(server, admin), await signIn(server, admin, hybridityPath)];
    for (let quarter = 0; quarter < 59; quarter += 1) {
      server.clock.advance(12 * minute);
      for (const token of tokens) expect(await isLive(token)).toBe(true);
    }
    server.clock.advance(12 * minute - 1);
    for (const token of tokens) expect(await isLive(token)).toBe(true);
    server.clock.advance(1);
    for (const token of tokens) expect(await isLive(token)).toBe(false);
  });

  test('[23] a role granted or withdrawn shows in the next GET, in order of assignment', async () => {
    const id = await addUser(server, { login: 'promoted' });
    const token = await signIn(server, { login: 'promoted', password: testPassword });
    const roles = async () =>
      dataOf<{ user: { roles: string[] } }>(await getSession(server, byToken(token))).user.roles;
    expect(await roles()).toEqual([]);
    await setUserRoles(server.core, id, ['System Administrator', 'Appliance Administrator'], facts);
    expect(await roles()).toEqual(['System Administrator', 'Appliance Administrator']);
    await setUserRoles(server.core, id, ['Appliance Administrator'], facts);
    expect(await roles()).toEqual(['Appliance Administrator']);
  });

  test('[23] a disabled user is signed out by the next GET, and stays so when enabled again', async () => {
    const id = await addUser(server, { login: 'dismissed' });
    const token = await signIn(server, { login: 'dismissed', password: testPassword });
    await setUserStatus(server, id, 'Suspended');
    expect(await isLive(token)).toBe(false);
    await setUserStatus(server, id, 'Active');
    expect(await isLive(token)).toBe(false);
  });

  test('a restart keeps live sessions live and ended ones ended', async () => {
    const live = await signIn(server, admin);
    const ended = await signIn(server, admin);
    await endSession(server, byToken(ended));
    server = await server.restart();
    expect(await isLive(live)).toBe(true);
    expect(await isLive(ended)).toBe(false);
  });
});
