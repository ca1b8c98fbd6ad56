import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { countStoreReads } from '../../../tests/support/store-reads.ts';
import {
  bearer,
  endedCookie,
  expectRefusal,
  expectSignedOut,
  logout,
  messages,
  postLogin,
  type Sent,
  session,
  sessionOf,
  signIn,
  type WebAnswer,
  web,
} from '../../../tests/support/user-session.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import example from './fixtures/login-response.json';

const { john, soap } = demoUsers;
const johnsBody = { email: john.login, password: john.password };
const own = { 'Sec-Fetch-Site': 'same-origin' };
const listed = 'https://app.example.com';
const settings = { CARDEA_USER_SESSION_COOKIE: 'true', CARDEA_CORS_ORIGINS: listed };
const done = '{"success":true}';

function secretOf(answer: WebAnswer): string {
  const secret = /^__Host-cardea=([^;]+);/.exec(answer.headers.get('set-cookie') ?? '')?.[1];
  expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
  return secret ?? '';
}

const cookie = (secret: string) => ({ Cookie: `__Host-cardea=${secret}` });

/** A refused cookie is taken away from the browser. */
function expectCookieRefused(answer: WebAnswer): void {
  expectSignedOut(answer, 'nothing');
  expect(answer.headers.get('set-cookie')).toBe(endedCookie);
}

describe('[16] cookie mode off', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.close());

  test('a login that asks for a cookie is 400 and opens nothing; "cookie": false is a bearer login', async () => {
    expectRefusal(await postLogin(server, { ...johnsBody, cookie: true }, own), 400, messages.cookieOff);
    const answer = await postLogin(server, { ...johnsBody, cookie: false });
    expect(sessionOf(answer).token).not.toBe('');
    expect(answer.headers.has('set-cookie')).toBe(false);
  });

  test('cookies have no effect, and none is ever set', async () => {
    const reads = countStoreReads(server);
    const answers = [await session(server, cookie('A'.repeat(43))), await logout(server, cookie('A'.repeat(43)))];
    expect(reads.stop()).toBe(0);
    for (const answer of answers) {
      expectSignedOut(answer, 'nothing');
      expect(answer.headers.has('set-cookie')).toBe(false);
    }
  });
});

