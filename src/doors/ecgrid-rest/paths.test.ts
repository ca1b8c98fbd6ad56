import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  apiKey,
  bearer,
  type EcgridAnswer,
  expectRefusal,
  login,
  rest,
  restRaw,
} from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { lastBody, sendRaw } from '../../http/raw-client.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

function expectUnknown(answer: EcgridAnswer): void {
  expectRefusal(answer, 404, 'ObjectNotFound', 'Resource not found.');
}

// The index of the contract, 6.0, by path. HEAD goes wherever GET does.
const index: [string, string][] = [
  ['/v2/auth/session', 'POST'],
  ['/v2/auth/login', 'POST'],
  ['/v2/auth/refresh', 'POST'],
  ['/v2/auth/logout', 'POST'],
  ['/v2/auth/version', 'GET, HEAD'],
  ['/v2/auth/password', 'PUT'],
  ['/v2/users/key-generate/4821', 'POST'],
  ['/v2/users/key/4821', 'GET, HEAD'],
  ['/v2/users/me', 'GET, HEAD'],
  ['/v2/users/4821', 'GET, HEAD, DELETE'],
  ['/v2/users', 'POST, PUT'],
  ['/v2/users/list', 'POST'],
  ['/v2/users/by-name', 'POST'],
  ['/v2/users/reset/4821', 'POST'],
  ['/v2/users/password', 'POST'],
  ['/v2/users/role', 'POST'],
  ['/v2/users/set-network-mailbox', 'POST'],
  ['/v2/users/generate-password', 'POST'],
];
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PURGE', 'PROPFIND'];

