import { afterAll, beforeAll, beforeEach, describe, expect, spyOn, test } from 'bun:test';
import {
  bearer,
  comparable,
  type EcgridAnswer,
  expectRefusal,
  login,
  messages,
  rest,
  session,
} from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';

/** Wrong passwords for one name before a further try has to wait, and wrong passwords a minute from one address. */
const freeTries = 5;
const addressPerMinute = 20;
const hourSeconds = 3600;
/** So many logins at once the hashing lane takes on any machine: one at work and 16 in the queue. */
const laneRoom = 16;

describe.each(engines.map((engine) => [engine]))('[8] the login throttle on %s', (engine) => {
  let server: TestServer;
  let count = 0;
  beforeAll(async () => {
    server = await startTestServer({ engine });
  }, 30_000);
  afterAll(() => server.close());
  // Every test starts with fresh counters of the address, and with names of its own.
  beforeEach(() => {
    server.clock.advance(2 * hourSeconds);
    count += 1;
  });

  const tryLogin = (name: string, password: string, headers: Readonly<Record<string, string>> = {}) =>
    rest(server, 'POST', '/v2/auth/login', { headers, body: { login: name, password } });
  const inParallel = (times: number, name: (index: number) => string) =>
    Promise.all(Array.from({ length: times }, (_, index) => tryLogin(name(index), 'wrong password')));

  test('L08: of 100 parallel wrong passwords for one name only the free ones are looked at; the rest are 429', async () => {
    const name = `crowd-${count}`;
    await addUser(server, { login: name });
    const hashes = countHashes(server);
    const answers = await inParallel(100, () => name);
    expect(hashes.stop()).toBe(freeTries);
    expect(statusCounts(answers)).toEqual({ 401: freeTries, 429: 100 - freeTries });
    for (const answer of answers.filter(({ status }) => status === 429)) {
      expectRefusal(answer, 429, 'RateLimitExceeded', messages.E6);
      expect(answer.headers.get('retry-after')).toBe('1');
    }
  });

  test('L08: an unknown name is throttled alike, answer by answer', async () => {
    const name = `known-${count}`;
    await addUser(server, { login: name });
    for (let attempt = 0; attempt < freeTries + 2; attempt += 1) {
      const known = await tryLogin(name, 'wrong password');
      const unknown = await tryLogin(`unknown-${count}`, 'wrong password');
      expect(comparable(unknown)).toEqual(comparable(known));
    }
  });

  test('a further try waits 1, 2, 4 … seconds; one that is refused is not counted and does not lengthen the wait', async () => {
    const name = `patient-${count}`;
    for (let attempt = 0; attempt < freeTries; attempt += 1) await tryLogin(name, 'wrong password');
    for (const waitSeconds of [1, 2, 4]) {
      for (const advance of [0, waitSeconds - 0.5, 0.25]) {
        server.clock.advance(advance);
        const refused = await tryLogin(name, 'wrong password');
        expect(refused.status).toBe(429);
      }
      const left = await tryLogin(name, 'wrong password');
      expect(left.headers.get('retry-after')).toBe('1');
      server.clock.advance(0.25);
      expect((await tryLogin(name, 'wrong password')).status).toBe(401);
      const next = await tryLogin(name, 'wrong password');
      expect(next.headers.get('retry-after')).toBe(String(waitSeconds * 2));
    }
  });

  test('while a name waits even the right password is refused unseen, and names are counted in their canonical form', async () => {
    const name = `owner-${count}`;
    await addUser(server, { login: name });
    for (let attempt = 0; attempt < freeTries; attempt += 1) {
      await tryLogin(attempt % 2 === 0 ? name : name.toUpperCase(), 'wrong password');
    }
    const hashes = countHashes(server);
    expect((await tryLogin(name, testPassword)).status).toBe(429);
    expect(hashes.stop()).toBe(0);
    server.clock.advance(1);
    await login(server, { login: name, password: testPassword });
  });

  test('a success resets the counter of the name', async () => {
    const name = `forgetful-${count}`;
    await addUser(server, { login: name });
    for (let round = 0; round < 3; round += 1) {
      for (let attempt = 1; attempt < freeTries; attempt += 1) {
        expect((await tryLogin(name, 'wrong password')).status).toBe(401);
      }
      await login(server, { login: name, password: testPassword });
    }
  });

  test('parallel right passwords are no failures, and no two of them wait for each other: all sign in', async () => {
    const name = `busy-${count}`;
    await addUser(server, { login: name });
    const answers = await Promise.all(Array.from({ length: laneRoom }, () => tryLogin(name, testPassword)));
    expect(statusCounts(answers)).toEqual({ 200: laneRoom });
  });

  test('L11: one address gets so many wrong passwords a minute, whatever names it tries', async () => {
    const hashes = countHashes(server);
    const answers: EcgridAnswer[] = [];
    for (let batch = 0; batch < 5; batch += 1) {
      answers.push(...(await inParallel(laneRoom, (index) => `spray-${count}-${batch}-${index}`)));
    }
    expect(hashes.stop()).toBe(addressPerMinute);
    expect(statusCounts(answers)).toEqual({ 401: addressPerMinute, 429: 5 * laneRoom - addressPerMinute });
    const refused = await tryLogin(`spray-${count}-late`, 'wrong password');
    expect(refused.headers.get('retry-after')).toBe('60');
    server.clock.advance(60);
    expect((await tryLogin(`spray-${count}-late`, 'wrong password')).status).toBe(401);
  });

  test('L12: an undeclared peer cannot take another address by a header', async () => {
    for (let index = 0; index < addressPerMinute; index += 1) await tryLogin(`proxy-${count}-${index}`, 'x');
    const forged = { 'X-Forwarded-For': '203.0.113.9', Forwarded: 'for=203.0.113.9', 'X-Real-IP': '203.0.113.9' };
    expect((await tryLogin(`proxy-${count}`, 'x', forged)).status).toBe(429);
  });

  test('L13: flooding a name shuts out neither its sessions nor the owner where the owner signed in before', async () => {
    const name = `flooded-${count}`;
    await addUser(server, { login: name });
    const { token } = await login(server, { login: name, password: testPassword });
    for (let attempt = 0; attempt < freeTries; attempt += 1) await tryLogin(name, 'wrong password');
    expect((await session(server, bearer(token))).status).toBe(200);
    await login(server, { login: name, password: testPassword });
  });
});

function statusCounts(answers: readonly EcgridAnswer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Counts the password hashes that are computed until it is stopped. */
function countHashes({ core }: TestServer): { readonly stop: () => number } {
  const runs = [spyOn(core.hasher, 'verify'), spyOn(core.hasher, 'verifyDummy')];
  return {
    stop() {
      const total = runs.reduce((sum, run) => sum + run.mock.calls.length, 0);
      for (const run of runs) run.mockRestore();
      return total;
    },
  };
}
