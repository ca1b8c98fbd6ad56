import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import {
  apiKey,
  bearer,
  type EcgridAnswer,
  expectBadBearer,
  expectRefusal,
  login,
  messages,
  rest,
  session,
} from '../../../tests/support/ecgrid.ts';
import { doorsOf, tokenOf } from '../../../tests/support/http.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call as callSoap, soapLogin } from '../../../tests/support/soap.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';

type Sent = Readonly<Record<string, string>>;
const newPassword = 'nine herons on a pond';

let server: TestServer;
let root: string;
let count = 0;
beforeAll(async () => {
  server = await startTestServer();
  root = (await login(server, demoUsers.admin)).token;
});
afterAll(() => server.close());

function change(on: TestServer, headers: Sent, body: unknown): Promise<EcgridAnswer> {
  return rest(on, 'PUT', '/v2/auth/password', { headers, body });
}

/** A user of its own for each test, so that no counter of wrong passwords is shared. */
async function newcomer(on: TestServer = server): Promise<{ id: number; login: string; password: string }> {
  count += 1;
  const name = `changer-${count}`;
  return { id: await addUser(on, { login: name }), login: name, password: testPassword };
}

describe('[20] changing the own password', () => {
  test('the other sessions end on every door, the presenting one and the key go on, the new password counts', async () => {
    const user = await newcomer();
    const own = bearer((await login(server, user)).token);
    const other = bearer((await login(server, user)).token);
    const web = tokenOf(await doorsOf(server.url).webLogin(user.login, user.password));
    const soap = await soapLogin(server, user);
    const { body } = await rest(server, 'POST', `/v2/users/key-generate/${user.id}`, { headers: own });
    const answer = await change(server, own, { currentPassword: testPassword, newPassword });
    expect(answer.status).toBe(200);
    expect(answer.text).toBe('{"success":true,"data":null,"errorCode":"","message":"Password updated successfully."}');
    expectBadBearer(await session(server, other));
    expect((await doorsOf(server.url).webSession(web)).status).toBe(401);
    expect((await callSoap(server, 'SessionInfo', { SessionID: soap })).status).toBe(500);
    expect((await session(server, own)).status).toBe(200);
    expect((await session(server, apiKey(body.data as string))).status).toBe(200);
    const old = await rest(server, 'POST', '/v2/auth/login', { body: user });
    expectRefusal(old, 401, 'InvalidSession', messages.E5);
    await login(server, { ...user, password: newPassword });
  });

  test('by a key alone all sessions end, and the key goes on', async () => {
    const user = await newcomer();
    const own = bearer((await login(server, user)).token);
    const { body } = await rest(server, 'POST', `/v2/users/key-generate/${user.id}`, { headers: own });
    const key = apiKey(body.data as string);
    expect((await change(server, key, { currentPassword: testPassword, newPassword })).status).toBe(200);
    expectBadBearer(await session(server, own));
    expect((await session(server, key)).status).toBe(200);
  });

  test('by key and bearer of the same user the session counts: it goes on', async () => {
    const user = await newcomer();
    const own = bearer((await login(server, user)).token);
    const { body } = await rest(server, 'POST', `/v2/users/key-generate/${user.id}`, { headers: own });
    const both = { ...own, ...apiKey(body.data as string) };
    expect((await change(server, both, { currentPassword: testPassword, newPassword })).status).toBe(200);
    expect((await session(server, own)).status).toBe(200);
  });

  test('a wrong current password is 400 E9, and nothing changes', async () => {
    const user = await newcomer();
    const [own, other] = [(await login(server, user)).token, (await login(server, user)).token].map(bearer);
    const answer = await change(server, own ?? {}, { currentPassword: 'not this one at all', newPassword });
    expectRefusal(answer, 400, 'InvalidParameter', messages.E9);
    expect((await session(server, other ?? {})).status).toBe(200);
    await login(server, user);
  });

  test('L21: wrong current passwords count like failed logins, and with them: 400 five times, then 429 for both', async () => {
    const user = await newcomer();
    const own = bearer((await login(server, user)).token);
    const guess = () => change(server, own, { currentPassword: 'not this one at all', newPassword });
    for (let tries = 0; tries < 5; tries += 1) expectRefusal(await guess(), 400, 'InvalidParameter', messages.E9);
    // The owner signed in from this address before, which keeps one try open.
    expectRefusal(await guess(), 400, 'InvalidParameter', messages.E9);
    const answer = await guess();
    expectRefusal(answer, 429, 'RateLimitExceeded', messages.E6);
    expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(30);
    const right = await change(server, own, { currentPassword: testPassword, newPassword });
    expectRefusal(right, 429, 'RateLimitExceeded', messages.E6);
    expectRefusal(await rest(server, 'POST', '/v2/auth/login', { body: user }), 429, 'RateLimitExceeded', messages.E6);
    expect((await session(server, own)).status).toBe(200);
  });

  test('without a credential it is 401, before the body is looked at', async () => {
    expectRefusal(await change(server, {}, 'no'), 401, 'InvalidSession', messages.E1);
  });

  test.each<[string, unknown, RegExp]>([
    ['no current password', { newPassword }, /^currentPassword /],
    ['an empty current password', { currentPassword: '', newPassword }, /^currentPassword /],
    ['a number', { currentPassword: 7, newPassword }, /^currentPassword /],
    ['no new password', { currentPassword: testPassword }, /^newPassword /],
    ['null', { currentPassword: testPassword, newPassword: null }, /^newPassword /],
    ['a list', { currentPassword: testPassword, newPassword: [newPassword] }, /^newPassword /],
  ])('a body with %s is 400 that names the field', async (_, body, message) => {
    expectRefusal(await change(server, bearer(root), body), 400, 'InvalidParameter', message);
  });
});

