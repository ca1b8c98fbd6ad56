import { Database } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  byToken,
  endSession,
  expectError,
  getSession,
  type HcxAnswer,
  patient,
  postLogin,
  refusals,
  signIn,
} from '../../../tests/support/hcx.ts';
import { type Cluster, startCluster } from '../../../tests/support/postgres.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { startTcpProxy, type TcpProxy } from '../../../tests/support/tcp-proxy.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { admin, john } = demoUsers;
const promised = { answerMs: 1_500, recoveryMs: 2_000 } as const;
const rounds = 3;

/** The median has to keep the promise; a single try may meet a busy machine. */
function expectKept(times: readonly number[], promisedMs: number): void {
  const sorted = times.toSorted((a, b) => a - b);
  expect(sorted[sorted.length >> 1]).toBeLessThan(promisedMs);
  expect(sorted.at(-1)).toBeLessThan(4 * promisedMs);
}

/** Runs one request and fails the test unless it is answered 503. @returns how long it took */
async function timeRefusal(ask: () => Promise<HcxAnswer>): Promise<number> {
  const startedMs = performance.now();
  expectError(await ask(), ...refusals.busy);
  return performance.now() - startedMs;
}

/** Asks until it is answered 200; 503 is the one other answer on the way. @returns how long it took */
async function timeRecovery(ask: () => Promise<HcxAnswer>): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    const answer = await ask();
    const tookMs = performance.now() - startedMs;
    if (answer.status === 200) return tookMs;
    expectError(answer, ...refusals.busy);
    expect(tookMs).toBeLessThan(4 * promised.recoveryMs);
  }
}

describe('D05 [24] PostgreSQL', () => {
  let cluster: Cluster;
  let wire: TcpProxy;
  let server: TestServer;
  let token: string;
  beforeAll(async () => {
    cluster = await startCluster();
    const databaseUrl = new URL(await cluster.createDatabase(`cardea_${randomBytes(8).toString('hex')}`));
    wire = await startTcpProxy(Number(databaseUrl.port));
    databaseUrl.port = String(wire.port);
    server = await startTestServer({ settings: { ...patient, CARDEA_DATABASE_URL: databaseUrl.href } });
    token = await signIn(server, john);
  }, 60_000);
  afterAll(async () => {
    wire.forward();
    await server.close();
    wire.close();
    await cluster.stop();
  }, 60_000);

  const get = () => getSession(server, byToken(token));
  const post = () => postLogin(server.httpsUrl, admin);

  const stopServer = () => {
    process.kill(cluster.pid(), 'SIGINT');
    return cluster.stopped();
  };

  type Trouble = { readonly begin: () => unknown; readonly end: () => unknown };
  const troubles: [string, Trouble][] = [
    ['stopped', { begin: stopServer, end: () => cluster.start() }],
    ['cut off', { begin: () => wire.cut(), end: () => wire.forward() }],
    ['frozen', { begin: () => wire.hold(), end: () => wire.forward() }],
  ];

  test.each(troubles)(
    '%s: GET with a live token and POST are 503 within 1.5 s, never 401, and good again within 2 s',
    async (_, trouble) => {
      const answers: number[] = [];
      const recoveries: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        await trouble.begin();
        answers.push(
          ...(await Promise.all([timeRefusal(get), timeRefusal(get), timeRefusal(post), timeRefusal(post)])),
        );
        await trouble.end();
        recoveries.push(...(await Promise.all([timeRecovery(get), timeRecovery(post)])));
      }
      expectKept(answers, promised.answerMs);
      expectKept(recoveries, promised.recoveryMs);
    },
    120_000,
  );

  test('frozen in the middle of a login: 503 within 1.5 s all the same', async () => {
    const answers: number[] = [];
    const { hasher } = server.core;
    const verify = hasher.verify.bind(hasher);
    const freezing = spyOn(hasher, 'verify').mockImplementation((...input) => {
      wire.hold();
      return verify(...input);
    });
    try {
      for (let round = 0; round < rounds; round += 1) {
        answers.push(await timeRefusal(post));
        wire.forward();
        await timeRecovery(get);
      }
      expect(freezing).toHaveBeenCalledTimes(rounds);
    } finally {
      freezing.mockRestore();
    }
    expectKept(answers, promised.answerMs);
    await timeRecovery(post);
  }, 120_000);
});

test('D05 [24] SQLite locked by another program: a crowd of POST and DELETE is 503 within 1.5 s, GET stays 200 meanwhile', async () => {
  const server = await startTestServer({ settings: patient });
  const other = new Database(join(server.directory, 'cardea.db'));
  const token = await signIn(server, john);
  const get = () => getSession(server, byToken(token));
  const post = () => postLogin(server.httpsUrl, admin);
  try {
    const answers: number[] = [];
    const checks: number[] = [];
    const recoveries: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      other.run('begin exclusive');
      const changes = Array.from({ length: 20 }, (_, index) =>
        timeRefusal(index % 5 === 0 ? () => endSession(server, byToken(token)) : post),
      );
      checks.push(await timeRecovery(get), await timeRecovery(get));
      answers.push(...(await Promise.all(changes)));
      other.run('rollback');
      recoveries.push(await timeRecovery(post));
    }
    expectKept(answers, promised.answerMs);
    expectKept(checks, promised.answerMs);
    expectKept(recoveries, promised.recoveryMs);
  } finally {
    other.close();
    await server.close();
  }
}, 60_000);
