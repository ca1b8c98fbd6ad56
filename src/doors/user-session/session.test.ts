import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { rest } from '../../../tests/support/ecgrid.ts';
import { readClaims } from '../../../tests/support/jwt.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import {
  bearer,
  challenge,
  comparable,
  expectSignedOut,
  postLogin,
  session,
  sessionOf,
  signIn,
  web,
  webRaw,
} from '../../../tests/support/user-session.ts';
import { demoUsers } from '../../cli/demo-data.ts';
import example from './fixtures/login-response.json';

const { john, admin } = demoUsers;
const absoluteSeconds = 12 * 3600;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const johnsBody = { email: john.login, password: john.password };

describe('[1] login, then the session with its token', () => {
  test('at the same instant both bodies are the documented one, byte for byte but for token and end', async () => {
    const login = await postLogin(server, johnsBody);
    const { token } = sessionOf(login);
    expect(login.text).toBe(JSON.stringify({ ...example, token, expiresAt: '2026-05-07T18:30:00.000Z' }));
    const answer = await session(server, bearer(token));
    expect(answer.status).toBe(200);
    expect(answer.text).toBe(login.text);
  });

  test('the token is a JWT that lasts as long as the session may: there is no refresh here', async () => {
    const { token } = await signIn(server, john);
    const claims = readClaims(token);
    expect(Object.keys(claims)).toEqual(['iss', 'aud', 'sub', 'sid', 'jti', 'iat', 'exp']);
    expect(claims).toMatchObject({ iss: 'https://auth.example.com', aud: 'cardea', sub: '4821' });
    expect(Number(claims['exp']) - Number(claims['iat'])).toBe(absoluteSeconds);
  });

  test('every login opens a session of its own', async () => {
    const tokens = [(await signIn(server, john)).token, (await signIn(server, john)).token];
    expect(new Set(tokens).size).toBe(2);
    for (const token of tokens) expect(sessionOf(await session(server, bearer(token))).token).toBe(token);
  });

  test('the only members are the documented ones: no hash, no login name, nothing of other users', async () => {
    const text = (await session(server, bearer((await signIn(server, john)).token))).text;
    expect(text).not.toMatch(/argon|hash|passw|authLevel|HybridityAdmin|soapuser|F9E8D7C6/i);
  });
});

describe('[2] one token, every door', () => {
  test('a token of this door works at the ECGrid door, and theirs here', async () => {
    const { token } = await signIn(server, john);
    expect((await rest(server, 'POST', '/v2/auth/session', { headers: bearer(token) })).status).toBe(200);
    const login = await rest(server, 'POST', '/v2/auth/login', {
      body: { login: john.login, password: john.password },
    });
    const other = (login.body.data as { token: string }).token;
    const answer = sessionOf(await session(server, bearer(other)));
    expect(answer.token).toBe(other);
    // Sessions of another door keep that door's limits: 60 minutes from their login.
    expect(answer.expiresAt).toBe('2026-05-07T18:30:00.000Z');
  });

  test('a token rotated by refresh is dead here, its successor lives', async () => {
    const { token } = await signIn(server, john);
    const refreshed = await rest(server, 'POST', '/v2/auth/refresh', { body: { token } });
    expectSignedOut(await session(server, bearer(token)), 'presented');
    const successor = (refreshed.body.data as { token: string }).token;
    expect(sessionOf(await session(server, bearer(successor))).token).toBe(successor);
  });
});