describe('[22] methods', () => {
  test.each(index)('H09 S20: %s takes %s, and any other method is 405 that says so', async (path, allow) => {
    for (const method of methods.filter((name) => !allow.split(', ').includes(name))) {
      const answer = await restRaw(server, [`${method} ${path} HTTP/1.1`, `X-API-Key: ${demoKey}`]);
      expect(answer.headers.get('allow')).toBe(allow);
      expect(answer.status).toBe(405);
      if (method !== 'HEAD') expectRefusal(answer, 405, 'InvalidParameter', 'Method not allowed.');
    }
  });

  test('GET /v2/auth/login is 405 with Allow: POST', async () => {
    const answer = await rest(server, 'GET', '/v2/auth/login');
    expectRefusal(answer, 405, 'InvalidParameter', 'Method not allowed.');
    expect(answer.headers.get('allow')).toBe('POST');
  });

  test('the method is judged before credential, size and body', async () => {
    const headers = { ...apiKey('bogus'), 'Content-Type': 'text/plain' };
    const answer = await rest(server, 'PUT', '/v2/auth/login', { headers, rawBody: 'x'.repeat(20_000) });
    expectRefusal(answer, 405, 'InvalidParameter', 'Method not allowed.');
  });

  test.each(['FOO', 'get', 'Post'])('H09: the method %s closes the connection without our word', async (method) => {
    const { port } = new URL(server.url);
    const received = await sendRaw(Number(port), `${method} /v2/auth/version HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(received).not.toContain('success');
  });

  test('H10: override headers have no effect', async () => {
    const headers = {
      'X-HTTP-Method-Override': 'POST',
      'X-Original-URL': '/v2/auth/version',
      'X-Rewrite-URL': '/v2/auth/version',
      'X-Forwarded-Host': 'evil.example.com',
    };
    const answer = await rest(server, 'GET', '/v2/auth/login', { headers });
    expectRefusal(answer, 405, 'InvalidParameter', 'Method not allowed.');
    expect(answer.text).not.toContain('evil');
  });
});

describe('[22] unknown paths', () => {
  test.each([
    '/v2/',
    '/v2/auth',
    '/v2/auth/',
    '/v2/auth/login/',
    '/V2/auth/login',
    '/v2/Auth/login',
    '/v2/auth/LOGIN',
    '/v2/auth/login/x',
    '/v2/auth/unknown',
    '/v2/users/',
    '/v2/users/4821/',
    '/v2/users/4821/generate-api-key',
    '/v2/users/key-generate/',
    '/v2/users/key-generate/4821/x',
    '/v2/users/update-config',
    '/v2/users/send-sms',
    '/v2/keys',
    '/v2/keys/1',
    '/v2/parcels',
  ])('%s is 404 in the envelope, with a credential or without, whatever the method', async (path) => {
    for (const headers of [{}, apiKey(demoKey)]) {
      for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
        const call = method === 'POST' || method === 'PUT' ? { headers, body: {} } : { headers };
        expectUnknown(await rest(server, method, path, call));
      }
    }
  });

  test.each([
    '//v2/auth/session',
    '/v2//auth/session',
    '/v2/auth%2fsession',
    '/v2/auth/session;x=y',
    '/v2/auth/session%00',
    '/v2/auth/session%20',
    '/v2/auth/%73ession',
    '/v2/auth/sessio%c0%ae',
    '/v2/auth/session%ff',
    '/v2/auth/session.css',
    '/v2/auth/session/x.css',
    '/v2/auth/session;x.css',
    '/v2/auth/sess\u0131on',
  ])('H11 S20: %s is not the session', async (path) => {
    const target = path.startsWith('//') ? path : encodeURI(path).replaceAll('%25', '%');
    const head = [`POST ${target} HTTP/1.1`, `X-API-Key: ${demoKey}`, 'Content-Length: 0'];
    if (!path.startsWith('//')) expectUnknown(await restRaw(server, head));
    else {
      // What `fetch` would make of this address is another host: only bytes show it.
      const { port } = new URL(server.url);
      const received = await sendRaw(Number(port), `${head.join('\r\n')}\r\nHost: x\r\nConnection: close\r\n\r\n`);
      expect(received).toStartWith('HTTP/1.1 404');
      expect(lastBody(received)).not.toContain('4821');
    }
  });

  test.each(['/v2/auth/./session', '/v2/x/../auth/session', '/v2/x/%2e%2e/auth/session', '/v2\\auth\\session'])(
    'H11: %s, which the runtime folds, is exactly the session or unknown',
    async (path) => {
      const head = [`POST ${path} HTTP/1.1`, `X-API-Key: ${demoKey}`, 'Content-Length: 0'];
      const answer = await restRaw(server, head);
      if (answer.status === 200) expect(answer.text).toContain('"userId":4821');
      else expectUnknown(answer);
      // Without the credential the folded path is as closed as the plain one.
      const bare = await restRaw(
        server,
        head.filter((line) => !line.startsWith('X-API-Key')),
      );
      expect([401, 404]).toContain(bare.status);
    },
  );

  test.each(['?', '?x=1', '?x.css', '?token=abc', '?%ff%zz', '#x'])('S20: the query %j is ignored', async (query) => {
    const head = [`POST /v2/auth/session${query} HTTP/1.1`, `X-API-Key: ${demoKey}`, 'Content-Length: 0'];
    expect((await restRaw(server, head)).status).toBe(200);
  });

  test('H10: the authority of an absolute target is never used', async () => {
    const head = [
      'POST http://evil.example.com/v2/auth/session HTTP/1.1',
      `X-API-Key: ${demoKey}`,
      'Content-Length: 0',
    ];
    const answer = await restRaw(server, head);
    expect(answer.status).toBe(200);
    expect(answer.text).not.toContain('evil');
  });
});

describe('S19 S18: browsers of other sites', () => {
  test.each(['https://evil.example', 'null', 'https://auth.example.com.evil.example', 'http://auth.example.com'])(
    'from the origin %s no answer says that it may be read, and OPTIONS is 405',
    async (origin) => {
      const { token } = await login(server, demoUsers.john);
      const headers = { ...bearer(token), Origin: origin };
      // That no Access-Control header is there is judged with every answer.
      expect((await rest(server, 'POST', '/v2/auth/session', { headers })).status).toBe(200);
      const preflight = { Origin: origin, 'Access-Control-Request-Method': 'POST' };
      expect((await rest(server, 'OPTIONS', '/v2/auth/session', { headers: preflight })).status).toBe(405);
    },
  );
});
