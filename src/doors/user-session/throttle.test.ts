import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { rest } from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import {
  bearer,
  comparable,
  expectRefusal,
  expectSignedOut,
  messages,
  postLogin,
  session,
  signIn,
} from '../../../tests/support/user-session.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

/** Wrong passwords for one name before a further try has to wait, and wrong passwords a minute from one address. */
const freeTries = 5;
const addressPerMinute = 20;
const wrong = 'wrong password';

type Answered = { readonly status: number; readonly headers: Headers };

function statusCounts(answers: readonly Answered[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

function inParallel(times: number, ask: (index: number) => Promise<Answered>): Promise<Answered[]> {
  return Promise.all(Array.from({ length: times }, (_, index) => ask(index)));
}

describe.each(engines.map((engine) => [engine]))('[10] the throttle on %s', (engine) => {
  let server: TestServer;
  let count = 0;
  let name = '';
  beforeAll(async () => {
    server = await startTestServer({ engine });
  }, 30_000);
  afterAll(() => server.close());
  // Every test starts with fresh counters of the address, and with a name of its own.
  beforeEach(() => {
    server.clock.advance(2 * 3600);
    count += 1;
    name = `crowd-${count}`;
  });

  const tryHere = (email: string, password = wrong) => postLogin(server, { email, password });
  const tryThere = (login: string) => rest(server, 'POST', '/v2/auth/login', { body: { login, password: wrong } });

  /** How many passwords were looked at while `ask` ran a hundred times at once. */
  async function crowd(ask: (index: number) => Promise<Answered>): Promise<{ answers: Answered[]; evaluated: number }> {
    const before = server.core.hasher.evaluated();
    const answers = await inParallel(100, ask);
    return { answers, evaluated: server.core.hasher.evaluated() - before };
  }

  test('L08: of 100 parallel wrong logins the free ones are looked at, the rest are 429 with a whole Retry-After', async () => {
    await addUser(server, { login: name });
    const { answers, evaluated } = await crowd(() => tryHere(name));
    expect(evaluated).toBe(freeTries);
    expect(statusCounts(answers)).toEqual({ 401: freeTries, 429: 100 - freeTries });
    for (const { status, headers } of answers) if (status === 429) expect(headers.get('retry-after')).toBe('1');
  });

  test('L08: an unknown name is throttled alike, answer by answer', async () => {
    await addUser(server, { login: name });
    for (let attempt = 0; attempt < freeTries + 3; attempt += 1) {
      expect(comparable(await tryHere(`unknown-${count}`))).toEqual(comparable(await tryHere(name)));
    }
    expectRefusal(await tryHere(name), 429, messages.later);
  });

  test('L09: spread over two doors there are no more', async () => {
    await addUser(server, { login: name });
    const { answers, evaluated } = await crowd((index) => (index % 2 === 0 ? tryHere(name) : tryThere(name)));
    expect(evaluated).toBe(freeTries);
    expect(statusCounts(answers)).toEqual({ 401: freeTries, 429: 100 - freeTries });
  });

  test('L09: spread over doors, e-mail, login name and letter case: the free ones of each name as typed, no more', async () => {
    const email = `${name}@example.com`;
    await addUser(server, { login: name, email });
    const spellings = [name, email, name.toUpperCase(), email.toUpperCase()];
    const { answers, evaluated } = await crowd((index) => {
      const spelling = spellings[index % 4] ?? name;
      return index % 8 < 4 ? tryHere(spelling) : tryThere(spelling);
    });
    expect(evaluated).toBe(2 * freeTries);
    expect(statusCounts(answers)).toEqual({ 401: 2 * freeTries, 429: 100 - 2 * freeTries });
  });

  test('L10, L11: one address gets so many wrong passwords a minute, whatever names it tries', async () => {
    const before = server.core.hasher.evaluated();
    const answers: Answered[] = [];
    // As many at once as the hashing lane takes on any machine.
    for (let batch = 0; batch < 5; batch += 1) {
      answers.push(...(await inParallel(16, (index) => tryHere(`${name}-${batch}-${index}`))));
    }
    expect(server.core.hasher.evaluated() - before).toBe(addressPerMinute);
    expect(statusCounts(answers)).toEqual({ 401: addressPerMinute, 429: 80 - addressPerMinute });
    expect((await tryHere(`${name}-late`)).headers.get('retry-after')).toBe('60');
    server.clock.advance(60);
    expect((await tryHere(`${name}-late`)).status).toBe(401);
  });

  test('429 answers during the window do not lengthen it', async () => {
    for (let attempt = 0; attempt < freeTries; attempt += 1) await tryHere(name);
    for (const waitSeconds of [1, 2, 4]) {
      for (const moveSeconds of [0, waitSeconds / 2, waitSeconds / 2 - 0.001]) {
        server.clock.advance(moveSeconds);
        expectRefusal(await tryHere(name), 429, messages.later);
      }
      server.clock.advance(0.001);
      expect((await tryHere(name)).status).toBe(401);
      expect((await tryHere(name)).headers.get('retry-after')).toBe(String(waitSeconds * 2));
    }
  });

  test('while a name waits the right password is refused unseen; a success resets the counter', async () => {
    await addUser(server, { login: name });
    for (let attempt = 0; attempt < freeTries; attempt += 1) await tryHere(name);
    const before = server.core.hasher.evaluated();
    expectRefusal(await tryHere(name, testPassword), 429, messages.later);
    expect(server.core.hasher.evaluated()).toBe(before);
    server.clock.advance(1);
    expect((await tryHere(name, testPassword)).status).toBe(200);
    // The owner's own mistakes count from zero again.
    for (let attempt = 0; attempt < freeTries; attempt += 1) expect((await tryHere(name)).status).toBe(401);
  });

  test("L13: flooding a name ends none of the victim's sessions, and shuts the owner not out of a known place", async () => {
    await addUser(server, { login: name });
    const { token } = await signIn(server, { login: name, password: testPassword });
    await crowd(() => tryHere(name));
    expect((await session(server, bearer(token))).status).toBe(200);
    server.clock.advance(60);
    expect((await tryHere(name, testPassword)).status).toBe(200);
  });

  test('guesses of a key are counted by the apiKey as typed', async () => {
    const guess = (apiKey: string) => postLogin(server, { apiKey, apiSecret: '00000000-0000-0000-0000-000000000000' });
    for (const apiKey of ['apiKey-4821', 'apiKey-77777']) {
      for (let attempt = 0; attempt < freeTries; attempt += 1) expect((await guess(apiKey)).status).toBe(401);
      expectRefusal(await guess(apiKey), 429, messages.later);
    }
    expectRefusal(await postLogin(server, { apiKey: 'apiKey-4821', apiSecret: demoKey }), 429, messages.later);
    expect((await tryHere(demoUsers.john.login, demoUsers.john.password)).status).toBe(200);
  });

  test('L12: an undeclared peer cannot take another address by a header', async () => {
    for (let index = 0; index < addressPerMinute; index += 1) await tryHere(`${name}-${index}`);
    const body = { email: name, password: wrong };
    const forged = { 'X-Forwarded-For': '203.0.113.9', Forwarded: 'for=203.0.113.9', 'X-Real-IP': '203.0.113.9' };
    expectRefusal(await postLogin(server, body, forged), 429, messages.later);
  });

  test('a refused login body is no try', async () => {
    await addUser(server, { login: name });
    for (let attempt = 0; attempt < 2 * addressPerMinute; attempt += 1) {
      expect((await postLogin(server, { email: name, password: null })).status).toBe(400);
    }
    expect((await tryHere(name, testPassword)).status).toBe(200);
  });
});

describe('[20] signed-out browsers', () => {
  test('1,000 "Bearer null" in one second are all 401, and a neighbour at that address still signs in', async () => {
    // Twenty refused tokens would be too many here.
    const server = await startTestServer({ settings: { CARDEA_LIMITS_REFUSED_PER_SECOND: '1' } });
    try {
      const answers = await inParallel(1_000, () => session(server, { Authorization: 'Bearer null' }));
      expect(statusCounts(answers)).toEqual({ 401: 1_000 });
      expect((await inParallel(100, () => session(server, {}))).every(({ status }) => status === 401)).toBe(true);
      const { token } = await signIn(server, demoUsers.john);
      expect((await session(server, bearer(token))).status).toBe(200);
    } finally {
      await server.close();
    }
  });

  test('K06: refused tokens are counted: beyond the limit 429, while a good token and a login go on', async () => {
    const server = await startTestServer({ settings: { CARDEA_LIMITS_REFUSED_PER_SECOND: '1' } });
    try {
      const { token } = await signIn(server, demoUsers.john);
      for (let guess = 0; guess < 20; guess += 1) expectSignedOut(await session(server, bearer('guess')), 'presented');
      const answer = await session(server, bearer('guess'));
      expectRefusal(answer, 429, messages.later);
      expect(answer.headers.get('retry-after')).toBe('1');
      expect((await session(server, bearer(token))).status).toBe(200);
      await signIn(server, demoUsers.john);
      server.clock.advance(1);
      expectSignedOut(await session(server, bearer('guess')), 'presented');
    } finally {
      await server.close();
    }
  });

  test('more checks than a session may make are 429, and no other session is slowed', async () => {
    const server = await startTestServer({ settings: { CARDEA_LIMITS_CHECKS_PER_SECOND: '5' } });
    try {
      const { token } = await signIn(server, demoUsers.john);
      const answers = await inParallel(11, () => session(server, bearer(token)));
      expect(statusCounts(answers)).toEqual({ 200: 10, 429: 1 });
      expect((await session(server, bearer((await signIn(server, demoUsers.john)).token))).status).toBe(200);
    } finally {
      await server.close();
    }
  });
});