describe('with ecgrid.keepSessionsOnPasswordChange', () => {
  test('[20] all sessions go on', async () => {
    const own = await startTestServer({ settings: { CARDEA_ECGRID_KEEP_SESSIONS_ON_PASSWORD_CHANGE: 'true' } });
    try {
      const user = await newcomer(own);
      const [first, second] = [(await login(own, user)).token, (await login(own, user)).token].map(bearer);
      expect((await change(own, first ?? {}, { currentPassword: testPassword, newPassword })).status).toBe(200);
      expect((await session(own, first ?? {})).status).toBe(200);
      expect((await session(own, second ?? {})).status).toBe(200);
    } finally {
      await own.close();
    }
  });
});

/** The three operations that take a new password, each with the name it has there; the name of the user is given. */
const places: [string, string, (user: { id: number; login: string }, password: string) => Promise<EcgridAnswer>][] = [
  [
    'PUT /v2/auth/password',
    'newPassword',
    async (user, password) => {
      const headers = bearer((await login(server, { login: user.login, password: testPassword })).token);
      return change(server, headers, { currentPassword: testPassword, newPassword: password });
    },
  ],
  [
    'POST /v2/users/password',
    'newPassword',
    (user, password) =>
      rest(server, 'POST', '/v2/users/password', {
        headers: bearer(root),
        body: { userId: user.id, newPassword: password },
      }),
  ],
  [
    'POST /v2/users',
    'password',
    (user, password) => {
      const email = `${user.login}@users.example.com`;
      const body = { login: `${user.login}-twin`, email: email.replace('@', '.twin@'), password };
      return rest(server, 'POST', '/v2/users', { headers: bearer(root), body });
    },
  ],
];

