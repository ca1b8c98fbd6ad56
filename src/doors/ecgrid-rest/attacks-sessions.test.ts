import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import {
  apiKey,
  bearer,
  type EcgridAnswer,
  expectBadBearer,
  login,
  refresh,
  rest,
  session,
} from '../../../tests/support/ecgrid.ts';
import { doorsOf, tokenOf } from '../../../tests/support/http.ts';
import { engines, exampleSeconds, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call as callSoap, soapLogin } from '../../../tests/support/soap.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

const { john, admin } = demoUsers;
const hour = 3600;
let server: TestServer;
beforeEach(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000' } });
});
afterEach(() => server.close());

const logout = (headers: Readonly<Record<string, string>>) => rest(server, 'POST', '/v2/auth/logout', { headers });
const status = async (token: string) => (await session(server, bearer(token))).status;

describe('attacks S: endings', () => {
  test('S01 S02 S03: a logout ends its own session on every door, once, and no other', async () => {
    const [token, other] = [(await login(server, john)).token, (await login(server, john)).token];
    const soap = await soapLogin(server, john);
    expect((await logout(bearer(token))).text).toBe(
      '{"success":true,"data":null,"errorCode":"","message":"Session terminated."}',
    );
    expectBadBearer(await logout(bearer(token)));
    expectBadBearer(await session(server, bearer(token)));
    expect((await doorsOf(server.url).webSession(token)).status).toBe(401);
    expect((await callSoap(server, 'SessionInfo', { SessionID: token })).status).toBe(500);
    expect(await status(other)).toBe(200);
    expect((await callSoap(server, 'SessionInfo', { SessionID: soap })).status).toBe(200);
  });

  test('S01: a session of this door can be ended at the web door, and one of that door here', async () => {
    const doors = doorsOf(server.url);
    const { token } = await login(server, john);
    expect((await doors.webLogout(token)).status).toBe(200);
    expectBadBearer(await session(server, bearer(token)));
    const web = tokenOf(await doors.webLogin(john.login, john.password));
    expect((await logout(bearer(web))).status).toBe(200);
    expect((await doors.webSession(web)).status).toBe(401);
  });

  test('K16: a logout by key ends nothing, and with a good bearer beside it the session', async () => {
    const { token } = await login(server, john);
    expect((await logout(apiKey(demoKey))).body).toMatchObject({ data: null, message: 'Session terminated.' });
    expect([(await session(server, apiKey(demoKey))).status, await status(token)]).toEqual([200, 200]);
    expect((await logout({ ...apiKey(demoKey), ...bearer(token) })).status).toBe(200);
    expect([(await session(server, apiKey(demoKey))).status, await status(token)]).toEqual([200, 401]);
  });

  test.each([
    [
      'deleted and made anew',
      async (id: number, headers: Readonly<Record<string, string>>) => {
        await rest(server, 'DELETE', `/v2/users/${id}`, { headers });
        await addUser(server, { login: 'phoenix' });
      },
    ],
    [
      'suspended and restored',
      async (id: number) => {
        await setUserStatus(server, id, 'Suspended');
        await setUserStatus(server, id, 'Active');
      },
    ],
  ] as const)('S08: a token of a user who was %s stays dead', async (_, act) => {
    const id = await addUser(server, { login: 'phoenix' });
    const { token } = await login(server, { login: 'phoenix', password: testPassword });
    await act(id, bearer((await login(server, admin)).token));
    expectBadBearer(await session(server, bearer(token)));
    expectBadBearer(await rest(server, 'POST', '/v2/auth/refresh', { body: { token } }));
  });
});

