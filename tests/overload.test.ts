import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '../package.json';
import { demoUsers } from '../src/cli/demo-data.ts';
import { type Hasher, startHasher } from '../src/core/index.ts';
import { openTestCore, outcomeOf, signIn } from './support/core.ts';
import { rest } from './support/ecgrid.ts';
import { type Answer, allDoors, appliance, type Kind, open, type Place, places } from './support/four-doors.ts';
import { startTestServer, type TestServer } from './support/server.ts';
import { call } from './support/soap.ts';
import { breakStore } from './support/store-trouble.ts';
import { postLogin } from './support/user-session.ts';
import { addUser, testPassword } from './support/users.ts';

test('AVL-01: a sign-in beyond the lane is turned away before the store is asked for anybody', async () => {
  const at = await openTestCore();
  const store = {
    ...at.core.store,
    get checks(): never {
      throw new Error('the store was asked');
    },
  };
  const core = { ...at.core, store };
  const leave: (() => void)[] = [];
  await expect(signIn(core, 'nobody')).rejects.toThrow('the store was asked');
  try {
    for (;;) leave.push(core.hasher.enter());
  } catch {
    expect(await outcomeOf(signIn(core, 'nobody'))).toBe('unavailable');
  }
  for (const one of leave) one();
  await expect(signIn(core, 'nobody')).rejects.toThrow('the store was asked');
  await at.close();
});

type Login = (server: TestServer, name: string, password: string) => Promise<Answer>;

/** Every way to sign in by password, and the statuses for "wait" and for "busy". A SOAP fault is a 500 whatever it says. */
const logins: [name: string, login: Login, throttled: number, busy: number][] = [
  [
    'REST',
    (server, login, password) => rest(server, 'POST', '/v2/auth/login', { body: { login, password } }),
    429,
    503,
  ],
  ['web', (server, email, password) => postLogin(server, { email, password }), 429, 503],
  ['SOAP 1.1', (server, UserName, Password) => call(server, 'Login', { UserName, Password }), 500, 500],
  [
    'SOAP 1.2',
    (server, UserName, Password) => call(server, 'Login', { UserName, Password }, { version: '1.2' }),
    500,
    500,
  ],
  ['SOAP form', loginByForm, 429, 503],
  ['appliance', (server, username, password) => loginAtAppliance(server, { username, password }), 429, 503],
  [
    'appliance by Basic',
    (server, name, password) =>
      places['appliance basic'].ask(server, Buffer.from(`${name}:${password}`).toString('base64')),
    429,
    503,
  ],
];

function loginAtAppliance(server: TestServer, body: Readonly<Record<string, string>>): Promise<Answer> {
  return appliance(server, 'POST', '/api/admin/v1/sessions', {}, body);
}

async function loginByForm({ url }: TestServer, UserName: string, Password: string): Promise<Answer> {
  const body = new URLSearchParams({ UserName, Password });
  const { status, headers, text } = await fetch(`${url}/v4.1/prod/ECGridOS.asmx/Login`, { method: 'POST', body }).then(
    async (response) => ({ status: response.status, headers: response.headers, text: await response.text() }),
  );
  return { status, headers, text };
}

/** The wait that an answer asks for. Fails unless it is a positive whole number, without sign, blank or fraction. */
function waitOf({ headers }: Answer): number {
  const text = headers.get('retry-after') ?? 'none';
  expect(text).toMatch(/^[1-9]\d*$/);
  return Number(text);
}

describe('API-08: the wait after too many logins is true to the second', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings: { ...allDoors, CARDEA_THROTTLE_FREE_TRIES: '5' } });
  }, 30_000);
  afterAll(() => server.close());

  test.each(logins)('%s', async (way, login, throttled) => {
    const name = `slow-${way.toLowerCase().replaceAll(/[^a-z\d]/g, '')}`;
    await addUser(server, { login: name });
    for (let count = 0; count < 5; count += 1)
      expect((await login(server, name, 'wrong')).headers.has('retry-after')).toBe(false);
    // The waits double: let some pass, so that one is left which is longer than the rounding.
    for (const seconds of [1, 2, 4]) {
      const refused = await login(server, name, 'wrong');
      expect(refused.status).toBe(throttled);
      expect(waitOf(refused)).toBe(seconds);
      server.clock.advance(seconds);
      expect((await login(server, name, 'wrong')).headers.has('retry-after')).toBe(false);
    }
    expect(waitOf(await login(server, name, testPassword))).toBe(8);
    server.clock.advance(7);
    expect(waitOf(await login(server, name, testPassword))).toBe(1);
    server.clock.advance(1);
    expect((await login(server, name, testPassword)).status).toBe(200);
  });
});

