import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import { testDatabaseUrl } from '../../../tests/support/postgres.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { breakStore } from '../../../tests/support/store-trouble.ts';
import { startTcpProxy, type TcpProxy } from '../../../tests/support/tcp-proxy.ts';
import {
  bearer,
  expectRefusal,
  logout,
  messages,
  postLogin,
  session,
  signIn,
  type WebAnswer,
  web,
} from '../../../tests/support/user-session.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { john } = demoUsers;
const johnsBody = { email: john.login, password: john.password };
/** Promised are 1.5 s; a busy machine may take twice that. */
const promisedMs = 3_000;

describe('[19] the store does not answer', () => {
  let server: TestServer;
  let token: string;
  beforeAll(async () => {
    server = await startTestServer();
    token = (await signIn(server, john)).token;
  });
  afterAll(() => server.close());

  test.each<[string, () => Promise<WebAnswer>]>([
    ['a session by a live token', () => session(server, bearer(token))],
    ['a login', () => postLogin(server, johnsBody)],
    ['a login by key', () => postLogin(server, { apiKey: 'apiKey-4821', apiSecret: 'x' })],
    ['a wrong login', () => postLogin(server, { email: 'nobody', password: 'x' })],
    ['a logout', () => logout(server, bearer(token))],
  ])('%s is 503 with Retry-After, never 401, and all is well afterwards', async (_, ask) => {
    const trouble = breakStore(server);
    try {
      expectRefusal(await ask(), 503, messages.later);
    } finally {
      trouble.mend();
    }
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test('what needs no store is answered as ever: no credential, a forged one, a bad body, a wrong path', async () => {
    const trouble = breakStore(server);
    try {
      expect((await session(server, { Authorization: 'Bearer null' })).status).toBe(401);
      expect((await session(server, bearer(`${token}x`))).status).toBe(401);
      expect((await postLogin(server, {})).status).toBe(400);
      expect((await web(server, 'GET', '/auth/nothing')).status).toBe(404);
    } finally {
      trouble.mend();
    }
  });

  test('L25: a store that cannot be written refuses login and logout with 503, and a session goes on', async () => {
    const opened = () => server.core.store.lists.selectFrom('sessions').select('id').execute();
    const before = await opened();
    const trouble = breakStore(server, { ways: ['db'] });
    try {
      expectRefusal(await postLogin(server, johnsBody), 503, messages.later);
      expectRefusal(await logout(server, bearer(token)), 503, messages.later);
      // Its last use is to be recorded by now, which costs only the record.
      server.clock.advance(90);
      expect((await session(server, bearer(token))).status).toBe(200);
    } finally {
      trouble.mend();
    }
    expect(await opened()).toEqual(before);
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test('I05: a mistake of ours is 500 without a word of it, and one log line with the request id', async () => {
    const trouble = breakStore(server, { error: new TypeError('select secret from src/inside.ts') });
    try {
      for (const ask of [
        () => web(server, 'GET', '/auth/session', { headers: { ...bearer(token), 'X-Request-Id': 'injected' } }),
        () => postLogin(server, johnsBody),
        () => logout(server, bearer(token)),
      ]) {
        const answer = await ask();
        expectRefusal(answer, 500, messages.internal);
        expect(JSON.stringify([...answer.headers])).not.toMatch(/secret|inside|TypeError/);
      }
    } finally {
      trouble.mend();
    }
    const told = server.log.filter((line) => line.includes('"injected"'));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain('request.failed');
  });
});

describe('[19] PostgreSQL out of reach', () => {
  let wire: TcpProxy;
  let server: TestServer;
  let token: string;
  beforeAll(async () => {
    const databaseUrl = new URL(await testDatabaseUrl());
    wire = await startTcpProxy(Number(databaseUrl.port));
    databaseUrl.port = String(wire.port);
    server = await startTestServer({ settings: { CARDEA_DATABASE_URL: databaseUrl.href } });
    token = (await signIn(server, john)).token;
  }, 30_000);
  afterAll(async () => {
    wire.forward();
    await server.close();
    wire.close();
  }, 30_000);

  async function expectUnavailableInTime(ask: () => Promise<WebAnswer>): Promise<void> {
    const startedMs = performance.now();
    expectRefusal(await ask(), 503, messages.later);
    expect(performance.now() - startedMs).toBeLessThan(promisedMs);
  }

  test.each(['cut', 'hold'] as const)(
    'D05, D06: after a %s session and login are 503 in time, never 401, and both recover',
    async (way) => {
      wire[way]();
      await expectUnavailableInTime(() => session(server, bearer(token)));
      await expectUnavailableInTime(() => postLogin(server, johnsBody));
      wire.forward();
      // The first questions may still meet a connection that was lost.
      for (let attempt = 0; attempt < 50; attempt += 1) {
        const answer = await session(server, bearer(token));
        if (answer.status === 200) break;
        expectRefusal(answer, 503, messages.later);
      }
      expect((await session(server, bearer(token))).status).toBe(200);
      expect((await postLogin(server, johnsBody)).status).toBe(200);
    },
    30_000,
  );
});

describe('L16 [19] the hashing queue is full', () => {
  test('further logins are 503 while GET stays 200', async () => {
    const server = await startTestServer({
      realHashes: true,
      settings: {
        CARDEA_PASSWORD_WORKERS: '1',
        CARDEA_PASSWORD_MEMORY_KIB: '131072',
        CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
        CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
      },
    });
    try {
      const { token } = await signIn(server, john);
      let waiting = 40;
      const flood = Array.from({ length: waiting }, async (_, index) => {
        const answer = await postLogin(server, { email: `flood-${index}`, password: 'wrong' });
        waiting -= 1;
        return answer;
      });
      let checks = 0;
      while (waiting > 0 && checks < 300) {
        expect((await session(server, bearer(token))).status).toBe(200);
        checks += 1;
      }
      expect(checks).toBeGreaterThan(10);
      const answers = await Promise.all(flood);
      const refused = answers.filter(({ status }) => status === 503);
      for (const answer of refused) expectRefusal(answer, 503, messages.later);
      expect(refused.length).toBeGreaterThan(0);
      for (const answer of answers) expect([401, 503]).toContain(answer.status);
      expect((await postLogin(server, johnsBody)).status).toBe(200);
    } finally {
      await server.close();
    }
  }, 30_000);
});

describe('stopping', () => {
  test('F21: a request half sent when the stop begins is 503 in the shape of this door', async () => {
    const server = await startTestServer();
    const { token } = await signIn(server, john);
    const answered = Promise.withResolvers<string>();
    let received = '';
    const sent = Promise.withResolvers<void>();
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
      socket.write('GET /auth/session HT', () => sent.resolve());
    });
    socket.on('data', (data) => (received += data.toString('latin1')));
    socket.on('close', () => answered.resolve(received));
    await sent.promise;
    // The answer to a later connection shows that the server has the half request by now.
    await session(server, bearer(token));
    const closed = server.close();
    socket.write(`TP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    expect(await answered.promise).toMatch(
      /^HTTP\/1\.1 503 [\s\S]*\{"error":"Service Unavailable","status":503,"message":"Try again later\."\}$/,
    );
    expect(received).toMatch(/^retry-after: [1-9]/im);
    await closed;
  });
});