describe.each(engines.map((engine) => [engine]))('cookie mode on %s', (engine) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ engine, settings });
  }, 30_000);
  afterAll(() => server.close());

  const open = async (headers: Sent = own) =>
    secretOf(await postLogin(server, { ...johnsBody, cookie: true }, headers));

  test('[16] the login sets the documented cookie; the body has an empty token and is that of GET', async () => {
    const login = await postLogin(server, { ...johnsBody, cookie: true }, own);
    const secret = secretOf(login);
    expect(login.headers.get('set-cookie')).toBe(
      `__Host-cardea=${secret}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=43200`,
    );
    expect(login.text).toBe(JSON.stringify({ ...example, token: '', expiresAt: '2026-05-07T18:30:00.000Z' }));
    const answer = await session(server, cookie(secret));
    expect(answer.text).toBe(login.text);
    expect(answer.headers.has('set-cookie')).toBe(false);
    expect(answer.text).not.toContain(secret);
    expect(sessionOf(await session(server, { ...cookie(secret), 'x-account-id': '7' })).currentAccountId).toBe('7');
    expect((await web(server, 'HEAD', '/auth/session', { headers: cookie(secret) })).status).toBe(200);
  });

  test('[16] without the member a login is a bearer login, and sets no cookie', async () => {
    const answer = await postLogin(server, johnsBody, own);
    expect(sessionOf(answer).token).not.toBe('');
    expect(answer.headers.has('set-cookie')).toBe(false);
  });

  test('[16] an API key opens a cookie session too', async () => {
    const login = await postLogin(server, { apiKey: 'apiKey-4821', apiSecret: demoKey, cookie: true }, own);
    expect(sessionOf(await session(server, cookie(secretOf(login)))).id).toBe(4821);
  });

  test('the store holds a digest of the secret, never the secret', async () => {
    const secret = await open();
    const rows = await server.core.store.db.selectFrom('sessions').selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(secret);
  });

  const foreign: [string, Sent][] = [
    ['cross-site', { 'Sec-Fetch-Site': 'cross-site' }],
    ['same-site of another origin', { 'Sec-Fetch-Site': 'same-site', Origin: 'https://evil.example.com' }],
    ['a foreign origin', { Origin: 'https://evil.test' }],
    ['the null origin', { Origin: 'null' }],
    ['an origin that begins like ours', { Origin: 'https://auth.example.com.evil.test' }],
    ['our origin over http', { Origin: 'http://auth.example.com' }],
    ['our origin with another port', { Origin: 'https://auth.example.com:8443' }],
    ['an origin equal to Host alone', { Origin: 'https://evil.test', Host: 'evil.test' }],
    ['neither header', {}],
    ['an invented word', { 'Sec-Fetch-Site': 'SAME-ORIGIN ' }],
  ];
  test.each(foreign)('[16] S17: logout and cookie login with %s are 403, and the session lives', async (_, headers) => {
    const secret = await open();
    const answer = await logout(server, { ...cookie(secret), ...headers });
    expectRefusal(answer, 403, messages.site);
    expect(answer.headers.has('set-cookie')).toBe(false);
    const before = server.core.hasher.evaluated();
    const login = await postLogin(server, { ...johnsBody, cookie: true }, { ...cookie(secret), ...headers });
    expectRefusal(login, 403, messages.site);
    expect(login.headers.has('set-cookie')).toBe(false);
    expect(server.core.hasher.evaluated()).toBe(before);
    expect((await session(server, { ...cookie(secret), ...headers })).status).toBe(200);
  });

  const home: [string, Sent][] = [
    ['same-origin', own],
    ['none, as from the address bar', { 'Sec-Fetch-Site': 'none' }],
    ['the public origin', { Origin: 'https://auth.example.com' }],
    ['a listed origin', { Origin: listed, 'Sec-Fetch-Site': 'cross-site' }],
  ];
  test.each(home)('[16] with %s both pass, and the logout takes the cookie away', async (_, headers) => {
    const secret = await open(headers);
    const answer = await logout(server, { ...cookie(secret), ...headers });
    expect(answer.text).toBe(done);
    expect(answer.headers.get('set-cookie')).toBe(endedCookie);
    expectCookieRefused(await session(server, cookie(secret)));
    expectCookieRefused(await logout(server, { ...cookie(secret), ...headers }));
  });

  test('[16] beside a cookie the Bearer decides: a bad one is 401, and a logout by it asks for no origin', async () => {
    const secret = await open();
    const { token } = await signIn(server, soap);
    expect(sessionOf(await session(server, { ...cookie(secret), ...bearer(token) }))).toMatchObject({
      id: soap.id,
      token,
    });
    const refused = await session(server, { ...cookie(secret), ...bearer(`${token}x`) });
    expectSignedOut(refused, 'presented');
    expect(refused.headers.has('set-cookie')).toBe(false);
    expectSignedOut(await session(server, { ...cookie(secret), Authorization: 'Bearer null' }), 'nothing');
    const answer = await logout(server, { ...cookie(secret), ...bearer(token) });
    expect(answer.text).toBe(done);
    expect(answer.headers.has('set-cookie')).toBe(false);
    expect(sessionOf(await session(server, cookie(secret))).id).toBe(john.id);
  });

  test('[17] K13: a cookie set before the login is not adopted', async () => {
    const chosen = 'A'.repeat(43);
    const secret = await open({ ...own, ...cookie(chosen) });
    expect(secret).not.toBe(chosen);
    expectCookieRefused(await session(server, cookie(chosen)));
  });

  test('[17] a live cookie that comes with a login is dead after it, whoever it belongs to', async () => {
    const first = await open();
    const second = await open({ ...own, ...cookie(first) });
    expectCookieRefused(await session(server, cookie(first)));
    const third = secretOf(
      await postLogin(
        server,
        { email: soap.login, password: soap.password, cookie: true },
        {
          ...own,
          ...cookie(second),
        },
      ),
    );
    expectCookieRefused(await session(server, cookie(second)));
    expect(sessionOf(await session(server, cookie(third))).id).toBe(soap.id);
  });

  test('[17] a refused login ends nothing', async () => {
    const secret = await open();
    const wrong = { email: john.login, password: 'wrong', cookie: true };
    expectRefusal(await postLogin(server, wrong, { ...own, ...cookie(secret) }), 401, messages.refused);
    expect((await session(server, cookie(secret))).status).toBe(200);
  });

  const bad: [string, (secret: string) => string][] = [
    ['two of the name', (secret) => `__Host-cardea=${secret}; __Host-cardea=${secret}`],
    ['a good and an empty one', (secret) => `__Host-cardea=; __Host-cardea=${secret}`],
    ['quotes', (secret) => `__Host-cardea="${secret}"`],
    ['8 KB', (secret) => `__Host-cardea=${secret}${'A'.repeat(8_192)}`],
    ['padding', (secret) => `__Host-cardea=${secret}=`],
    ['one character less', (secret) => `__Host-cardea=${secret.slice(0, -1)}`],
    ['another last character', (secret) => `__Host-cardea=${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`],
    ['no value', () => '__Host-cardea='],
  ];
  test.each(bad)('[17] K12: %s: 401, and the cookie is taken away', async (_, write) => {
    const secret = await open();
    expectCookieRefused(await session(server, { Cookie: write(secret) }));
    expectCookieRefused(await logout(server, { Cookie: write(secret), ...own }));
    expect((await session(server, cookie(secret))).status).toBe(200);
  });

  test.each<[string, (secret: string) => string]>([
    ['the name in other case', (secret) => `__host-CARDEA=${secret}`],
    ['the name without its prefix', (secret) => `cardea=${secret}`],
    ['a name that ends like it', (secret) => `x__Host-cardea=${secret}`],
  ])('K12: %s is no cookie of ours', async (_, write) => {
    const secret = await open();
    const answer = await session(server, { Cookie: write(secret) });
    expectSignedOut(answer, 'nothing');
    expect(answer.headers.has('set-cookie')).toBe(false);
  });

  test('K12: other cookies around it do not matter', async () => {
    const secret = await open();
    const around = { Cookie: `a=b; __Host-cardea=${secret}; c="d; e"; cardea=x` };
    expect((await session(server, around)).status).toBe(200);
  });

  test('J26: a cookie secret is no bearer, and a token is no cookie', async () => {
    const secret = await open();
    const { token } = await signIn(server, john);
    expectSignedOut(await session(server, bearer(secret)), 'presented');
    expectCookieRefused(await session(server, cookie(token)));
  });

  test('Max-Age is the time that is left until the absolute limit, and the idle limit holds as for a bearer', async () => {
    const secret = await open();
    server.clock.advance(3_599);
    expect((await session(server, cookie(secret))).status).toBe(200);
    server.clock.advance(3_600);
    expectCookieRefused(await session(server, cookie(secret)));
  });
});
