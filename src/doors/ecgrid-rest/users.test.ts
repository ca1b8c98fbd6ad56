import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { apiKey, bearer, type EcgridAnswer, expectRefusal, login, rest } from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

type Sent = Readonly<Record<string, string>>;
type User = Readonly<Record<string, unknown>>;

const password = 'nine herons on a pond';
const john = {
  userId: 4821,
  login: 'jsmith@example.com',
  email: 'jsmith@example.com',
  firstName: 'John',
  lastName: 'Smith',
  networkId: 1,
  mailboxId: 101,
  authLevel: 'MailboxAdmin',
  status: 'Active',
  created: '2026-01-12T08:00:00Z',
};

let server: TestServer;
let root: Sent;
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000' } });
  root = bearer((await login(server, demoUsers.admin)).token);
});
afterAll(() => server.close());

function post(path: string, body: unknown, headers: Sent = root): Promise<EcgridAnswer> {
  return rest(server, 'POST', path, { headers, body });
}

function expectField(answer: EcgridAnswer, field: string): void {
  expectRefusal(answer, 400, 'InvalidParameter', new RegExp(`^${field} [^\\r\\n]+\\.$`));
}

describe('6.7 reading users', () => {
  test('GET /v2/users/me: the own user, members in order, by token and by key', async () => {
    const { token } = await login(server, demoUsers.john);
    for (const headers of [bearer(token), apiKey(demoKey)]) {
      const answer = await rest(server, 'GET', '/v2/users/me', { headers });
      expect(answer.text).toBe(JSON.stringify({ success: true, data: john, errorCode: '', message: '' }));
    }
  });

  test('GET /v2/users/{id}: the same user in the same shape', async () => {
    const answer = await rest(server, 'GET', '/v2/users/4821', { headers: root });
    expect(answer.text).toBe(JSON.stringify({ success: true, data: john, errorCode: '', message: '' }));
  });

  test('GET /v2/users/me shows present values, not those of the login', async () => {
    const id = await addUser(server, { login: 'present' });
    const headers = bearer((await login(server, { login: 'present', password: testPassword })).token);
    await rest(server, 'PUT', '/v2/users', { headers: root, body: { userId: id, firstName: 'Later' } });
    const { body } = await rest(server, 'GET', '/v2/users/me', { headers });
    expect(body.data).toMatchObject({ firstName: 'Later' });
  });

  test('S19: HEAD stands wherever GET does, without a body and without data', async () => {
    for (const path of ['/v2/users/me', '/v2/users/4821']) {
      expect((await rest(server, 'HEAD', path, { headers: root })).status).toBe(200);
      expect((await rest(server, 'HEAD', path)).status).toBe(401);
    }
    expect((await rest(server, 'HEAD', '/v2/auth/version')).status).toBe(200);
  });

  test('GET /v2/auth/version: the version of the contract, open to all, whatever credential is sent', async () => {
    for (const headers of [{}, apiKey('bogus'), bearer('bogus')]) {
      const answer = await rest(server, 'GET', '/v2/auth/version', { headers });
      expect(answer.text).toBe('{"success":true,"data":{"version":"2.6"},"errorCode":"","message":""}');
    }
  });
});

