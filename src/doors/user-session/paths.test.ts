import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { sendRaw, statuses } from '../../http/raw-client.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  bearer,
  comparable,
  expectRefusal,
  expectSignedOut,
  messages,
  session,
  sessionOf,
  signIn,
  web,
  webRaw,
} from '../../../tests/support/user-session.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { john } = demoUsers;
const body = { email: john.login, password: john.password };

let server: TestServer;
let token: string;
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000' } });
  token = (await signIn(server, john)).token;
});
afterAll(() => server.close());

describe('[13] paths', () => {
  test.each(['/auth/session', '/auth/session/', '/api/auth/session', '/api/auth/session/', '/auth/session?x.css'])(
    '%s is the session',
    async (path) => {
      const answer = await web(server, 'GET', path, { headers: bearer(token) });
      expect(comparable(answer)).toEqual(comparable(await session(server, bearer(token))));
      expectSignedOut(await web(server, 'GET', path, {}), 'nothing');
    },
  );

  test.each(['', '/api'])(
    'with %p in front and with a trailing slash login and logout are the same',
    async (prefix) => {
      for (const slash of ['', '/']) {
        const opened = sessionOf(await web(server, 'POST', `${prefix}/auth/login${slash}`, { body }));
        const path = `${prefix}/auth/logout${slash}`;
        const answer = await web(server, 'POST', path, { headers: bearer(opened.token) });
        expect(answer.text).toBe('{"success":true}');
      }
    },
  );

  test.each([
    '/api/api/auth/session',
    '/auth//session',
    '/auth/session//',
    '/api//auth/session',
    '/auth/session/x.css',
    '/auth/session;x.css',
    '/auth/session;jsessionid=1',
    '/auth/session.json',
    '/auth/session%2f',
    '/auth/session%00',
    '/auth/sessio%6e',
    '/auth/%ff',
    '/auth/session%c0%af',
    '/auth/Session',
    '/auth/SESSION',
    '/auth/user',
    '/auth/',
    '/api/auth/',
    '/auth/login/x',
    '/auth/logout/all',
    '/auth/refresh',
    '/auth/signup',
    '/auth/session/..%2flogin',
    '/auth/.git/config',
    '/auth/.env',
    '/api/auth/user',
  ])('H11, H24, S20: %s is nothing, with and without a token, whatever the method', async (path) => {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD']) {
      for (const headers of [bearer(token), {}]) {
        const answer = await web(server, method, path, { headers });
        expect(answer.status).toBe(404);
        if (method !== 'HEAD') expectRefusal(answer, 404, messages.nothingHere);
      }
    }
  });

  test.each(['/Auth/session', '//auth/session', '/auth%2fsession', '/API/auth/session', '/\\auth/session', '/auth'])(
    'H11: %s lies outside this door and shows no session either',
    async (path) => {
      const head = `GET ${path} HTTP/1.1\r\nHost: auth.example.com\r\nConnection: close\r\n`;
      const received = await sendRaw(Number(new URL(server.url).port), `${head}Authorization: Bearer ${token}\r\n\r\n`);
      expect(statuses(received)).toEqual([404]);
      expect(received).not.toContain(john.login);
      expect(received).toMatch(/^cache-control: no-store\r$/im);
    },
  );

  test.each([
    '/x/../auth/session',
    '/auth/./session',
    '/auth/x/../session',
    '/auth/%2e/session',
    '/auth/x/%2e%2e/session',
  ])('H11: %s is nothing, or exactly the path it folds to', async (path) => {
    const answer = await webRaw(server, [`GET ${path} HTTP/1.1`, `Authorization: Bearer ${token}`]);
    expect([200, 404]).toContain(answer.status);
    if (answer.status === 200) expect(answer.text).toBe((await session(server, bearer(token))).text);
  });

  test('H10: neither an absolute target nor rewriting headers choose another path, method or host', async () => {
    const lines = [
      `Authorization: Bearer ${token}`,
      'X-Original-URL: /auth/logout',
      'X-Rewrite-URL: /auth/logout',
      'X-HTTP-Method-Override: POST',
      'X-Forwarded-Host: evil.test',
    ];
    const plain = (await session(server, bearer(token))).text;
    expect((await webRaw(server, ['GET /auth/session HTTP/1.1', ...lines])).text).toBe(plain);
    const absolute = await webRaw(server, ['GET http://evil.test/auth/session HTTP/1.1', ...lines]);
    expect(absolute.text).toBe(plain);
    expect((await session(server, bearer(token))).status).toBe(200);
  });
});

describe('[13] methods', () => {
  const allowed: [string, string][] = [
    ['/auth/session', 'GET, HEAD, OPTIONS'],
    ['/auth/login', 'POST, OPTIONS'],
    ['/auth/logout', 'POST, OPTIONS'],
    ['/api/auth/session/', 'GET, HEAD, OPTIONS'],
  ];
  test.each(allowed)('H09: %s answers every other method with 405 and Allow: %s', async (path, allow) => {
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PURGE', 'PROPFIND'];
    for (const method of methods.filter((one) => !allow.split(', ').includes(one))) {
      for (const lines of [[], [`Authorization: Bearer ${token}`, 'X-Secret: not echoed']]) {
        const answer = await webRaw(server, [`${method} ${path} HTTP/1.1`, ...lines]);
        expect({ method, status: answer.status }).toEqual({ method, status: 405 });
        expect(answer.headers.get('allow')).toBe(allow);
        if (method !== 'HEAD') expectRefusal(answer, 405, messages.method);
        expect(answer.text).not.toContain('echoed');
      }
    }
  });

  test.each(allowed)('OPTIONS %s is 204 without a body and needs no credential', async (path, allow) => {
    for (const headers of [{}, bearer(token), bearer('garbage')]) {
      const answer = await web(server, 'OPTIONS', path, { headers });
      expect(answer).toMatchObject({ status: 204, text: '' });
      expect(answer.headers.get('allow')).toBe(allow);
    }
  });
});
