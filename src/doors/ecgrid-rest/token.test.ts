import { change } from '../../core/change.ts';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bearer,
  challenge,
  comparable,
  type EcgridAnswer,
  expectBadBearer,
  expectRefusal,
  login,
  messages,
  refresh,
  rest,
  restRaw,
  session,
} from '../../../tests/support/ecgrid.ts';
import { type Claims, makeToken, readClaims, readSigningKey } from '../../../tests/support/jwt.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { countStoreReads } from '../../../tests/support/store-reads.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { login as openSession } from '../../core/index.ts';
import vector from './fixtures/signing-vector.json';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const edits = 1_000;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_REFUSED_PER_SECOND: '1000000' } });
});
afterAll(() => server.close());

async function loggedOut(): Promise<string> {
  const { token } = await login(server, demoUsers.john);
  expect((await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) })).status).toBe(200);
  return token;
}

/** Each place in turn, each time another character of the alphabet. */
function oneCharacterEdits(token: string): string[] {
  return Array.from({ length: edits }, (_, index) => {
    const place = (index * 101) % token.length;
    const old = alphabet.indexOf(token[place] ?? '');
    const other = alphabet[(old + 1 + (index % (alphabet.length - 1))) % alphabet.length] ?? '';
    return token.slice(0, place) + other + token.slice(place + 1);
  });
}

/** Spellings that a forgiving decoder takes for the same token. */
function respellings(token: string): string[] {
  const strays = ['=', '==', '+', '/', '*', '~', '.', 'A', 'AA', '%3D'];
  const ends = strays.flatMap((stray) => [
    token + stray,
    ...token.split('.').map((part) => token.replace(part, part + stray)),
  ]);
  const last = alphabet.indexOf(token.at(-1) ?? '');
  // The last of 43 characters carries two bits that 32 bytes do not need.
  const unusedBits = [1, 2, 3].map((bits) => token.slice(0, -1) + alphabet[last ^ bits]);
  return [...ends, ...unusedBits, token.replaceAll('-', '+').replaceAll('_', '/').concat('='), token.toUpperCase()];
}

async function answersTo(tokens: readonly string[]): Promise<EcgridAnswer[]> {
  const answers: EcgridAnswer[] = [];
  for (let start = 0; start < tokens.length; start += 50) {
    const batch = tokens.slice(start, start + 50);
    answers.push(...(await Promise.all(batch.map((token) => session(server, bearer(token))))));
  }
  return answers;
}

describe('[11] every other spelling of a token is refused', () => {
  test.each<[string, () => Promise<string>]>([
    ['a live token', async () => (await login(server, demoUsers.john)).token],
    ['a logged-out token', loggedOut],
  ])(
    '1,000 one-character edits, suffixes and non-canonical encodings of %s: 401, all alike',
    async (_, make) => {
      const token = await make();
      const texts = [...oneCharacterEdits(token), ...respellings(token)];
      expect(texts.filter((text) => text === token)).toEqual([]);
      const answers = await answersTo(texts);
      const [first] = answers as [EcgridAnswer];
      expectBadBearer(first);
      const expected = JSON.stringify(comparable(first));
      expect(answers.filter((answer) => JSON.stringify(comparable(answer)) !== expected)).toEqual([]);
    },
    20_000,
  );

  test('the live token itself goes on through all of them', async () => {
    const { token } = await login(server, demoUsers.john);
    await answersTo(oneCharacterEdits(token).slice(0, 100));
    expect((await session(server, bearer(token))).status).toBe(200);
  });
});