describe('6.7 POST /v2/users', () => {
  test('with everything given: the user as stored, created now', async () => {
    const facts = { login: 'Ruth.W', email: 'Ruth@users.example.com', firstName: 'Ruth', lastName: 'Wéber' };
    const rights = { networkId: 100, mailboxId: 200, authLevel: 'NetworkUser' };
    const answer = await post('/v2/users', { ...facts, password, ...rights });
    const { userId } = answer.body.data as { userId: number };
    const expected = { userId, ...facts, ...rights, status: 'Active', created: '2026-05-07T17:30:00Z' };
    expect(answer.text).toBe(JSON.stringify({ success: true, data: expected, errorCode: '', message: '' }));
    expect((await rest(server, 'GET', `/v2/users/${userId}`, { headers: root })).body.data).toEqual(expected);
    expect((await login(server, { login: 'ruth.w', password })).userId).toBe(userId);
  });

  test('with the least given: the network of the caller, no mailbox, MailboxUser, no names', async () => {
    const answer = await post('/v2/users', { login: 'least', email: 'least@users.example.com', password });
    expect(answer.body.data).toMatchObject({
      firstName: '',
      lastName: '',
      networkId: 1,
      mailboxId: 0,
      authLevel: 'MailboxUser',
      status: 'Active',
    });
  });

  test('userId, status, created and members unknown to the contract are ignored', async () => {
    const wish = { userId: 7, status: 'Terminated', created: '2001-01-01T00:00:00Z', isAdmin: true, roles: ['x'] };
    const { body } = await post('/v2/users', { login: 'wisher', email: 'wisher@users.example.com', password, ...wish });
    expect(body.data).toMatchObject({ status: 'Active', created: '2026-05-07T17:30:00Z', authLevel: 'MailboxUser' });
    expect((body.data as User)['userId']).not.toBe(7);
  });

  test.each<[string, User, string]>([
    ['the same login', { login: 'soapuser' }, 'login already exists.'],
    ['the login in other letters', { login: 'SoapUser' }, 'login already exists.'],
    ['the login in full-width letters', { login: '\uff53oapuser' }, 'login already exists.'],
    ["another user's e-mail as login", { login: 'soapuser@example.com' }, 'login already exists.'],
    ['the same e-mail', { email: 'soapuser@example.com' }, 'email already exists.'],
    ['the e-mail in other letters', { email: 'SOAPUSER@EXAMPLE.COM' }, 'email already exists.'],
    ["another user's login as e-mail", { email: 'Twin.Login@users.example.com' }, 'email already exists.'],
  ])('%s is 400 DuplicateObject', async (_, taken, message) => {
    if (message === 'email already exists.') await addTwin();
    const answer = await post('/v2/users', { login: 'dup', email: 'dup@users.example.com', password, ...taken });
    expectRefusal(answer, 400, 'DuplicateObject', message);
  });

  test('login and e-mail of one user may be the same', async () => {
    const name = 'one.name@users.example.com';
    expect((await post('/v2/users', { login: name, email: name, password })).status).toBe(200);
  });

  test.each<[string, User, string]>([
    ['no login', { login: undefined }, 'login'],
    ['an empty login', { login: '' }, 'login'],
    ['a login of 257 characters', { login: 'x'.repeat(257) }, 'login'],
    ['a login with a space before it (L07)', { login: ' x' }, 'login'],
    ['a login with a no-break space behind it (L07)', { login: 'x\u00a0' }, 'login'],
    ['a login with a line break (I01)', { login: 'x\r\ny' }, 'login'],
    ['a login with NUL (B18)', { login: 'x\0y' }, 'login'],
    ['a login with a zero-width space (L07)', { login: 'x\u200by' }, 'login'],
    ['a login with a direction override (L07)', { login: 'x\u202ey' }, 'login'],
    ['a login with half a surrogate pair (B18)', { login: 'x\ud800' }, 'login'],
    ['a login that grows beyond 256 characters in NFKC', { login: '\ufdfa'.repeat(20) }, 'login'],
    ['a login that is a number', { login: 7 }, 'login'],
    ['no e-mail', { email: undefined }, 'email'],
    ['an e-mail of 255 characters', { email: `${'x'.repeat(249)}@y.org` }, 'email'],
    ['an e-mail that grows beyond 254 characters in NFKC', { email: `${'\ufdfa'.repeat(14)}@y.org` }, 'email'],
    ['an e-mail without @', { email: 'x.example.com' }, 'email'],
    ['an e-mail with two @', { email: 'x@y@example.com' }, 'email'],
    ['an e-mail that begins with @', { email: '@example.com' }, 'email'],
    ['an e-mail that ends with @', { email: 'x@' }, 'email'],
    ['an e-mail with NUL (B18)', { email: 'x\0@example.com' }, 'email'],
    ['a first name of 101 characters', { firstName: 'x'.repeat(101) }, 'firstName'],
    ['a last name of 101 characters', { lastName: 'x'.repeat(101) }, 'lastName'],
    ['a last name with NUL (B18)', { lastName: 'x\0' }, 'lastName'],
    ['a first name null', { firstName: null }, 'firstName'],
    ['a first name with half a surrogate pair (B18)', { firstName: '\udfff' }, 'firstName'],
    ['a network that does not exist', { networkId: 99 }, 'networkId'],
    ['the network 0', { networkId: 0 }, 'networkId'],
    ['a network as text', { networkId: '1' }, 'networkId'],
    ['a mailbox of another network', { networkId: 1, mailboxId: 200 }, 'mailboxId'],
    ['a mailbox that does not exist', { mailboxId: 5 }, 'mailboxId'],
    ['a mailbox of 1.5', { mailboxId: 1.5 }, 'mailboxId'],
    ['the level NoChange', { authLevel: 'NoChange' }, 'authLevel'],
    ['a level in other letters', { authLevel: 'mailboxuser' }, 'authLevel'],
    ['a level as a number', { authLevel: 7 }, 'authLevel'],
    ['no password', { password: undefined }, 'password'],
  ])('%s is 400 that names the field', async (_, wrong, field) => {
    const good = { login: 'wrong', email: 'wrong@users.example.com', password };
    expectField(await post('/v2/users', { ...good, ...wrong }), field);
    expect((await post('/v2/users/by-name', { login: 'wrong' })).body.data).toEqual([]);
  });

  test('the longest of everything is stored and returned exactly', async () => {
    const facts = {
      login: 'l'.repeat(256),
      email: `${'e'.repeat(242)}@example.com`,
      firstName: '\u{1f9a2}'.repeat(50),
      lastName: '\u00f6'.repeat(100),
    };
    expect((await post('/v2/users', { ...facts, password })).body.data).toMatchObject(facts);
    expect((await login(server, { login: 'L'.repeat(256), password })).userId).toBeGreaterThan(0);
  });

  test('the password is nowhere in the answer or the log', async () => {
    const answer = await post('/v2/users', { login: 'quiet', email: 'quiet@users.example.com', password });
    expect(answer.status).toBe(200);
    expect(answer.text).not.toMatch(/argon2|hash|password/i);
    expect(server.log.join('\n')).not.toContain(password);
  });
});