describe('API-08: the wait after too many requests of one principal', () => {
  const kinds: [kind: Kind, place: Place, status: number][] = [
    ['REST token', 'REST bearer', 429],
    ['web token', 'web bearer', 429],
    ['SessionID', 'SOAP SessionID', 500],
    ['appliance token', 'appliance token header', 429],
  ];
  test.each(kinds)('%s as %s', async (kind, place, status) => {
    const server = await startTestServer({ settings: { ...allDoors, CARDEA_LIMITS_CHECKS_PER_SECOND: '1' } });
    try {
      const secret = await open(server, demoUsers.john, kind);
      const ask = () => places[place].ask(server, secret);
      let refused = await ask();
      for (let count = 0; count < 5 && refused.status === 200; count += 1) refused = await ask();
      expect(refused.status).toBe(status);
      server.clock.advance(waitOf(refused));
      expect((await ask()).status).toBe(200);
    } finally {
      await server.close();
    }
  });
});

describe('AVL-01: while every hashing process is at work and nobody more may wait', () => {
  let server: TestServer;
  let token: string;
  let crowded: Hasher;
  let over = false;
  let crowd: Promise<unknown>;
  /** Keeps asking for a hash that takes some seconds. */
  const press = async () => {
    while (!over) await crowded.hash('one of the crowd').catch(() => Bun.sleep(1));
  };
  beforeAll(async () => {
    server = await startTestServer({ settings: allDoors });
    token = await open(server, demoUsers.john, 'REST token');
    await server.core.hasher.close();
    // One process at work, one place to wait in, and more who want it.
    crowded = startHasher({ width: 1, memoryKib: 262_144, passes: 10, queueLength: 1, queueMs: 60_000 });
    Object.defineProperty(server.core, 'hasher', { value: crowded });
    crowd = Promise.all([press(), press(), press()]);
    while (crowded.load().busy === 0 || crowded.load().waiting === 0) await Bun.sleep(5);
  }, 30_000);
  afterAll(async () => {
    over = true;
    await crowded.close();
    await crowd;
    await server.close();
  });

  test.each(logins)(
    '%s is refused at once, with a wait, and a check is answered',
    async (_, login, _throttled, busy) => {
      const startMs = performance.now();
      const answer = await login(server, demoUsers.john.login, demoUsers.john.password);
      const tookMs = performance.now() - startMs;
      expect(answer.status).toBe(busy);
      expect(waitOf(answer)).toBeLessThanOrEqual(5);
      // 50 ms is the promise; a machine under load is given an order of magnitude.
      expect(tookMs).toBeLessThan(500);
      expect((await places['REST bearer'].ask(server, token)).status).toBe(200);
    },
  );

  test('and it was not counted against the name: nobody judged the password', async () => {
    const rows = await server.core.store.lists.selectFrom('throttle').select('failures').execute();
    expect(rows.map(({ failures }) => failures).filter((failures) => failures > 0)).toEqual([]);
  });
});

describe('OPS-03: alive is not ready', () => {
  const ask = async ({ url }: TestServer, path: string) => {
    const response = await fetch(url + path);
    const text = await response.text();
    for (const secret of [version, 'sqlite', 'Bun', 'postgres']) {
      expect(text + JSON.stringify([...response.headers])).not.toContain(secret);
    }
    return { status: response.status, text, wait: response.headers.get('retry-after') };
  };
  const alive = { status: 200, text: '{"status":"alive"}', wait: null };
  const ready = { status: 200, text: '{"status":"ready"}', wait: null };
  const notReady = { status: 503, text: '{"status":"not_ready"}', wait: '2' };

  async function untilReady(server: TestServer): Promise<void> {
    for (let tries = 0; tries < 200 && (await ask(server, '/readyz')).status !== 200; tries += 1) await Bun.sleep(50);
    expect(await ask(server, '/readyz')).toEqual(ready);
  }

  test('a store that does not answer, until it does', async () => {
    const server = await startTestServer();
    try {
      const { mend } = breakStore(server);
      expect(await ask(server, '/readyz')).toEqual(notReady);
      expect(await ask(server, '/healthz')).toEqual(alive);
      mend();
      await untilReady(server);
    } finally {
      await server.close();
    }
  });

  test('F08: a database file that was moved away, for good: the process is to be started anew', async () => {
    const server = await startTestServer();
    const [path, away] = [join(server.directory, 'cardea.db'), join(server.directory, 'moved.db')];
    try {
      renameSync(path, away);
      expect(await ask(server, '/readyz')).toEqual(notReady);
      expect(await ask(server, '/healthz')).toEqual(alive);
      renameSync(away, path);
      expect(await ask(server, '/readyz')).toEqual(notReady);
    } finally {
      await server.close();
    }
  });
});