describe('attacks S: edges of time', () => {
  test('S09: a token counts to the second before its exp, and its session is over with it', async () => {
    const { token } = await login(server, john);
    server.clock.advance(hour - 1);
    expect(await status(token)).toBe(200);
    server.clock.advance(1);
    expectBadBearer(await session(server, bearer(token)));
    expectBadBearer(await rest(server, 'POST', '/v2/auth/refresh', { body: { token } }));
  });

  test('S09: a session of the web door keeps its idle limit here, and each use counts for it', async () => {
    const web = tokenOf(await doorsOf(server.url).webLogin(john.login, john.password));
    server.clock.advance(hour - 1);
    const used = await session(server, bearer(web));
    expect(used.body.data).toMatchObject({ expiresAt: '2026-05-07T19:29:59Z' });
    server.clock.advance(hour - 1);
    expect(await status(web)).toBe(200);
    server.clock.advance(hour);
    expect(await status(web)).toBe(401);
  });

  test('S10: no refresh leads past 12 hours after the login; there the session ends to the second', async () => {
    let { token, expiresAt } = await login(server, john);
    for (let step = 0; step < 15; step += 1) {
      server.clock.advance(3000);
      const answer = await rest(server, 'POST', '/v2/auth/refresh', { body: { token } });
      if (answer.status !== 200) break;
      ({ token, expiresAt } = answer.body.data as { token: string; expiresAt: string });
      expect(Date.parse(expiresAt) / 1000).toBeLessThanOrEqual(exampleSeconds + 12 * hour);
    }
    expect(expiresAt).toBe('2026-05-08T05:30:00Z');
    server.clock.nowMs = (exampleSeconds + 12 * hour - 1) * 1000;
    expect(await status(token)).toBe(200);
    server.clock.advance(1);
    expectBadBearer(await session(server, bearer(token)));
    expectBadBearer(await rest(server, 'POST', '/v2/auth/refresh', { body: { token } }));
  });

  test('S23: a clock that is set back revives nothing that was ended', async () => {
    const { token } = await login(server, john);
    const rotated = (await login(server, john)).token;
    await refresh(server, rotated);
    await logout(bearer(token));
    server.clock.advance(-2 * hour);
    expectBadBearer(await session(server, bearer(token)));
    expectBadBearer(await session(server, bearer(rotated)));
  });

  test('S21: of 101 sessions the oldest has ended, and no other', async () => {
    const tokens: string[] = [];
    for (let count = 0; count < 101; count += 1) {
      tokens.push((await login(server, john)).token);
      server.clock.advance(1);
    }
    const states = await Promise.all(tokens.map(status));
    expect(states[0]).toBe(401);
    expect(new Set(states.slice(1))).toEqual(new Set([200]));
  });
});

describe.each(engines.map((engine) => [engine]))('attacks S: races on %s, 100 of each', (engine) => {
  let own: TestServer;
  beforeAll(async () => {
    own = await startTestServer({
      engine,
      settings: {
        CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000',
        // A login that comes too late is a failed one.
        CARDEA_THROTTLE_FREE_TRIES: '100',
        CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
        CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
      },
    });
  }, 30_000);
  afterAll(() => own.close());
  const post = (path: string, call: object) => rest(own, 'POST', path, call);
  const live = async (token: string) => (await session(own, bearer(token))).status === 200;
  const dataOf = ({ body }: EcgridAnswer) => body.data as { token: string };

  test('S14 login and reset: whatever signed in before the reset was acknowledged is over, or came after it', async () => {
    const root = bearer((await login(own, admin)).token);
    for (let round = 0; round < 100; round += 1) {
      const before = (await login(own, john)).token;
      const [signedIn, reset] = await Promise.all([
        post('/v2/auth/login', { body: { login: john.login, password: john.password } }),
        post('/v2/users/reset/4821', { headers: root }),
      ]);
      expect(reset.status).toBe(200);
      expect(await live(before)).toBe(false);
      expect([200, 401]).toContain(signedIn.status);
      await post('/v2/users/reset/4821', { headers: root });
      if (signedIn.status === 200) expect(await live(dataOf(signedIn).token)).toBe(false);
    }
  }, 60_000);

  test('S15 refresh and logout: after both neither the old nor the new token lives', async () => {
    for (let round = 0; round < 100; round += 1) {
      const { token } = await login(own, john);
      const [refreshed, ended] = await Promise.all([
        post('/v2/auth/refresh', { body: { token } }),
        post('/v2/auth/logout', { headers: bearer(token) }),
      ]);
      expect(await live(token)).toBe(false);
      // A logout that was acknowledged ended the session, so that no successor survives it.
      if (ended.status === 200 && refreshed.status === 200) expect(await live(dataOf(refreshed).token)).toBe(false);
      if (ended.status !== 200) expectBadBearer(ended);
    }
  }, 60_000);

  test('L19 password change and login with the old one: after the acknowledgement the old one never works', async () => {
    const id = await addUser(own, { login: 'changer' });
    const root = bearer((await login(own, admin)).token);
    let [old, next] = [testPassword, 'nine herons on a pond'];
    for (let round = 0; round < 100; round += 1) {
      const change = { userId: id, newPassword: next };
      const [signedIn, changed] = await Promise.all([
        post('/v2/auth/login', { body: { login: 'changer', password: old } }),
        post('/v2/users/password', { headers: root, body: change }),
      ]);
      expect(changed.status).toBe(200);
      if (signedIn.status === 200) expect(await live(dataOf(signedIn).token)).toBe(false);
      else expect(signedIn.status).toBe(401);
      [old, next] = [next, old];
    }
  }, 60_000);

  test('L20 suspension and login: after the acknowledgement nobody is signed in', async () => {
    const id = await addUser(own, { login: 'halted' });
    for (let round = 0; round < 100; round += 1) {
      const [signedIn] = await Promise.all([
        post('/v2/auth/login', { body: { login: 'halted', password: testPassword } }),
        setUserStatus(own, id, 'Suspended'),
      ]);
      if (signedIn.status === 200) expect(await live(dataOf(signedIn).token)).toBe(false);
      await setUserStatus(own, id, 'Active');
      if (signedIn.status === 200) expect(await live(dataOf(signedIn).token)).toBe(false);
    }
  }, 60_000);
});
