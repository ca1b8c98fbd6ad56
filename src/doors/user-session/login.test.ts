import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { rest } from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import {
  bearer,
  comparable,
  expectRefusal,
  expectSignedOut,
  messages,
  postLogin,
  session,
  sessionOf,
  signIn,
  type WebAnswer,
} from '../../../tests/support/user-session.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { revokeApiKey, setPassword } from '../../core/index.ts';

const { john, soap, admin } = demoUsers;
const caller = { address: 'local', userAgent: 'test', requestId: 'test' };

/** Wide enough that nothing here waits: the throttle has a file of its own. */
const settings = {
  CARDEA_THROTTLE_FREE_TRIES: '100',
  CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
  CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
};

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ settings });
});
afterAll(() => server.close());

const byName = (email: string, password: string) => postLogin(server, { email, password });
const byKey = (apiKey: string, apiSecret: string) => postLogin(server, { apiKey, apiSecret });

/** A user with an API key of its own. */
async function addKeyHolder(login: string): Promise<{ id: number; name: string; key: string }> {
  const id = await addUser(server, { login });
  const { token } = await signIn(server, { login, password: testPassword });
  return { id, name: `apiKey-${id}`, key: await newKey(id, token) };
}

async function newKey(id: number, token: string): Promise<string> {
  const made = await rest(server, 'POST', `/v2/users/key-generate/${id}`, { headers: bearer(token) });
  return made.body.data as string;
}

describe('[8] login by name', () => {
  test.each(['soapuser', 'soapuser@example.com', 'SOAPUSER', 'SoapUser@Example.COM', 'ｓｏａｐｕｓｅｒ'])(
    'L07: %s is the same user by e-mail, login name, letter case and full width',
    async (name) => {
      expect(sessionOf(await byName(name, soap.password)).id).toBe(soap.id);
    },
  );

  test.each([
    ['a space before', ' soapuser'],
    ['a space behind', 'soapuser '],
    ['a trailing dot', 'soapuser.'],
    ['a zero-width space', 'soap\u200buser'],
    ['a direction override', '\u202esoapuser'],
    ['a Cyrillic letter', 's\u043eapuser'],
    ['only the local part of an address', 'jsmith'],
    ['a pattern', 'soap%'],
  ])('L07: %s makes it another name: wrong login', async (_, name) => {
    expectRefusal(await byName(name, soap.password), 401, messages.refused);
  });

  test('there is no check of the form: any name that somebody has signs in', async () => {
    await addUser(server, { login: 'not an e-mail!', email: 'odd@example.com' });
    expect((await byName('not an e-mail!', testPassword)).status).toBe(200);
  });

  test('L06: the forms of one password sign in alike', async () => {
    await addUser(server, { login: 'polyglot', password: 'caf\u00e9 \ufb01ne bread'.normalize('NFKC') });
    for (const form of ['caf\u00e9 fine bread', 'cafe\u0301 fine bread', 'caf\u00e9 \ufb01ne bread']) {
      expect((await byName('polyglot', form)).status).toBe(200);
    }
    expectRefusal(await byName('polyglot', 'cafe fine bread'), 401, messages.refused);
  });

  test.each([72, 255, 1_000])('L03: a password counts beyond its first %d bytes', async (length) => {
    const password = `${'p'.repeat(length)}right`;
    await addUser(server, { login: `long-${length}`, password });
    expect((await byName(`long-${length}`, password)).status).toBe(200);
    for (const wrong of [`${'p'.repeat(length)}wrong`, 'p'.repeat(length), `${password} `]) {
      expectRefusal(await byName(`long-${length}`, wrong), 401, messages.refused);
    }
  });

  test('L05: a password that goes on after NUL is another password', async () => {
    await addUser(server, { login: 'terminator', password: 'correct horse' });
    expectRefusal(await byName('terminator', 'correct horse\u0000battery'), 401, messages.refused);
    expectRefusal(await byName('terminator', '\u0000correct horse'), 401, messages.refused);
  });

  test('L18: further members change nothing', async () => {
    const body = { email: soap.login, password: soap.password };
    const plain = sessionOf(await postLogin(server, body));
    const more = {
      ...body,
      authLevel: 'Root',
      userId: 1,
      id: 1,
      isAdmin: true,
      roles: ['x'],
      status: 'Active',
      x: null,
    };
    const answer = sessionOf(await postLogin(server, more));
    expect({ ...answer, token: '' }).toEqual({ ...plain, token: '' });
  });

  test('L17: fragments of queries are names and passwords like any other', async () => {
    const { db } = server.core.store;
    const before = await db.selectFrom('users').selectAll().orderBy('id').execute();
    const fragments = [
      "' or '1'='1",
      "admin'--",
      "'; drop table users;--",
      '" or ""="',
      '1 or 1=1',
      '%',
      '_',
      '\\',
      '$1',
    ];
    const more = [
      '?',
      '@@version',
      "' union select password_hash from users--",
      '${7*7}',
      '{{7*7}}',
      '%00',
      '\\0',
      'NULL',
    ];
    for (const fragment of [...fragments, ...more]) {
      expectRefusal(await byName(fragment, fragment), 401, messages.refused);
      expectRefusal(await byName(soap.login, fragment), 401, messages.refused);
      expectRefusal(await byKey(fragment, fragment), 401, messages.refused);
    }
    const withoutCount = (rows: typeof before) => rows.map((row) => ({ ...row, failed_passwords: 0 }));
    expect(withoutCount(await db.selectFrom('users').selectAll().orderBy('id').execute())).toEqual(
      withoutCount(before),
    );
  });

  test('L26: a Basic header beside the login body is ignored', async () => {
    const headers = { Authorization: `Basic ${btoa(`${admin.login}:${admin.password}`)}` };
    expect(sessionOf(await postLogin(server, { email: soap.login, password: soap.password }, headers)).id).toBe(
      soap.id,
    );
    expectRefusal(await postLogin(server, { email: soap.login, password: 'wrong' }, headers), 401, messages.refused);
  });
});

