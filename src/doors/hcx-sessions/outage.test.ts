import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  adminPath,
  byToken,
  endSession,
  expectError,
  getSession,
  type HcxAnswer,
  hcx,
  hcxOn,
  hybridityPath,
  patient,
  postLogin,
  refusals,
  signIn,
} from '../../../tests/support/hcx.ts';
import { testDatabaseUrl } from '../../../tests/support/postgres.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { countStoreReads } from '../../../tests/support/store-reads.ts';
import { breakStore } from '../../../tests/support/store-trouble.ts';
import { startTcpProxy, type TcpProxy } from '../../../tests/support/tcp-proxy.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { admin } = demoUsers;
/** Promised are 1.5 s; a busy machine may take twice that. */
const promisedMs = 3_000;

describe('[24] the store does not answer', () => {
  let server: TestServer;
  let token: string;
  beforeAll(async () => {
    server = await startTestServer({ settings: patient });
    token = await signIn(server, admin);
  });
  afterAll(() => server.close());

  const asks: [string, () => Promise<HcxAnswer>][] = [
    ['GET by a live token', () => getSession(server, byToken(token))],
    ['POST', () => postLogin(server.httpsUrl, admin)],
    ['POST by an unknown name', () => postLogin(server.httpsUrl, { login: 'nobody', password: 'x' })],
    ['POST of the web login', () => postLogin(server.url, admin, hybridityPath)],
    ['DELETE', () => endSession(server, byToken(token))],
  ];

  test.each(asks)('%s is 503, never 401, and all is well afterwards', async (_, ask) => {
    const trouble = breakStore(server);
    try {
      expectError(await ask(), ...refusals.busy);
    } finally {
      trouble.mend();
    }
    expect((await getSession(server, byToken(token))).status).toBe(200);
  });

  test('[19] 503 of the web login is XML without Accept, JSON otherwise', async () => {
    const trouble = breakStore(server);
    const body = { username: admin.login, password: admin.password };
    try {
      for (const [accept, type] of [
        ['', 'application/xml;charset=UTF-8'],
        ['*/*', 'application/json;charset=UTF-8'],
      ] as const) {
        const answer = await hcx(server.url, 'POST', hybridityPath, { body, headers: { accept } });
        expectError(answer, ...refusals.busy);
        expect(answer.headers.get('content-type')).toBe(type);
        expect(answer.text).not.toMatch(/trusted root/i);
      }
    } finally {
      trouble.mend();
    }
  });

  test('a store that cannot be written refuses POST and DELETE, and GET goes on', async () => {
    const trouble = breakStore(server, { ways: ['db'] });
    try {
      expectError(await postLogin(server.httpsUrl, admin), ...refusals.busy);
      expectError(await endSession(server, byToken(token)), ...refusals.busy);
      server.clock.advance(90);
      expect((await getSession(server, byToken(token))).status).toBe(200);
    } finally {
      trouble.mend();
    }
  });

  test('what can be no credential is 401 without a question to the store', async () => {
    const reads = countStoreReads(server);
    for (const text of ['', 'x', token.toUpperCase(), token.replaceAll(':', '-'), token.slice(1), `${token}\t0`]) {
      expectError(await getSession(server, byToken(text)), ...refusals.noContext);
    }
    const long = { authorization: `Bearer ${'a.'.repeat(2500)}a` };
    expectError(await getSession(server, long), ...refusals.noContext);
    expect(reads.stop()).toBe(0);
  });

  test('a mistake of ours is the published 500 without a word of it, and one log line with the transaction id', async () => {
    const trouble = breakStore(server, { error: new TypeError('select secret from inside') });
    const internal = [500, 'INTERNAL_SERVER_ERROR', 'Internal Server Error'] as const;
    try {
      for (const [, ask] of asks) {
        const answer = await ask();
        expectError(answer, ...internal);
        const id = answer.headers.get('x-transaction-id') ?? '';
        expect(server.log.filter((line) => line.includes(id) && line.includes('request.failed'))).toHaveLength(1);
      }
    } finally {
      trouble.mend();
    }
  });
});

describe('D05 [24] PostgreSQL out of reach', () => {
  let wire: TcpProxy;
  let server: TestServer;
  let token: string;
  beforeAll(async () => {
    const databaseUrl = new URL(await testDatabaseUrl());
    wire = await startTcpProxy(Number(databaseUrl.port));
    databaseUrl.port = String(wire.port);
    server = await startTestServer({ settings: { ...hcxOn, CARDEA_DATABASE_URL: databaseUrl.href } });
    token = await signIn(server, admin);
  }, 30_000);
  afterAll(async () => {
    wire.forward();
    await server.close();
    wire.close();
  }, 30_000);

  async function expectBusyInTime(ask: () => Promise<HcxAnswer>): Promise<void> {
    const startedMs = performance.now();
    expectError(await ask(), ...refusals.busy);
    expect(performance.now() - startedMs).toBeLessThan(promisedMs);
  }

  test.each(['cut', 'hold'] as const)(
    'after a %s GET and POST are 503 in time, never 401, and both recover',
    async (way) => {
      wire[way]();
      await expectBusyInTime(() => getSession(server, byToken(token)));
      await expectBusyInTime(() => postLogin(server.httpsUrl, admin));
      wire.forward();
      const untilMs = performance.now() + 2 * promisedMs;
      // The first questions may still meet a connection that was lost.
      for (;;) {
        const answer = await getSession(server, byToken(token));
        if (answer.status === 200) break;
        expectError(answer, ...refusals.busy);
        expect(performance.now()).toBeLessThan(untilMs);
      }
      expect((await postLogin(server.httpsUrl, admin)).status).toBe(200);
    },
    30_000,
  );
});

describe('L16 [24] the hashing queue is full', () => {
  test('further logins are 503 while GET stays 200', async () => {
    const server = await startTestServer({
      realHashes: true,
      settings: { ...patient, CARDEA_PASSWORD_WORKERS: '1', CARDEA_PASSWORD_PASSES: '10' },
    });
    try {
      const token = await signIn(server, admin);
      const flood = Array.from({ length: 40 }, (_, index) =>
        postLogin(
          index % 2 === 0 ? server.httpsUrl : server.url,
          { login: `flood-${index}`, password: 'x' },
          adminPath,
        ),
      );
      for (let check = 0; check < 10; check += 1) {
        expect((await getSession(server, byToken(token))).status).toBe(200);
      }
      const answers = await Promise.all(flood);
      const refused = answers.filter(({ status }) => status === 503);
      expect(refused.length).toBeGreaterThan(0);
      for (const answer of refused) expectError(answer, ...refusals.busy);
      for (const { status } of answers) expect([401, 503]).toContain(status);
    } finally {
      await server.close();
    }
  }, 30_000);
});
