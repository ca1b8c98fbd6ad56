import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test';
import {
  apiKey,
  bearer,
  comparable,
  type EcgridAnswer,
  expectRefusal,
  login,
  messages,
  rest,
  session,
} from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';
import { listAudit } from '../../core/index.ts';

/** Wide enough that nothing here waits: the throttle has a file of its own. */
const settings = {
  CARDEA_THROTTLE_FREE_TRIES: '100',
  CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
  CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
};

/** After 30 failures a name waits this long. */
const longWaitSeconds = 15 * 60;

type Case = readonly [name: string, login: string, password: string];
const cases: readonly Case[] = [
  ['a wrong password', 'plain', 'wrong password'],
  ['an unknown name', 'nobody-at-all', testPassword],
  ['a suspended user with the right password', 'suspended', testPassword],
  ['a terminated user with the right password', 'terminated', testPassword],
  ['a locked user with the right password', 'locked', testPassword],
  ['a locked user with a wrong password', 'locked', 'wrong password'],
  ['an e-mail address of two users with the right password', 'twins@users.example.com', testPassword],
  ['a user who has no password', 'keyonly', testPassword],
  ['a name that no user can have', 'a\u0000b', testPassword],
];

async function addRefusedUsers(server: TestServer): Promise<void> {
  await addUser(server, { login: 'plain' });
  await addUser(server, { login: 'suspended', status: 'Suspended' });
  await addUser(server, { login: 'terminated', status: 'Terminated' });
  await addUser(server, { login: 'locked' });
  await addUser(server, { login: 'twin-a', email: 'twins@users.example.com' });
  await addUser(server, { login: 'twin-b' });
  await addUser(server, { login: 'keyonly' });
  // No operation makes these two; an import of old data can.
  const { db } = server.core.store;
  await db.updateTable('users').set({ email_key: 'twins@users.example.com' }).where('login', '=', 'twin-b').execute();
  await db.updateTable('users').set({ password_hash: null }).where('login', '=', 'keyonly').execute();
}

function tryLogin(server: TestServer, name: string, password: string): Promise<EcgridAnswer> {
  return rest(server, 'POST', '/v2/auth/login', { body: { login: name, password } });
}

describe('[7] refused logins look alike', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings });
    await addRefusedUsers(server);
    for (let count = 0; count < 100; count += 1) await tryLogin(server, 'locked', 'wrong password');
    server.clock.advance(longWaitSeconds);
  });
  afterAll(() => server.close());

  test.each(cases)('L01: %s answers the same bytes as a wrong password', async (_, name, password) => {
    const wrong = await tryLogin(server, 'plain', 'wrong password');
    expectRefusal(wrong, 401, 'InvalidSession', messages.E5);
    const answer = await tryLogin(server, name, password);
    expect(comparable(answer)).toEqual(comparable(wrong));
    server.clock.advance(longWaitSeconds);
  });

  test.each(cases)('L01: %s costs one hash', async (_, name, password) => {
    const { hasher } = server.core;
    const runs = [spyOn(hasher, 'verify'), spyOn(hasher, 'verifyDummy'), spyOn(hasher, 'hash')];
    try {
      await tryLogin(server, name, password);
      expect(runs.reduce((count, run) => count + run.mock.calls.length, 0)).toBe(1);
    } finally {
      for (const run of runs) run.mockRestore();
    }
    server.clock.advance(longWaitSeconds);
  });

  test.each([
    ['damaged', 'not a hash'],
    ['ruinous', '$argon2id$v=19$m=4194304,t=4,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g'],
  ])(
    'L27: a stored hash that is %s is a wrong login, raises the alarm, and is never computed',
    async (name, stored) => {
      const id = await addUser(server, { login: name });
      const { db } = server.core.store;
      await db.updateTable('users').set({ password_hash: stored }).where('id', '=', id).execute();
      const startedMs = performance.now();
      const answer = await tryLogin(server, name, testPassword);
      // Four passes over 4 GiB would take minutes.
      expect(performance.now() - startedMs).toBeLessThan(3_000);
      expect(comparable(answer)).toEqual(comparable(await tryLogin(server, 'nobody-at-all', testPassword)));
      const events = await listAudit(server.core, 0, 1000);
      expect(
        events.filter((event) => event.event === 'login.damaged_hash' && event.target_user_id === id),
      ).toHaveLength(1);
      server.clock.advance(longWaitSeconds);
    },
  );

  test('after a reset the locked user signs in again', async () => {
    const { token } = await login(server, demoUsers.admin);
    const found = await rest(server, 'POST', '/v2/users/by-name', {
      headers: bearer(token),
      body: { login: 'locked' },
    });
    const [{ userId }] = found.body.data as [{ userId: number }];
    expect((await rest(server, 'POST', `/v2/users/reset/${userId}`, { headers: bearer(token) })).status).toBe(200);
    await login(server, { login: 'locked', password: testPassword });
  });

  test('L13: a lock stops password sign-in alone: the session and the key of that user go on', async () => {
    const id = await addUser(server, { login: 'victim' });
    const { token } = await login(server, { login: 'victim', password: testPassword });
    const made = await rest(server, 'POST', `/v2/users/key-generate/${id}`, { headers: bearer(token) });
    for (let count = 0; count < 100; count += 1) await tryLogin(server, 'victim', 'wrong password');
    server.clock.advance(longWaitSeconds);
    expectRefusal(await tryLogin(server, 'victim', testPassword), 401, 'InvalidSession', messages.E5);
    expect((await session(server, bearer(token))).status).toBe(200);
    expect((await session(server, apiKey(made.body.data as string))).status).toBe(200);
  });

  test('Development and Preproduction sign in; Suspended does not, and a restored user does', async () => {
    const id = await addUser(server, { login: 'staged', status: 'Development' });
    const who = { login: 'staged', password: testPassword };
    await login(server, who);
    await setUserStatus(server, id, 'Preproduction');
    await login(server, who);
    await setUserStatus(server, id, 'Suspended');
    expectRefusal(await tryLogin(server, who.login, who.password), 401, 'InvalidSession', messages.E5);
    await setUserStatus(server, id, 'Active');
    await login(server, who);
  });
});

describe('[7] refused logins take the same time at the real cost of a hash', () => {
  const rounds = 12;
  const names = ['a wrong password', 'an unknown name', 'a suspended user', 'a locked user'] as const;
  const tries: readonly (readonly [string, string])[] = [
    ['plain', 'wrong password'],
    ['nobody-at-all', testPassword],
    ['suspended', testPassword],
    ['locked', testPassword],
  ];
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings, realHashes: true });
    await addRefusedUsers(server);
    const { db } = server.core.store;
    await db.updateTable('users').set({ failed_passwords: 100 }).where('login', '=', 'locked').execute();
  });
  afterAll(() => server.close());

  test('tried in turn, their fast medians are of one order', async () => {
    const times = tries.map((): number[] => []);
    // One more round than counted: the first one warms up.
    for (let round = 0; round <= rounds; round += 1) {
      for (const [index, [name, password]] of tries.entries()) {
        const startedMs = performance.now();
        expect((await tryLogin(server, name, password)).status).toBe(401);
        if (round > 0) times[index]?.push(performance.now() - startedMs);
      }
      server.clock.advance(longWaitSeconds);
    }
    const medians = times.map(fastMedian);
    const fastest = Math.min(...medians);
    expect(names.filter((_, index) => (medians[index] ?? Infinity) > fastest * 3)).toEqual([]);
  });
});

/** Median of the faster half: what a quiet machine would have shown. */
function fastMedian(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 4)] ?? Number.NaN;
}