describe('[8] login by API key', () => {
  test.each([demoKey, demoKey.toLowerCase()])('the pair signs its owner in with %s', async (key) => {
    const opened = sessionOf(await byKey('apiKey-4821', key));
    expect(opened).toMatchObject({ id: 4821, email: john.login, currentAccountId: '1' });
    expect(sessionOf(await session(server, bearer(opened.token))).id).toBe(4821);
  });

  test('every wrong pair is refused in equal bytes: another owner, a replaced key, no user, no key', async () => {
    const holder = await addKeyHolder('holder');
    const { token } = await signIn(server, { login: 'holder', password: testPassword });
    const replacement = await newKey(holder.id, token);
    const wrong: [string, string][] = [
      ['apiKey-12345', demoKey],
      [holder.name, demoKey],
      ['apiKey-4821', replacement],
      [holder.name, holder.key],
      ['apiKey-0', demoKey],
      ['apiKey-', demoKey],
      ['apikey-4821', demoKey],
      ['apiKey-04821', demoKey],
      ['apiKey-4821 ', demoKey],
      ['4821', demoKey],
      ['apiKey-4821', demoKey.slice(0, -1)],
      ['apiKey-4821', demoKey.replaceAll('-', '')],
      ['apiKey-4821', `{${demoKey}}`],
      ['apiKey-4821', '00000000-0000-0000-0000-000000000000'],
      ['apiKey-999999', demoKey],
    ];
    const answers: WebAnswer[] = [];
    for (const [name, key] of wrong) answers.push(await byKey(name, key));
    for (const answer of answers) {
      expectRefusal(answer, 401, messages.refused);
      expect(comparable(answer)).toEqual(comparable(await byName('nobody-at-all', 'wrong password')));
    }
    expect((await byKey(holder.name, replacement)).status).toBe(200);
  });

  test('revoking the key ends the session that it opened, and no other', async () => {
    const { id, name, key } = await addKeyHolder('revoker');
    const opened = sessionOf(await byKey(name, key));
    const other = await signIn(server, { login: 'revoker', password: testPassword });
    await revokeApiKey(server.core, 'system', id, caller);
    expectSignedOut(await session(server, bearer(opened.token)), 'presented');
    expect((await session(server, bearer(other.token))).status).toBe(200);
    expectRefusal(await byKey(name, key), 401, messages.refused);
  });

  test('replacing the key ends the session that it opened', async () => {
    const { id, name, key } = await addKeyHolder('rotator');
    const opened = sessionOf(await byKey(name, key));
    const { token } = await signIn(server, { login: 'rotator', password: testPassword });
    await newKey(id, token);
    expectSignedOut(await session(server, bearer(opened.token)), 'presented');
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test.each(['Suspended', 'Terminated'] as const)('K08: the key of a %s user signs nobody in', async (status) => {
    const { id, name, key } = await addKeyHolder(`key-${status}`);
    await setUserStatus(server, id, status);
    expectRefusal(await byKey(name, key), 401, messages.refused);
  });

  test('K08: an expired key signs nobody in', async () => {
    const { id, name, key } = await addKeyHolder('leaser');
    const at = Math.floor(server.clock.nowMs / 1000);
    const keys = server.core.store.db.updateTable('api_keys').where('user_id', '=', id);
    await keys.set({ expires_at: at + 1 }).execute();
    expect((await byKey(name, key)).status).toBe(200);
    await keys.set({ expires_at: at }).execute();
    expectRefusal(await byKey(name, key), 401, messages.refused);
  });
});

describe('5.1 what else ends sessions of this door', () => {
  test('a password set by an administrator ends them, and the old password never works again', async () => {
    const id = await addUser(server, { login: 'renewed' });
    const { token } = await signIn(server, { login: 'renewed', password: testPassword });
    await setPassword(server.core, 'system', id, 'another horse battery', caller);
    expectSignedOut(await session(server, bearer(token)), 'presented');
    expectRefusal(await byName('renewed', testPassword), 401, messages.refused);
    expect((await byName('renewed', 'another horse battery')).status).toBe(200);
  });

  test('S21: the 101st login ends the oldest session alone', async () => {
    await addUser(server, { login: 'collector' });
    const tokens: string[] = [];
    for (let count = 0; count < 101; count += 1) {
      server.clock.advance(1);
      tokens.push((await signIn(server, { login: 'collector', password: testPassword })).token);
    }
    expectSignedOut(await session(server, bearer(tokens[0] ?? '')), 'presented');
    for (const token of [tokens[1], tokens[100]]) {
      expect((await session(server, bearer(token ?? ''))).status).toBe(200);
    }
  });
});
