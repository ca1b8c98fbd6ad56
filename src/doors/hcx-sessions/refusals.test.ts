import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import {
  basic,
  comparable,
  expectError,
  getSession,
  type HcxAnswer,
  hcxOn,
  hybridityPath,
  patient,
  postLogin,
  refusals,
} from '../../../tests/support/hcx.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';

const freeTries = 5;
const addressPerMinute = 20;

describe('[13] refused logins cannot be told apart', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings: { ...patient, CARDEA_THROTTLE_FREE_TRIES: '100' } });
    for (const login of ['plain', 'disabled', 'locked']) await addUser(server, { login });
    await addUser(server, { login: 'suspended', status: 'Suspended' });
    for (let count = 0; count < 100; count += 1) {
      await postLogin(server.httpsUrl, { login: 'locked', password: 'wrong' });
    }
    server.clock.advance(900);
  });
  afterAll(() => server.close());

  test.each([
    ['unknown', 'nobody', 'wrong'],
    ['disabled, with the right password', 'suspended', testPassword],
    ['locked, with the right password', 'locked', testPassword],
  ])('%s: the status, headers and bytes of a wrong password, at the cost of one hash', async (_, login, password) => {
    for (const ask of [
      (who: { login: string; password: string }) => postLogin(server.httpsUrl, who),
      (who: { login: string; password: string }) => postLogin(server.url, who, hybridityPath),
    ]) {
      const wrong = await ask({ login: 'plain', password: 'wrong' });
      expectError(wrong, ...refusals.wrongLogin);
      const before = server.core.hasher.evaluated();
      expect(comparable(await ask({ login, password }))).toEqual(comparable(wrong));
      expect(server.core.hasher.evaluated() - before).toBe(1);
      server.clock.advance(900);
    }
  });
});

describe('[13] refused logins take the same time at the real cost of a hash', () => {
  const rounds = 12;
  const tries = [
    { login: 'plain', password: 'wrong' },
    { login: 'nobody', password: testPassword },
    { login: 'suspended', password: testPassword },
    { login: 'locked', password: testPassword },
  ];
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings: patient, realHashes: true });
    for (const login of ['plain', 'locked']) await addUser(server, { login });
    await addUser(server, { login: 'suspended', status: 'Suspended' });
    const { db } = server.core.store;
    await db.updateTable('users').set({ failed_passwords: 100 }).where('login', '=', 'locked').execute();
  });
  afterAll(() => server.close());

  test('tried in turn, the medians of wrong, unknown, disabled and locked are of one order', async () => {
    const times = tries.map((): number[] => []);
    // One more round than counted: the first one warms up.
    for (let round = 0; round <= rounds; round += 1) {
      for (const [index, who] of tries.entries()) {
        const startedMs = performance.now();
        expectError(await postLogin(server.httpsUrl, who), ...refusals.wrongLogin);
        if (round > 0) times[index]?.push(performance.now() - startedMs);
      }
      server.clock.advance(900);
    }
    const medians = times.map((each) => each.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN);
    // Without a hash of the same price it is a tenth of the time.
    expect(Math.max(...medians) / Math.min(...medians)).toBeLessThan(3);
  }, 60_000);
});

describe('[14] the throttle', () => {
  let server: TestServer;
  let count = 0;
  let name = '';
  beforeAll(async () => {
    server = await startTestServer({ settings: hcxOn });
  });
  afterAll(() => server.close());
  // Every test starts with fresh counters of the address, and with a name of its own.
  beforeEach(() => {
    server.clock.advance(2 * 3600);
    count += 1;
    name = `crowd-${count}`;
  });

  const ways: ((login: string) => Promise<HcxAnswer>)[] = [
    (login) => postLogin(server.httpsUrl, { login, password: 'wrong' }),
    (login) => postLogin(server.url, { login, password: 'wrong' }, hybridityPath),
    (login) => getSession(server, basic({ login, password: 'wrong' })),
  ];

  test.each(['known', 'unknown'])(
    '100 parallel wrong logins of a name that is %s, over both POSTs and Basic: the free ones are looked at, the rest 429',
    async (kind) => {
      if (kind === 'known') await addUser(server, { login: name });
      const before = server.core.hasher.evaluated();
      const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => ways[index % 3]?.(name)));
      expect(server.core.hasher.evaluated() - before).toBe(freeTries);
      const refused = answers.filter((answer) => answer?.status === 429) as HcxAnswer[];
      expect(refused).toHaveLength(100 - freeTries);
      for (const answer of refused) {
        expectError(answer, ...refusals.throttled);
        expect(answer.headers.get('retry-after')).toBe('1');
      }
      expect(answers.filter((answer) => answer?.status === 401)).toHaveLength(freeTries);
    },
  );

  test('one address gets so many wrong passwords a minute, whatever names and ways it tries', async () => {
    for (let index = 0; index < addressPerMinute; index += 1) {
      expect((await ways[index % 3]?.(`${name}-${index}`))?.status).toBe(401);
    }
    for (const way of ways) expectError((await way(`${name}-late`)) as HcxAnswer, ...refusals.throttled);
  });

  test('429 does not lengthen the window, and a right password resets the count', async () => {
    const who = { login: name, password: testPassword };
    await addUser(server, { login: name });
    for (let attempt = 0; attempt < freeTries; attempt += 1) await ways[attempt % 3]?.(name);
    for (let attempt = 0; attempt < 10; attempt += 1) {
      expectError(await postLogin(server.httpsUrl, who), ...refusals.throttled);
    }
    server.clock.advance(1);
    expect((await postLogin(server.httpsUrl, who)).status).toBe(200);
    for (let attempt = 0; attempt < freeTries; attempt += 1) expect((await ways[2]?.(name))?.status).toBe(401);
  });
});
