import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { sql } from 'kysely';
import { createHash } from 'node:crypto';
import {
  bearer,
  challenge,
  comparable,
  type EcgridAnswer,
  expectRefusal,
  login,
  messages,
  rest,
  session,
} from '../../../tests/support/ecgrid.ts';
import { naughtyStrings } from '../../../tests/support/naughty-strings.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call as callSoap } from '../../../tests/support/soap.ts';
import { addUser } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { createFirstAdministrator } from '../../core/index.ts';

const unlimited = {
  CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000',
  CARDEA_THROTTLE_FREE_TRIES: '100',
  CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
  CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
};
const { john } = demoUsers;

function tryLogin(
  on: TestServer,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<EcgridAnswer> {
  return rest(on, 'POST', '/v2/auth/login', { headers, body });
}

function expectWrong(answer: EcgridAnswer): void {
  expectRefusal(answer, 401, 'InvalidSession', messages.E5);
  expect(answer.headers.get('www-authenticate')).toBe(challenge);
}

/** One digest over every row of the tables that a login must not change by what it is given. */
async function digestRows({ core }: TestServer): Promise<string> {
  const hash = createHash('sha256');
  for (const table of ['organizations', 'mailboxes', 'memberships', 'roles', 'permissions', 'api_keys', 'sessions']) {
    const { rows } = await sql`select * from ${sql.table(table)} order by 1, 2`.execute(core.store.lists);
    hash.update(JSON.stringify(rows));
  }
  const facts = sql`select id, login, email, auth_level, status, password_hash, session_generation from users order by id`;
  return hash.update(JSON.stringify((await facts.execute(core.store.lists)).rows)).digest('hex');
}

describe.each(engines.map((engine) => [engine]))('attacks L on %s', (engine) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ engine, settings: unlimited });
    await addUser(server, { login: 'a', password: 'nine herons on a pond' });
  }, 30_000);
  afterAll(() => server.close());

  const fragments = [
    "' or '1'='1",
    "admin'--",
    "admin' #",
    "admin'/*",
    "' or 1=1 limit 1--",
    "') or ('1'='1",
    "' union select 1,2,3--",
    "'; update users set auth_level='Root'--",
    "'; delete from sessions--",
    "'||(select password_hash from users limit 1)||'",
    '" or ""="',
    '$1',
    '$$x$$',
    '?',
    ':login',
    "E'\\x27'",
    "a' and (select pg_sleep(3)) is null--",
    "a' and randomblob(1000000000)--",
    "a' collate nocase--",
    'chr(39)||chr(39)',
  ];

  test('L17 query fragments and naughty texts as name and password: a wrong login each, and no row changes', async () => {
    const before = await digestRows(server);
    for (const text of [...fragments, ...naughtyStrings]) {
      const fits = text.isWellFormed() && text.length <= 256;
      const asName = await tryLogin(server, { login: text, password: 'nine herons on a pond' });
      // A lone surrogate or an over-long text may be no name at all.
      if (fits || asName.status !== 400) expectWrong(asName);
      const asPassword = await tryLogin(server, { login: crypto.randomUUID(), password: text });
      if (fits || asPassword.status !== 400) expectWrong(asPassword);
    }
    expect(await digestRows(server)).toBe(before);
  }, 30_000);

  test('L05 NUL and control characters: neither cut nor a fault', async () => {
    await login(server, { login: 'a', password: 'nine herons on a pond' });
    for (const name of ['a\0', 'a\0b', '\0', 'a\u001f', 'a\u009f', 'a\u200b', '\u202ea']) {
      const answer = await tryLogin(server, { login: name, password: 'nine herons on a pond' });
      if (answer.status !== 400) expectWrong(answer);
    }
    for (const password of ['nine herons on a pond\0', 'nine herons on a pond\0x', '\0']) {
      expectWrong(await tryLogin(server, { login: 'a', password }));
    }
  });

  test('L03 passwords that are equal in their first 72, 255 and 1,000 bytes are two passwords', async () => {
    for (const length of [72, 255, 1_000]) {
      const start = 'k'.repeat(length);
      await addUser(server, { login: `long-${length}`, password: `${start}a` });
      for (const wrong of [start, `${start}b`, `${start}ab`]) {
        expectWrong(await tryLogin(server, { login: `long-${length}`, password: wrong }));
      }
      await login(server, { login: `long-${length}`, password: `${start}a` });
    }
  });
});