describe.each(places)('[20] the policy for a new password at %s', (_, field, set) => {
  test.each<[string, string]>([
    ['empty', ''],
    ['11 characters', 'kestrel sky'],
    ['11 characters of two code units each', '\u{1f9a2}'.repeat(11)],
    ['11 characters after NFKC', 'e\u0301'.repeat(11)],
    ['a common password', 'qwerty123456'],
    ['a common password in capitals', 'QWERTY123456'],
    ['a common password in full-width letters', '\uff51werty123456'],
    ['the host of this server', 'auth.example.com'],
    ['the host in capitals', 'AUTH.EXAMPLE.COM'],
    ['only spaces (L14)', ' '.repeat(20)],
    ['1,025 bytes', 'k'.repeat(1025)],
    ['half a surrogate pair (B18)', `${'k'.repeat(20)}\ud800`],
  ])('L14: %s is 400 that names the field, and not the password', async (_name, password) => {
    const answer = await set(await newcomer(), password);
    expectRefusal(answer, 400, 'InvalidParameter', new RegExp(`^${field} [a-z][^\\r\\n]+\\.$`));
    if (password !== '') expect(answer.text).not.toContain(password);
  });

  test.each<[string, string]>([
    ['64 lower-case letters', 'kestrelheronpond'.repeat(4)],
    ['12 characters without a digit or capital', 'pond of owls'],
    ['12 characters of two code units each', '\u{1f9a2}'.repeat(12)],
    ['spaces around it', '  heron on a pond  '],
    ['1,024 bytes', 'k'.repeat(1024)],
    ['the password of the login page', 'Sup3r$ecret!'],
  ])('%s is good, and signs in', async (_name, password) => {
    const user = await newcomer();
    const answer = await set(user, password);
    expect(answer.status).toBe(200);
    const name = field === 'password' ? `${user.login}-twin` : user.login;
    await login(server, { login: name, password });
  });
});

describe('L14: a password that is the user', () => {
  test.each([
    ['the login', 'Lars.Petterson'],
    ['the login in full-width letters', '\uff2cars.petterson'],
    ['the e-mail', 'L.Petterson-Berg@users.example.com'],
    ['the local part of the e-mail', 'l.petterson-berg'],
  ])('%s is 400', async (_, password) => {
    count += 1;
    const id = await addUser(server, {
      login: 'Lars.Petterson',
      email: 'L.Petterson-Berg@users.example.com',
    });
    try {
      const body = { userId: id, newPassword: password };
      const answer = await rest(server, 'POST', '/v2/users/password', { headers: bearer(root), body });
      expectRefusal(answer, 400, 'InvalidParameter', /^newPassword /);
    } finally {
      await rest(server, 'DELETE', `/v2/users/${id}`, { headers: bearer(root) });
    }
  });

  test('L14: the current one again is 400, also in another spelling of the same characters', async () => {
    count += 1;
    const user = { login: `changer-${count}`, password: 'caf\u00e9 au lait grand' };
    await addUser(server, user);
    const headers = bearer((await login(server, user)).token);
    for (const again of [user.password, user.password.normalize('NFD')]) {
      const answer = await change(server, headers, { currentPassword: user.password, newPassword: again });
      expectRefusal(answer, 400, 'InvalidParameter', /^newPassword /);
    }
  });
});

describe('the settings of the policy', () => {
  test('password.minLength, ecgrid.passwordComposition and password.blocklistFile count', async () => {
    const list = join(server.directory, 'words.txt');
    await Bun.write(list, 'Geranium Geranium 77!\n\nanother Line 7!\n');
    const own = await startTestServer({
      settings: {
        CARDEA_PASSWORD_MIN_LENGTH: '15',
        CARDEA_ECGRID_PASSWORD_COMPOSITION: 'true',
        CARDEA_PASSWORD_BLOCKLIST_FILE: list,
      },
    });
    try {
      const headers = bearer((await login(own, demoUsers.john)).token);
      const set = (text: string) => change(own, headers, { currentPassword: 'Sup3r$ecret!', newPassword: text });
      const refused = [
        'Fourteen (14)!',
        'kestrel-heron-7-pond',
        'KESTREL-HERON-7',
        'Kestrel-heron-pond',
        'Kestrel7heron77',
      ];
      for (const text of [...refused, 'geranium GERANIUM 77!', 'Another line 7!']) {
        expectRefusal(await set(text), 400, 'InvalidParameter', /^newPassword /);
      }
      expect((await set('Kestrel-heron-7')).status).toBe(200);
    } finally {
      await own.close();
    }
  });
});
