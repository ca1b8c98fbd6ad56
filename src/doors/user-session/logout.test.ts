import { change } from '../../core/change.ts';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { rest } from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import {
  bearer,
  comparable,
  expectRefusal,
  expectSignedOut,
  logout,
  messages,
  postLogin,
  session,
  sessionOf,
  signIn,
  web,
  webRaw,
} from '../../../tests/support/user-session.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

const { john } = demoUsers;
const done = '{"success":true}';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

describe('[12] logout', () => {
  test.each<[string, { headers?: Record<string, string>; rawBody?: string | Uint8Array }]>([
    ['no body', {}],
    ['{}', { headers: { 'Content-Type': 'application/json' }, rawBody: '{}' }],
    ['broken JSON', { headers: { 'Content-Type': 'application/json' }, rawBody: '{"a' }],
    ['text', { headers: { 'Content-Type': 'text/plain' }, rawBody: 'good bye' }],
    ['a form', { headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, rawBody: 'a=b&c=%zz' }],
    ['bytes without a type', { rawBody: new Uint8Array([0, 255, 254]) }],
    ['16 KiB', { rawBody: 'x'.repeat(16_384) }],
  ])('S01, S02: with %s it ends the session; GET and logout afterwards are 401', async (_, call) => {
    const { token } = await signIn(server, john);
    const answer = await web(server, 'POST', '/auth/logout', {
      ...call,
      headers: { ...call.headers, ...bearer(token) },
    });
    expect(answer).toMatchObject({ status: 200, text: done });
    expectSignedOut(await session(server, bearer(token)), 'presented');
    expectSignedOut(await logout(server, bearer(token)), 'presented');
    expect((await rest(server, 'POST', '/v2/auth/session', { headers: bearer(token) })).status).toBe(401);
    expect((await rest(server, 'POST', '/v2/auth/refresh', { body: { token } })).status).toBe(401);
  });

  test('with content-length: 0 and no type, as one library sends it', async () => {
    const { token } = await signIn(server, john);
    const head = ['POST /auth/logout HTTP/1.1', `Authorization: Bearer ${token}`, 'Content-Length: 0'];
    expect(await webRaw(server, head)).toMatchObject({ status: 200, text: done });
    expectSignedOut(await webRaw(server, head), 'presented');
  });

  test('B10: a body over 16 KiB is 413, declared or not, and the session lives', async () => {
    const { token } = await signIn(server, john);
    const body = 'x'.repeat(16_385);
    const headers = bearer(token);
    expectRefusal(await web(server, 'POST', '/auth/logout', { headers, rawBody: body }), 413, messages.tooLarge);
    const head = ['POST /auth/logout HTTP/1.1', `Authorization: Bearer ${token}`, 'Transfer-Encoding: chunked'];
    expectRefusal(await webRaw(server, head, `4001\r\n${body}\r\n0\r\n\r\n`), 413, messages.tooLarge);
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test('S03: other sessions of the user live on', async () => {
    const [one, other] = [await signIn(server, john), await signIn(server, john)];
    expect((await logout(server, bearer(one.token))).status).toBe(200);
    expectSignedOut(await session(server, bearer(one.token)), 'presented');
    expect((await session(server, bearer(other.token))).status).toBe(200);
  });

  test('K16: the API key that signed in still signs in', async () => {
    const pair = { apiKey: 'apiKey-4821', apiSecret: demoKey };
    const { token } = sessionOf(await postLogin(server, pair));
    expect((await logout(server, bearer(token))).text).toBe(done);
    expectSignedOut(await session(server, bearer(token)), 'presented');
    expect((await postLogin(server, pair)).status).toBe(200);
  });

  test('without any credential it is 401 in the bytes of GET', async () => {
    expect(comparable(await logout(server, {}))).toEqual(comparable(await session(server, {})));
    const dead = bearer('dead');
    expect(comparable(await logout(server, dead))).toEqual(comparable(await session(server, dead)));
  });

  test('of two logouts at once exactly one is the end', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { token } = await signIn(server, john);
      const answers = await Promise.all([logout(server, bearer(token)), logout(server, bearer(token))]);
      expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 401]);
    }
  });
});

describe.each(engines.map((engine) => [engine]))('5.4 when another step is due, on %s', (engine) => {
  let own: TestServer;
  beforeAll(async () => {
    own = await startTestServer({ engine });
  }, 30_000);
  afterAll(() => own.close());

  const setDue = (id: number, due: number) =>
    change(own.core, (trx) =>
      trx.updateTable('users').set({ password_change_due: due }).where('id', '=', id).execute(),
    );
  const sessionsOf = (id: number) =>
    own.core.store.db.selectFrom('sessions').select('id').where('user_id', '=', id).execute();

  test('a right password is 403 and opens no session; a wrong one is 401 like any other', async () => {
    const id = await addUser(own, { login: 'due', passwordChangeDue: true });
    expectRefusal(await postLogin(own, { email: 'due', password: testPassword }), 403, messages.stepDue);
    expect(await sessionsOf(id)).toEqual([]);
    expectRefusal(await postLogin(own, { email: 'due', password: 'wrong' }), 401, messages.refused);
    await setDue(id, 0);
    expect((await postLogin(own, { email: 'due', password: testPassword })).status).toBe(200);
  });

  test('a session opened before is 403 at GET and HEAD whatever the account, and logout alone still works', async () => {
    const id = await addUser(own, { login: 'later-due' });
    const { token } = await signIn(own, { login: 'later-due', password: testPassword });
    await setDue(id, 1);
    expectRefusal(await session(own, bearer(token)), 403, messages.stepDue);
    expectRefusal(await session(own, { ...bearer(token), 'x-account-id': '99' }), 403, messages.stepDue);
    expect((await web(own, 'HEAD', '/auth/session', { headers: bearer(token) })).status).toBe(403);
    expect((await logout(own, bearer(token))).text).toBe(done);
    expectSignedOut(await session(own, bearer(token)), 'presented');
  });
});