describe('[4] where the token stands', () => {
  test.each(['bearer', 'BEARER', 'bEaReR'])('the scheme may be spelt %s', async (scheme) => {
    const { token } = await signIn(server, john);
    expect(sessionOf(await session(server, { Authorization: `${scheme} ${token}` })).token).toBe(token);
  });

  test('J24: in query, cookie or another header it is no credential', async () => {
    const { token } = await signIn(server, john);
    const answer = await web(server, 'GET', `/auth/session?token=${token}&access_token=${token}`, {
      headers: {
        Cookie: `token=${token}; auth.token=${token}; Authorization=Bearer ${token}; __Host-cardea=${token}`,
        'X-API-Key': token,
        'X-Auth-Token': token,
        'x-hm-authorization': token,
      },
    });
    expectSignedOut(answer, 'nothing');
  });

  test('J24: in the body of session and logout, or in a trailer, it is no credential', async () => {
    const { token } = await signIn(server, john);
    const body = JSON.stringify({ token, Authorization: `Bearer ${token}` });
    const head = ['Content-Type: application/json', `Content-Length: ${body.length}`];
    expectSignedOut(await webRaw(server, ['GET /auth/session HTTP/1.1', ...head], body), 'nothing');
    expectSignedOut(await webRaw(server, ['POST /auth/logout HTTP/1.1', ...head], body), 'nothing');
    const chunked = ['POST /auth/logout HTTP/1.1', 'Transfer-Encoding: chunked', 'Trailer: Authorization'];
    expectSignedOut(await webRaw(server, chunked, `0\r\nAuthorization: Bearer ${token}\r\n\r\n`), 'nothing');
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test('a body on GET is ignored, and so is the query', async () => {
    const { token } = await signIn(server, john);
    const head = [`GET /auth/session?x=1&token=null HTTP/1.1`, `Authorization: Bearer ${token}`, 'Content-Length: 4'];
    expect((await webRaw(server, head, '{"a"')).status).toBe(200);
  });
});

describe('[5] what is not known is left out', () => {
  test('a user whom the system made and changed: neither createdBy nor updatedBy', async () => {
    const answer = await signIn(server, admin);
    expect(answer).not.toHaveProperty('createdBy');
    expect(answer).not.toHaveProperty('updatedBy');
    expect(answer).toMatchObject({ id: 1, email: 'admin@example.com', currentAccountId: '1' });
  });

  test('a user without account: no primaryAccount, no currentAccountId, accounts []', async () => {
    const id = await addUser(server, { login: 'loner', email: 'loner@example.com' });
    const answer = await postLogin(server, { email: 'loner', password: testPassword });
    const { token } = sessionOf(answer);
    const now = '2026-05-07T17:30:00.000Z';
    expect(answer.text).toBe(
      JSON.stringify({
        id,
        email: 'loner@example.com',
        createdAt: now,
        updatedAt: now,
        accounts: [],
        flatRolesList: [],
        flatPermissionsList: [],
        token,
        active: true,
        impersonating: null,
        expiresAt: '2026-05-07T18:30:00.000Z',
      }),
    );
  });
});

describe('[14] HEAD', () => {
  test('S19: has the status and headers of GET, and no body', async () => {
    const { token } = await signIn(server, john);
    for (const headers of [bearer(token), bearer(`${token}x`), {}, { ...bearer(token), 'x-account-id': '99' }]) {
      const get = comparable(await session(server, headers)) as { text: string };
      const head = comparable(await web(server, 'HEAD', '/auth/session', { headers })) as { text: string };
      expect({ ...head, text: '' }).toEqual({ ...get, text: '' });
      expect(head.text).toBe('');
    }
  });

  test('S19: nothing follows the headers on the wire', async () => {
    const { token } = await signIn(server, john);
    const answer = await webRaw(server, ['HEAD /auth/session HTTP/1.1', `Authorization: Bearer ${token}`]);
    expect(answer).toMatchObject({ status: 200, text: '' });
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(100);
  });
});

describe('5.2 credentials of other doors are none of this one', () => {
  test('J26: an API key as X-API-Key signs nobody in', async () => {
    const answer = await session(server, { 'X-API-Key': 'F9E8D7C6-B5A4-3210-FEDC-BA9876543210' });
    expectSignedOut(answer, 'nothing');
    expect(answer.headers.get('www-authenticate')).toBe(challenge);
  });

  test('K13: a token chosen beforehand and sent with the login is neither adopted nor ended', async () => {
    const { token } = await signIn(server, john);
    const opened = sessionOf(await postLogin(server, johnsBody, bearer(token)));
    expect(opened.token).not.toBe(token);
    expect((await session(server, bearer(token))).status).toBe(200);
    const invented = sessionOf(await postLogin(server, johnsBody, bearer('chosen.by.attacker')));
    expect(invented.token).not.toContain('attacker');
    expectSignedOut(await session(server, bearer('chosen.by.attacker')), 'presented');
  });
});