describe('attacks L', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings: unlimited });
  });
  afterAll(() => server.close());

  test('L01 an e-mail that two users have is a wrong login, and each of them signs in by name', async () => {
    // Only an import or an older store could hold such a pair.
    const ids = [await addUser(server, { login: 'pair-1' }), await addUser(server, { login: 'pair-2' })];
    const changes = { email: 'pair@users.example.com', email_key: 'pair@users.example.com' };
    await server.core.store.db.updateTable('users').set(changes).where('id', 'in', ids).execute();
    const ambiguous = await tryLogin(server, { login: 'pair@users.example.com', password: 'correct horse battery' });
    expectWrong(ambiguous);
    const unknown = await tryLogin(server, { login: 'nobody', password: 'x' });
    expect(comparable(ambiguous)).toEqual(comparable(unknown));
    await login(server, { login: 'pair-1', password: 'correct horse battery' });
  });

  test('L26 a Basic header and user-info in the address are ignored', async () => {
    const basic = { Authorization: `Basic ${btoa(`${john.login}:${john.password}`)}` };
    expectWrong(await tryLogin(server, { login: john.login, password: 'wrong' }, basic));
    expect((await tryLogin(server, { login: john.login, password: john.password }, basic)).status).toBe(200);
    const answer = await rest(server, 'POST', '/v2/auth/login', { headers: basic });
    expectRefusal(answer, 400, 'InvalidParameter', 'The request body is not valid JSON.');
    expectRefusal(await session(server, basic), 401, 'InvalidSession', messages.E2);
  });

  test('K13 a session id, key or token chosen beforehand never comes to life by a login', async () => {
    const chosen = { token: 'A'.repeat(43), sid: 'B'.repeat(22), sessionId: crypto.randomUUID() };
    const { body } = await tryLogin(server, { login: john.login, password: john.password, ...chosen });
    for (const text of Object.values(chosen)) {
      expect(JSON.stringify(body)).not.toContain(text);
      expect((await session(server, bearer(text))).status).toBe(401);
      expect((await session(server, { 'X-API-Key': text })).status).toBe(401);
    }
  });

  test('L18 members that would make more of a user change nothing', async () => {
    const wish = { authLevel: 'Root', userId: 1, isAdmin: true, roles: ['System Administrator'], status: 'Active' };
    const before = await rest(server, 'GET', '/v2/users/me', { headers: bearer((await login(server, john)).token) });
    const answer = await tryLogin(server, { login: john.login, password: john.password, ...wish });
    const { token, userId } = answer.body.data as { token: string; userId: number };
    expect(userId).toBe(4821);
    expect((await rest(server, 'GET', '/v2/users/me', { headers: bearer(token) })).text).toBe(before.text);
  });
});

describe('attacks L: limits', () => {
  test('L24 1,000 distinct unknown names from one address: 429 after the limit of the address, and the table stays small', async () => {
    const server = await startTestServer();
    try {
      const statuses: number[] = [];
      for (let from = 0; from < 1_000; from += 10) {
        const tries = Array.from({ length: 10 }, (_, index) =>
          tryLogin(server, { login: `stranger-${from + index}`, password: 'x' }),
        );
        statuses.push(...(await Promise.all(tries)).map(({ status }) => status));
      }
      expect(statuses.filter((status) => status === 401)).toHaveLength(20);
      expect(statuses.filter((status) => status === 429)).toHaveLength(980);
      const rows = await server.core.store.lists.selectFrom('throttle').select('subject').execute();
      expect(rows.length).toBeLessThanOrEqual(20 + 2);
    } finally {
      await server.close();
    }
  }, 30_000);

  test('L10 the counter of a name is one for both contracts: what one door counted the other one refuses', async () => {
    const server = await startTestServer();
    try {
      await addUser(server, { login: 'shared', password: 'nine herons on a pond' });
      const soapTry = () => callSoap(server, 'Login', { UserName: 'shared', Password: 'wrong' });
      for (let tries = 0; tries < 3; tries += 1)
        expectWrong(await tryLogin(server, { login: 'shared', password: 'x' }));
      for (let tries = 0; tries < 2; tries += 1) expect((await soapTry()).text).not.toContain('Too many');
      const right = { login: 'shared', password: 'nine herons on a pond' };
      expectRefusal(await tryLogin(server, right), 429, 'RateLimitExceeded', messages.E6);
      expect((await soapTry()).text).toContain('Too many');
      server.clock.advance(1);
      await login(server, right);
    } finally {
      await server.close();
    }
  });
});

describe('attacks L: a fresh store', () => {
  let server: TestServer;
  let printed: string;
  beforeEach(async () => {
    server = await startTestServer({
      settings: unlimited,
      prepare: async (core) => {
        const caller = { address: 'local', userAgent: 'test', requestId: 'test' };
        printed = (await createFirstAdministrator(core, caller)) ?? '';
      },
    });
  });
  afterEach(() => server.close());

  test('L22 usual names, passwords and keys, and those of the documents, open nothing', async () => {
    const names = ['admin', 'administrator', 'root', 'cardea', 'sa', 'postgres', 'test', john.login, 'soapuser'];
    const passwords = ['admin', 'password', 'changeme', 'root', 'cardea', '123456', 'VMware1!', john.password];
    for (const name of names) {
      for (const password of passwords) expectWrong(await tryLogin(server, { login: name, password }));
    }
    expect((await session(server, { 'X-API-Key': demoKey })).status).toBe(401);
  });

  test('L23 the printed secret of the first administrator signs in for 24 hours, to the second', async () => {
    const first = { login: 'admin', password: printed };
    server.clock.advance(86_399);
    await login(server, first);
    server.clock.advance(1);
    expectWrong(await tryLogin(server, first));
  });

  test('L23 after a change the printed secret opens nothing, and the new one has no end', async () => {
    const first = { login: 'admin', password: printed };
    const next = { login: 'admin', password: 'nine herons on a pond' };
    const headers = bearer((await login(server, first)).token);
    const body = { currentPassword: printed, newPassword: next.password };
    expect((await rest(server, 'PUT', '/v2/auth/password', { headers, body })).status).toBe(200);
    expectWrong(await tryLogin(server, first));
    server.clock.advance(86_400);
    await login(server, next);
  });
});