/** A user whose login is an e-mail address that nobody has as e-mail. */
async function addTwin(): Promise<void> {
  const { body } = await post('/v2/users/by-name', { login: 'twin.login@users.example.com' });
  if ((body.data as unknown[]).length > 0) return;
  await addUser(server, { login: 'twin.login@users.example.com', email: 'other@users.example.com' });
}

describe('6.7 PUT /v2/users', () => {
  test('the own names and e-mail: what is absent stays, and everything else stays', async () => {
    const id = await addUser(server, { login: 'renamed', place: { organizationId: 1, mailboxId: 101 } });
    const headers = bearer((await login(server, { login: 'renamed', password: testPassword })).token);
    const put = (body: User) => rest(server, 'PUT', '/v2/users', { headers, body: { userId: id, ...body } });
    expect((await put({ firstName: 'Ann' })).body.data).toMatchObject({ firstName: 'Ann', lastName: '' });
    expect((await put({ lastName: 'Ohm' })).body.data).toMatchObject({ firstName: 'Ann', lastName: 'Ohm' });
    const { body } = await put({ email: 'New@users.example.com', authLevel: 'Root', status: 'Terminated', login: 'x' });
    expect(body.data).toEqual({
      userId: id,
      login: 'renamed',
      email: 'New@users.example.com',
      firstName: 'Ann',
      lastName: 'Ohm',
      networkId: 1,
      mailboxId: 101,
      authLevel: 'MailboxUser',
      status: 'Active',
      created: '2026-05-07T17:30:00Z',
    });
    expect((await put({})).body.data).toEqual(body.data);
    expect((await put({ email: 'NEW@users.example.com' })).status).toBe(200);
  });

  test.each<[string, User, string]>([
    ['no id', { userId: undefined }, 'userId'],
    ['the id 0 (S05)', { userId: 0 }, 'userId'],
    ['the id 2^31 (S05)', { userId: 2_147_483_648 }, 'userId'],
    ['an id as text (S05)', { userId: '4821' }, 'userId'],
    ['an id of 1.5 (B06)', { userId: 1.5 }, 'userId'],
    ['an e-mail without @', { email: 'x' }, 'email'],
    ['an e-mail null', { email: null }, 'email'],
    ['a name of 101 characters', { lastName: 'x'.repeat(101) }, 'lastName'],
  ])('%s is 400 that names the field', async (_, wrong, field) => {
    const body = { userId: 12345, ...wrong };
    expectField(await rest(server, 'PUT', '/v2/users', { headers: root, body }), field);
  });

  test("another user's login or e-mail as e-mail is 400 DuplicateObject", async () => {
    await addTwin();
    for (const email of ['JSMITH@example.com', 'twin.login@users.example.com']) {
      const answer = await rest(server, 'PUT', '/v2/users', { headers: root, body: { userId: 12345, email } });
      expectRefusal(answer, 400, 'DuplicateObject', 'email already exists.');
    }
  });
});

describe('6.7 finding users', () => {
  test('by-name: one user by login in any letters, none for an e-mail or a stranger', async () => {
    const found = await post('/v2/users/by-name', { login: 'JSMITH@example.com' });
    expect(found.text).toBe(JSON.stringify({ success: true, data: [john], errorCode: '', message: '' }));
    for (const name of ['soapuser@example.com', 'stranger', '%', '_oapuser', 'soap*', "x' or '1'='1"]) {
      expect((await post('/v2/users/by-name', { login: name })).body.data).toEqual([]);
    }
  });

  test.each<[unknown]>([[undefined], [null], [''], [7], [['x']], ['x'.repeat(257)]])(
    'by-name with login %j: 400',
    async (name) => {
      expectField(await post('/v2/users/by-name', { login: name }), 'login');
    },
  );

  test('list: a status filter, and none for what is left out', async () => {
    const id = await addUser(server, { login: 'halted' });
    await setUserStatus(server, id, 'Suspended');
    const { body } = await post('/v2/users/list', { status: 'Suspended' });
    expect((body.data as User[]).map(({ login: name }) => name)).toEqual(['halted']);
  });
});