describe('[12] credentials that belong elsewhere', () => {
  test('a token of the user-session contract signs in here', async () => {
    const body = JSON.stringify({ email: demoUsers.john.login, password: demoUsers.john.password });
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch(`${server.url}/auth/login`, { method: 'POST', headers, body });
    const { token } = (await response.json()) as { token: string };
    const answer = await session(server, bearer(token));
    expect(answer.status).toBe(200);
    expect(answer.body.data).toMatchObject({ userId: 4821 });
  });

  test.each(['session_guid', 'cookie'] as const)(
    'J26: the secret of a live %s session is no bearer and no key',
    async (form) => {
      const { login: name, password } = demoUsers.john;
      const policy = { entry: 'elsewhere', idleSeconds: null, tokenSeconds: null, form };
      const caller = { address: '127.0.0.1', userAgent: '', requestId: 'test' };
      const opened = await openSession(server.core, { name, password, matching: 'login_first', policy, caller });
      expectBadBearer(await session(server, bearer(opened.credential)));
      const asKey = await session(server, { 'X-API-Key': opened.credential });
      expectRefusal(asKey, 401, 'InvalidAPIKey', messages.E3);
      expectBadBearer(await rest(server, 'POST', '/v2/auth/refresh', { body: { token: opened.credential } }));
    },
  );

  test.each([
    ['an appliance token', 'f6f2a824:23cd:c4e5:6354:c9b0bec79015'],
    ['an API key', demoKey],
    ['a session id as printed in a token', 'Zk3vQ0m1T8uYc2Lw9sHn4A'],
    ['the documented token T1', vector.tokens[0]?.token ?? ''],
  ])('J26: %s as bearer or as token of refresh: 401 E2', async (_, text) => {
    expectBadBearer(await session(server, bearer(text)));
    expectBadBearer(await rest(server, 'POST', '/v2/auth/refresh', { body: { token: text } }));
  });

  test('J24: a token anywhere but in Authorization is no credential', async () => {
    const { token } = await login(server, demoUsers.john);
    const headers = { 'Content-Type': 'application/json', Cookie: `token=${token}; Authorization=Bearer ${token}` };
    const body = { token, Authorization: `Bearer ${token}` };
    const answer = await rest(server, 'POST', `/v2/auth/session?token=${token}&access_token=${token}`, {
      headers,
      body,
    });
    expectRefusal(answer, 401, 'InvalidSession', messages.E1);
    expect(answer.headers.get('www-authenticate')).toBe(challenge);
    expectRefusal(await session(server, { 'X-API-Key': token }), 401, 'InvalidAPIKey', messages.E3);
    const head = ['POST /v2/auth/session HTTP/1.1', 'Transfer-Encoding: chunked', 'Trailer: Authorization'];
    const trailer = await restRaw(server, head, `0\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    expectRefusal(trailer, 401, 'InvalidSession', messages.E1);
    expect(server.log.join('\n')).not.toContain(token);
  });
});

describe('J27: a token that was live until just now', () => {
  const endings: [string, (who: { id: number; login: string; token: string }, root: string) => Promise<unknown>][] = [
    ['logout', ({ token }) => rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) })],
    ['refresh', ({ token }) => refresh(server, token)],
    ['reset', ({ id }, root) => rest(server, 'POST', `/v2/users/reset/${id}`, { headers: bearer(root) })],
    ['suspension', ({ id }) => setUserStatus(server, id, 'Suspended')],
    ['deletion', ({ id }, root) => rest(server, 'DELETE', `/v2/users/${id}`, { headers: bearer(root) })],
    ['a password change in another session', (who) => changeElsewhere(who.login)],
    ['a password set by an administrator', ({ id }, root) => setByAdministrator(id, root)],
    ['a raised epoch', raiseEpoch],
  ];

  test.each(endings)('after %s it is refused on the very next request', async (ending, end) => {
    const name = ending.replaceAll(' ', '-');
    const id = await addUser(server, { login: name });
    const root = (await login(server, demoUsers.admin)).token;
    const { token } = await login(server, { login: name, password: testPassword });
    expect((await session(server, bearer(token))).status).toBe(200);
    const answer = await end({ id, login: name, token }, root);
    if (answer !== undefined && (answer as EcgridAnswer).body !== undefined) {
      expect((answer as EcgridAnswer).status).toBe(200);
    }
    expectBadBearer(await session(server, bearer(token)));
  });

  async function changeElsewhere(name: string): Promise<EcgridAnswer> {
    const { token } = await login(server, { login: name, password: testPassword });
    const body = { currentPassword: testPassword, newPassword: 'another horse battery' };
    return rest(server, 'PUT', '/v2/auth/password', { headers: bearer(token), body });
  }

  function setByAdministrator(userId: number, root: string): Promise<EcgridAnswer> {
    const body = { userId, newPassword: 'another horse battery' };
    return rest(server, 'POST', '/v2/users/password', { headers: bearer(root), body });
  }

  /** As the restore of a backup does. */
  async function raiseEpoch(): Promise<void> {
    await change(server.core, (trx) => {
      const counter = trx.updateTable('counters').where('name', '=', 'session_epoch');
      return counter.set((row) => ({ value: row('value', '+', 1) })).execute();
    });
  }
});

describe('J28: what is wrong by itself is refused without asking the store', () => {
  test.each<[string, (key: Uint8Array, claims: Claims) => Promise<string>]>([
    ['a well-signed token of 8 KB', (key, claims) => makeToken(key, { ...claims, pad: 'x'.repeat(6_000) })],
    ['a token of another key', (_, claims) => makeToken(Buffer.alloc(32, 'k'), claims)],
    ['an expired token', (key, claims) => makeToken(key, { ...claims, exp: claims['iat'] })],
    ['another audience', (key, claims) => makeToken(key, { ...claims, aud: 'other' })],
  ])('%s', async (_, make) => {
    const { token } = await login(server, demoUsers.john);
    const forged = await make(readSigningKey(server), readClaims(token));
    const reads = countStoreReads(server);
    const answer = await session(server, bearer(forged));
    expect(reads.stop()).toBe(0);
    expectBadBearer(answer);
    // The counter itself counts: the live token does ask, unless it is known.
    server.core.contexts?.forgetAll();
    const again = countStoreReads(server);
    await session(server, bearer(token));
    expect(again.stop()).toBeGreaterThan(0);
  });
});

describe('[6] the documented signing key', () => {
  test.each([
    ['as current key', { current: encoded(vector.keyHex), previous: null }],
    ['as previous key', { current: encoded('5a'.repeat(31) + '5b'), previous: encoded(vector.keyHex) }],
  ])('a server configured with it %s does not start', async (_, keys) => {
    const own = await startTestServer();
    const path = join(own.directory, 'signing-keys.json');
    writeFileSync(path, JSON.stringify(keys));
    try {
      await expect(own.restart()).rejects.toThrow(/signing key/);
    } finally {
      rmSync(own.directory, { recursive: true, force: true });
    }
  });
});

function encoded(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64url');
}
