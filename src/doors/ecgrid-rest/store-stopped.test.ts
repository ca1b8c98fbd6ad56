import { Database } from 'bun:sqlite';
import { SQL } from 'bun';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  apiKey,
  bearer,
  type EcgridAnswer,
  expectRefusal,
  login,
  rest,
  session,
} from '../../../tests/support/ecgrid.ts';
import { type Cluster, startCluster } from '../../../tests/support/postgres.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { startTcpProxy, type TcpProxy } from '../../../tests/support/tcp-proxy.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

/** How long a caller may have to wait for the refusal. */
const longestMs = 3_000;

function expectUnavailable(answer: EcgridAnswer): void {
  expectRefusal(answer, 503, 'ServiceUnavailable', 'Service unavailable. Retry later.');
}

type Request = [string, (on: TestServer, token: string) => Promise<EcgridAnswer>];
const checks: Request[] = [
  ['session by token', (on, token) => session(on, bearer(token))],
  ['session by key', (on) => session(on, apiKey(demoKey))],
];
const changes: Request[] = [
  [
    'login',
    (on) => rest(on, 'POST', '/v2/auth/login', { body: { login: 'soapuser', password: demoUsers.soap.password } }),
  ],
  ['login of a stranger', (on) => rest(on, 'POST', '/v2/auth/login', { body: { login: 'nobody', password: 'x' } })],
  ['refresh', (on, token) => rest(on, 'POST', '/v2/auth/refresh', { body: { token } })],
  ['logout', (on, token) => rest(on, 'POST', '/v2/auth/logout', { headers: bearer(token) })],
  ['a new key', (on, token) => rest(on, 'POST', '/v2/users/key-generate/4821', { headers: bearer(token) })],
];

/** Runs one request and fails the test unless it was refused as unavailable, and in time. */
async function expectRefusedInTime(act: () => Promise<EcgridAnswer>): Promise<void> {
  const startedMs = performance.now();
  expectUnavailable(await act());
  expect(performance.now() - startedMs).toBeLessThan(longestMs);
}

/** Asks until the store is back; every answer until then must be a refusal as unavailable. */
async function recover(on: TestServer, token: string): Promise<void> {
  const untilMs = performance.now() + 10_000;
  for (;;) {
    const answer = await session(on, bearer(token));
    if (answer.status === 200) return;
    expectUnavailable(answer);
    if (performance.now() > untilMs) throw new Error('the server does not find its store again');
  }
}

describe('[23] PostgreSQL out of reach', () => {
  let cluster: Cluster;
  let proxy: TcpProxy;
  let server: TestServer;
  let direct: SQL;
  beforeAll(async () => {
    cluster = await startCluster();
    const database = new URL(await cluster.createDatabase(`cardea_${randomBytes(8).toString('hex')}`));
    direct = new SQL(database.href, { max: 1 });
    proxy = await startTcpProxy(Number(database.port));
    database.port = String(proxy.port);
    server = await startTestServer({ settings: { CARDEA_DATABASE_URL: database.href } });
  }, 60_000);
  afterEach(() => proxy.forward());
  afterAll(async () => {
    await server.close();
    proxy.close();
    await direct.close();
    await cluster.stop();
  }, 60_000);

  const troubles: [string, () => void][] = [
    ['stopped', () => proxy.cut()],
    ['frozen', () => proxy.hold()],
  ];

  test.each(troubles)(
    'while it is %s everything is 503 within 3 s and never 401; then all goes on without a restart',
    async (_, stop) => {
      const { token } = await login(server, demoUsers.john);
      stop();
      for (let round = 0; round < 2; round += 1) {
        await Promise.all([...checks, ...changes].map(([, act]) => expectRefusedInTime(() => act(server, token))));
      }
      // What needs no store goes on, and so do refusals that need none.
      expect((await rest(server, 'GET', '/v2/auth/version')).status).toBe(200);
      expect((await session(server, {})).status).toBe(401);
      expect((await session(server, bearer('x'))).status).toBe(401);
      proxy.forward();
      await recover(server, token);
      const next = await rest(server, 'POST', '/v2/auth/refresh', { body: { token } });
      expect(next.status).toBe(200);
      expect((await login(server, demoUsers.soap)).userId).toBe(12_345);
      expect((await session(server, apiKey(demoKey))).status).toBe(200);
    },
    60_000,
  );

  test('F: while it takes reads alone, checks answer 200 and every change is 503: nothing is told that is not kept', async () => {
    const { token } = await login(server, demoUsers.john);
    await direct`alter system set default_transaction_read_only = on`;
    await direct`select pg_reload_conf()`;
    // The running connections hear of it between two statements.
    const readOnly = async () => (await changes[0]?.[1](server, token))?.status === 503;
    try {
      for (let tries = 0; tries < 1000 && !(await readOnly()); tries += 1);
      for (const [, act] of changes) await expectRefusedInTime(() => act(server, token));
      for (const [, act] of checks) expect((await act(server, token)).status).toBe(200);
    } finally {
      await direct`set default_transaction_read_only = off`;
      await direct`alter system reset default_transaction_read_only`;
      await direct`select pg_reload_conf()`;
    }
    const untilMs = performance.now() + 10_000;
    for (;;) {
      const answer = await rest(server, 'POST', '/v2/auth/refresh', { body: { token } });
      if (answer.status === 200) break;
      expectUnavailable(answer);
      expect(performance.now()).toBeLessThan(untilMs);
    }
  }, 60_000);

  test('connections that the server ends under us are replaced', async () => {
    const { token } = await login(server, demoUsers.john);
    await direct`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cardea'`;
    await recover(server, token);
    expect((await rest(server, 'POST', '/v2/auth/refresh', { body: { token } })).status).toBe(200);
  }, 30_000);
});

describe('[23] D05 SQLite locked by another program', () => {
  test('changes are 503 within 3 s, checks go on answering 200, and afterwards all goes on', async () => {
    const server = await startTestServer();
    const other = new Database(join(server.directory, 'cardea.db'));
    try {
      const { token } = await login(server, demoUsers.john);
      other.run('begin immediate');
      for (const [, act] of changes) await expectRefusedInTime(() => act(server, token));
      for (const [, act] of checks) expect((await act(server, token)).status).toBe(200);
      other.run('rollback');
      expect((await rest(server, 'POST', '/v2/auth/refresh', { body: { token } })).status).toBe(200);
      expect((await login(server, demoUsers.soap)).userId).toBe(12_345);
    } finally {
      other.close();
      await server.close();
    }
  }, 30_000);
});

describe('503', () => {
  test('L16: a full hashing lane refuses logins with 503, and checks go on', async () => {
    const server = await startTestServer({
      realHashes: true,
      settings: {
        CARDEA_PASSWORD_WORKERS: '1',
        CARDEA_PASSWORD_PASSES: '10',
        CARDEA_THROTTLE_FREE_TRIES: '100',
        CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000',
        CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000',
      },
    });
    try {
      const flood = Array.from({ length: 40 }, (_, index) =>
        rest(server, 'POST', '/v2/auth/login', { body: { login: `flood-${index}`, password: 'x' } }),
      );
      expect((await session(server, apiKey(demoKey))).status).toBe(200);
      const answers = await Promise.all(flood);
      const refused = answers.filter(({ status }) => status === 503);
      expect(refused.length).toBeGreaterThanOrEqual(40 - 17);
      for (const answer of refused) expectUnavailable(answer);
      for (const answer of answers) expect([401, 503]).toContain(answer.status);
    } finally {
      await server.close();
    }
  }, 30_000);
});
