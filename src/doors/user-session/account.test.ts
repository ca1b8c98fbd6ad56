import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
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
import { demoUsers } from '../../cli/demo-data.ts';

const { john } = demoUsers;

let server: TestServer;
let token: string;
beforeAll(async () => {
  server = await startTestServer();
  token = (await signIn(server, john)).token;
});
afterAll(() => server.close());

const choose = (value: string) => session(server, { ...bearer(token), 'x-account-id': value });

describe('[7] x-account-id', () => {
  test('an own second account becomes the current one, and no other byte changes', async () => {
    const plain = (await session(server, bearer(token))).text;
    const chosen = await choose('7');
    expect(chosen.status).toBe(200);
    expect(chosen.text).not.toBe(plain);
    expect(chosen.text).toBe(plain.replace('"currentAccountId":"1"', '"currentAccountId":"7"'));
  });

  test('nothing is remembered for the next request', async () => {
    await choose('7');
    expect(sessionOf(await session(server, bearer(token))).currentAccountId).toBe('1');
  });

  test.each(['', 'null', 'undefined', '1'])('%p means the primary account', async (value) => {
    expect((await choose(value)).text).toBe((await session(server, bearer(token))).text);
  });

  test('the name of the header counts in any letter case', async () => {
    const answer = await session(server, { ...bearer(token), 'X-Account-ID': '7' });
    expect(sessionOf(answer).currentAccountId).toBe('7');
  });

  test.each([
    ["somebody else's (S16)", '100'],
    ['unknown', '99'],
    ['a path', '../1'],
    ['1 KB', '1'.repeat(1024)],
    ['10 KB (H18)', 'x'.repeat(10_000)],
    ['zero (S05)', '0'],
    ['negative (S05)', '-1'],
    ['a leading zero (S05)', '01'],
    ['signed (S05)', '+1'],
    ['exponent (S05)', '1e0'],
    ['hexadecimal (S05)', '0x1'],
    ['a fraction (S05)', '1.0'],
    ['2^31 (S05)', '2147483648'],
    ['2^53+1 (S05)', '9007199254740993'],
    ['a statement (S05)', '1;drop table users'],
    ['percent-encoded (S05)', '%31'],
    ['NULL', 'NULL'],
    ['two values', '1, 7'],
    ['the name of an account', 'Example Trading'],
    ['a pattern', '%'],
    ['Latin-1 (H18)', '\u00b9'],
    ['__proto__', '__proto__'],
  ])('%s: 403, in equal bytes, and nothing of it comes back', async (_, value) => {
    const answer = await choose(value);
    expectRefusal(answer, 403, messages.account);
    expect(comparable(answer)).toEqual(comparable(await choose('424242')));
    expect(JSON.stringify([...answer.headers])).not.toContain(value.length > 8 ? value : '424242');
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test('sent twice it is no account of the user', async () => {
    const head = ['GET /auth/session HTTP/1.1', `Authorization: Bearer ${token}`, 'x-account-id: 7', 'x-account-id: 7'];
    expectRefusal(await webRaw(server, head), 403, messages.account);
  });

  test('with a dead token it is 401 before the account is judged', async () => {
    const dead = await signIn(server, john);
    await logout(server, bearer(dead.token));
    for (const value of ['7', '100', '../1']) {
      expectSignedOut(await session(server, { ...bearer(dead.token), 'x-account-id': value }), 'presented');
      expectSignedOut(await session(server, { 'x-account-id': value }), 'nothing');
    }
  });

  test('HEAD judges it as GET does', async () => {
    const head = (value: string) =>
      web(server, 'HEAD', '/auth/session', { headers: { ...bearer(token), 'x-account-id': value } });
    expect((await head('7')).status).toBe(200);
    expect((await head('100')).status).toBe(403);
  });

  test('on login and logout it has no effect: a stale value never blocks signing in or out', async () => {
    const stale = { 'x-account-id': '100' };
    const login = await postLogin(server, { email: john.login, password: john.password }, stale);
    const opened = sessionOf(login);
    expect(opened.currentAccountId).toBe('1');
    const chosen = await postLogin(server, { email: john.login, password: john.password }, { 'x-account-id': '7' });
    expect(sessionOf(chosen).currentAccountId).toBe('1');
    expect((await logout(server, { ...bearer(opened.token), ...stale })).text).toBe('{"success":true}');
  });

  test('S16: an account named in a login body chooses nothing', async () => {
    const body = { email: john.login, password: john.password, accountId: '100', currentAccountId: '7', roles: ['x'] };
    const opened = sessionOf(await postLogin(server, body));
    expect(opened).toMatchObject({ currentAccountId: '1', flatRolesList: ['agent', 'user'] });
  });
});
