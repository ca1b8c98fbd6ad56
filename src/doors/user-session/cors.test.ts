import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { breakStore } from '../../../tests/support/store-trouble.ts';
import {
  bearer,
  comparable,
  corsHeadersOf,
  expectRefusal,
  messages,
  postLogin,
  session,
  signIn,
  type WebAnswer,
  web,
} from '../../../tests/support/user-session.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { john } = demoUsers;
const origin = 'https://app.example.com';
const settings = {
  CARDEA_CORS_ORIGINS: `${origin},https://other.example.com:8443`,
  CARDEA_LIMITS_REFUSED_PER_SECOND: '1',
};
const allowed = {
  'access-control-allow-origin': origin,
  'access-control-allow-credentials': 'true',
  'access-control-expose-headers': 'retry-after, x-request-id',
};
const preflight = {
  ...allowed,
  'access-control-allow-methods': 'GET, HEAD, POST',
  'access-control-allow-headers': 'content-type, authorization, x-account-id',
  'access-control-max-age': '600',
};

let server: TestServer;
let token: string;
beforeAll(async () => {
  server = await startTestServer({ settings });
  token = (await signIn(server, john)).token;
});
afterAll(() => server.close());

const from = (from: string) => ({ Origin: from });

describe('[15] an allowed origin', () => {
  const statuses: [number, () => Promise<WebAnswer>][] = [
    [200, () => session(server, { ...bearer(token), ...from(origin) })],
    [200, () => postLogin(server, { email: john.login, password: john.password }, from(origin))],
    [400, () => postLogin(server, {}, from(origin))],
    [401, () => session(server, { Authorization: 'Bearer null', ...from(origin) })],
    [401, () => postLogin(server, { email: 'nobody', password: 'x' }, from(origin))],
    [403, () => session(server, { ...bearer(token), 'x-account-id': '9', ...from(origin) })],
    [404, () => web(server, 'GET', '/auth/nothing', { headers: from(origin) })],
    [404, () => web(server, 'OPTIONS', '/auth/nothing', { headers: from(origin) })],
    [405, () => web(server, 'DELETE', '/auth/session', { headers: from(origin) })],
    [413, () => web(server, 'POST', '/auth/login', { rawBody: 'x'.repeat(20_000), headers: from(origin) })],
    [415, () => web(server, 'POST', '/auth/login', { rawBody: '{}', headers: from(origin) })],
    [429, () => refusedTooOften()],
    [503, () => withoutStore(() => session(server, { ...bearer(token), ...from(origin) }))],
  ];
  test.each(statuses)('is named on %d', async (status, ask) => {
    const answer = await ask();
    expect(answer.status).toBe(status);
    expect(corsHeadersOf(answer)).toEqual(allowed);
  });

  test('a second one on the list is named itself, with its port', async () => {
    const answer = await session(server, { ...bearer(token), ...from('https://other.example.com:8443') });
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://other.example.com:8443');
  });

  test.each(['/auth/session', '/auth/login', '/auth/logout', '/api/auth/session/'])(
    'OPTIONS %s is 204 with the preflight headers, with and without a credential',
    async (path) => {
      const asked = { 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'authorization' };
      for (const credential of [{}, bearer(token), bearer('garbage')]) {
        const answer = await web(server, 'OPTIONS', path, { headers: { ...asked, ...from(origin), ...credential } });
        expect(answer.status).toBe(204);
        expect(corsHeadersOf(answer)).toEqual(preflight);
      }
    },
  );
});

describe('[15] any other origin', () => {
  test.each([
    'https://app.example.com.evil.test',
    'https://evil.test/https://app.example.com',
    'https://evilapp.example.com',
    'https://sub.app.example.com',
    'https://example.com',
    'http://app.example.com',
    'https://app.example.com:444',
    'https://app.example.com:443',
    'https://APP.EXAMPLE.COM',
    'HTTPS://app.example.com',
    'https://app.example.com/',
    'https://app.example.com.',
    'https://user@app.example.com',
    'https://app.example.com, https://app.example.com',
    'https://auth.example.com',
    'null',
    '*',
    'x'.repeat(10_000),
  ])('S18: %p gets the same answer without any Access-Control header', async (other) => {
    const plain = await session(server, bearer(token));
    const answer = await session(server, { ...bearer(token), ...from(other) });
    expect(comparable(answer)).toEqual(comparable(plain));
    expect(corsHeadersOf(answer)).toEqual({});
    for (const path of ['/auth/session', '/auth/login']) {
      const asked = await web(server, 'OPTIONS', path, { headers: from(other) });
      expect(asked.status).toBe(204);
      expect(corsHeadersOf(asked)).toEqual({});
    }
    expect(corsHeadersOf(await web(server, 'GET', '/auth/nothing', { headers: from(other) }))).toEqual({});
  });

  test('unless configured there is no allowed origin', async () => {
    const own = await startTestServer();
    try {
      expect(corsHeadersOf(await session(own, from(origin)))).toEqual({});
      expect(corsHeadersOf(await session(own, from('https://auth.example.com')))).toEqual({});
    } finally {
      await own.close();
    }
  });
});

/** Spends what refused tokens of this address may cost. */
async function refusedTooOften(): Promise<WebAnswer> {
  for (;;) {
    const answer = await session(server, { ...bearer('guess'), ...from(origin) });
    if (answer.status === 429) return answer;
    expect(answer.status).toBe(401);
  }
}

async function withoutStore(ask: () => Promise<WebAnswer>): Promise<WebAnswer> {
  const trouble = breakStore(server);
  try {
    const answer = await ask();
    expectRefusal(answer, 503, messages.later);
    return answer;
  } finally {
    trouble.mend();
  }
}
