import { change } from '../../core/change.ts';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  apiKey,
  bearer,
  challenge,
  comparable,
  expectBadBearer,
  expectRefusal,
  login,
  messages,
  refusedChallenge,
  rest,
  restRaw,
  session,
} from '../../../tests/support/ecgrid.ts';
import { exampleSeconds, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { countStoreReads } from '../../../tests/support/store-reads.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

type Sent = Readonly<Record<string, string>>;

const unknownKey = '00000000-0000-0000-0000-000000000000';
const tokenEnd = '2026-05-07T18:30:00Z';
const never = '9999-01-01T00:00:00Z';

let server: TestServer;
let john: string;
let admin: string;
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_REFUSED_PER_SECOND: '1000000' } });
  john = (await login(server, demoUsers.john)).token;
  admin = (await login(server, demoUsers.admin)).token;
});
afterAll(() => server.close());

/** A user with a key and a session of its own. */
async function addKeyHolder(name: string): Promise<{ id: number; key: string; token: string }> {
  const id = await addUser(server, { login: name });
  const { token } = await login(server, { login: name, password: testPassword });
  const made = await rest(server, 'POST', `/v2/users/key-generate/${id}`, { headers: bearer(token) });
  return { id, key: made.body.data as string, token };
}

describe('[10] which credential counts (5.1)', () => {
  test('no key and no bearer: 401 E1, and nothing is said of a token', async () => {
    const answer = await session(server, {});
    expectRefusal(answer, 401, 'InvalidSession', messages.E1);
    expect(answer.headers.get('www-authenticate')).toBe(challenge);
  });

  test('a good key alone: its owner, in any hex case', async () => {
    for (const key of [demoKey, demoKey.toLowerCase(), demoKey.replace('F9E8', 'f9E8')]) {
      const { status, body } = await session(server, apiKey(key));
      expect(status).toBe(200);
      expect(body.data).toMatchObject({ userId: 4821, expiresAt: never });
    }
  });

  test('a good bearer alone: the session', async () => {
    const { body } = await session(server, bearer(john));
    expect(body.data).toMatchObject({ userId: 4821, expiresAt: tokenEnd });
  });

  test.each<[string, () => Sent]>([
    ['no bearer', () => ({})],
    ['a good bearer', () => bearer(john)],
    ['a bad bearer', () => bearer('bogus')],
    ['another scheme', () => ({ Authorization: 'Basic eDp5' })],
  ])('a bad key with %s: 401 E3', async (_, authorization) => {
    const answer = await session(server, { ...apiKey(unknownKey), ...authorization() });
    expectRefusal(answer, 401, 'InvalidAPIKey', messages.E3);
    expect(answer.headers.get('www-authenticate')).toBe(challenge);
  });

  test.each<[string, Sent]>([
    ['no key', {}],
    ['a good key', apiKey(demoKey)],
  ])('%s with a bad bearer: 401 E2', async (_, key) => {
    const answer = await session(server, { ...key, ...bearer('bogus') });
    expectBadBearer(answer);
    expect(answer.headers.get('www-authenticate')).toBe(refusedChallenge);
  });

  test('K09: a good key and a good bearer of the same user: the session, not the key', async () => {
    const { body } = await session(server, { ...apiKey(demoKey), ...bearer(john) });
    expect(body.data).toMatchObject({ userId: 4821, expiresAt: tokenEnd });
  });

  test('K09: a good key and a good bearer of two users: 401 E4, in whichever way they differ', async () => {
    const answer = await session(server, { ...apiKey(demoKey), ...bearer(admin) });
    expectRefusal(answer, 401, 'InvalidSession', messages.E4);
    const other = await addKeyHolder('key-holder');
    expect(comparable(await session(server, { ...apiKey(other.key), ...bearer(john) }))).toEqual(comparable(answer));
  });

  test('header names count in any letter case', async () => {
    for (const name of ['authorization', 'AUTHORIZATION', 'Authorization']) {
      const answer = await restRaw(server, ['POST /v2/auth/session HTTP/1.1', `${name}: bearer ${john}`]);
      expect(answer.status).toBe(200);
    }
    const answer = await restRaw(server, ['POST /v2/auth/session HTTP/1.1', `x-api-key: ${demoKey}`]);
    expect(answer.status).toBe(200);
  });

  test.each<[string, (token: string) => string[], RegExp]>([
    ['two different keys', () => [`X-API-Key: ${demoKey}`, `X-API-Key: ${unknownKey}`], /x-api-key/i],
    ['the good key twice', () => [`X-API-Key: ${demoKey}`, `x-api-key: ${demoKey}`], /x-api-key/i],
    ['two keys in one line', () => [`X-API-Key: ${demoKey}, ${demoKey}`], /x-api-key/i],
    ['the good bearer twice', (token) => Array(2).fill(`Authorization: Bearer ${token}`), /authorization/i],
    ['two bearers in one line (J25)', (token) => [`Authorization: Bearer ${token}, Bearer ${token}`], /authorization/i],
  ])('K10: %s: 400 that names the header', async (_, lines, message) => {
    const answer = await restRaw(server, ['POST /v2/auth/session HTTP/1.1', ...lines(john)]);
    expectRefusal(answer, 400, 'InvalidParameter', message);
  });
});

describe('[10] bad keys (5.1)', () => {
  test.each([
    ['empty (K01)', ''],
    ['one digit less (K02)', demoKey.slice(0, -1)],
    ['one digit more (K02)', `${demoKey}0`],
    ['not hexadecimal (K02)', demoKey.replace('F', 'G')],
    ['in braces (K03)', `{${demoKey}}`],
    ['without dashes (K03)', demoKey.replaceAll('-', '')],
    ['as a URN (K03)', `urn:uuid:${demoKey}`],
    ['dashes elsewhere (K03)', demoKey.replace('-', '').replace(/(.{4})/, '$1-')],
    ['a pattern (K05)', '%'],
    ['query text (K05)', "' or 1=1--"],
    ['a path (K05)', '../../etc/passwd'],
    ['10,000 digits (K05)', '1'.repeat(10_000)],
  ])('%s: 401 E3, without asking the store', async (_, key) => {
    const reads = countStoreReads(server);
    const answer = await session(server, apiKey(key));
    expect(reads.stop()).toBe(0);
    expectRefusal(answer, 401, 'InvalidAPIKey', messages.E3);
  });

  test('K04: all zero, all F, the example key of the session page, and near misses: 401 E3, all alike', async () => {
    const keys = [
      unknownKey,
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      'a1b2c3d4-e5f6-7890-abcd-ef1234567890',
      demoKey.replace(/^F/, 'E'),
      demoKey.replace(/0$/, '1'),
    ];
    const answers = await Promise.all(keys.map((key) => session(server, apiKey(key))));
    expectRefusal(answers[0] as (typeof answers)[0], 401, 'InvalidAPIKey', messages.E3);
    for (const answer of answers) expect(comparable(answer)).toEqual(comparable(answers[0] as typeof answer));
  });

  test('K08: a replaced key: 401 E3 on the next request, the new one signs in', async () => {
    const { id, key, token } = await addKeyHolder('replacer');
    const made = await rest(server, 'POST', `/v2/users/key-generate/${id}`, { headers: bearer(token) });
    expectRefusal(await session(server, apiKey(key)), 401, 'InvalidAPIKey', messages.E3);
    expect((await session(server, apiKey(made.body.data as string))).status).toBe(200);
  });

  test('K08: a key with an expiry prints it, and is refused from that second on', async () => {
    const { id, key } = await addKeyHolder('leaser');
    const setEnd = (expires_at: number) =>
      change(server.core, (trx) => trx.updateTable('api_keys').set({ expires_at }).where('user_id', '=', id).execute());
    await setEnd(exampleSeconds + 1);
    const before = await session(server, apiKey(key));
    expect(before.body.data).toMatchObject({ userId: id, expiresAt: '2026-05-07T17:30:01Z' });
    await setEnd(exampleSeconds);
    expectRefusal(await session(server, apiKey(key)), 401, 'InvalidAPIKey', messages.E3);
  });

  test.each(['Suspended', 'Terminated'] as const)(
    'K08: the key and the token of a %s user are refused',
    async (status) => {
      const { id, key, token } = await addKeyHolder(`now-${status.toLowerCase()}`);
      await setUserStatus(server, id, status);
      expectRefusal(await session(server, apiKey(key)), 401, 'InvalidAPIKey', messages.E3);
      expectBadBearer(await session(server, bearer(token)));
    },
  );

  test('K08: the key and the token of a deleted user are refused', async () => {
    const { id, key, token } = await addKeyHolder('now-deleted');
    expect((await rest(server, 'DELETE', `/v2/users/${id}`, { headers: bearer(admin) })).status).toBe(200);
    expectRefusal(await session(server, apiKey(key)), 401, 'InvalidAPIKey', messages.E3);
    expectBadBearer(await session(server, bearer(token)));
  });

  test('K07: a key in address, body or cookie is no credential', async () => {
    const headers = { 'Content-Type': 'application/json', Cookie: `X-API-Key=${demoKey}` };
    const body = { apiKey: demoKey, 'X-API-Key': demoKey };
    const answer = await rest(server, 'POST', `/v2/auth/session?X-API-Key=${demoKey}&apiKey=${demoKey}`, {
      headers,
      body,
    });
    expectRefusal(answer, 401, 'InvalidSession', messages.E1);
    expect(server.log.join('\n')).not.toContain(demoKey);
  });
});

describe('[10] bad bearers (5.1, J25)', () => {
  test.each<[string, (token: string) => string]>([
    ['two spaces', (token) => `Bearer  ${token}`],
    ['a tab', (token) => `Bearer\t${token}`],
    ['a word after the token', (token) => `Bearer ${token} y`],
    ['no token', () => 'Bearer'],
    ['null', () => 'Bearer null'],
    ['undefined', () => 'Bearer undefined'],
    ['nothing at all', () => ''],
    ['no scheme', (token) => token],
    ['quotes', (token) => `Bearer "${token}"`],
    ['Basic', () => 'Basic anNtaXRoQGV4YW1wbGUuY29tOlN1cDNyJGVjcmV0IQ=='],
    ['Basic with the token', (token) => `Basic ${token}`],
    ['ApiKey', () => `ApiKey ${demoKey}`],
    ['Token', (token) => `Token ${token}`],
    ['DPoP', (token) => `DPoP ${token}`],
    ['a key as bearer (J26)', () => `Bearer ${demoKey}`],
  ])('%s: 401 E2', async (_, authorization) => {
    expectBadBearer(await session(server, { Authorization: authorization(john) }));
  });

  test.each(['Bearer', 'bearer', 'BEARER', 'bEaReR'])('the scheme %s is right', async (scheme) => {
    expect((await session(server, { Authorization: `${scheme} ${john}` })).status).toBe(200);
  });
});

describe('5.1 while a password change is due', () => {
  test('a session opens only logout and the password change; all else is 403 E7, and a key goes on', async () => {
    const { id, key, token } = await addKeyHolder('must-change');
    await change(server.core, (trx) =>
      trx.updateTable('users').set({ password_change_due: 1 }).where('id', '=', id).execute(),
    );
    expectRefusal(await session(server, bearer(token)), 403, 'AccessDenied', messages.E7);
    expectRefusal(
      await rest(server, 'GET', '/v2/users/me', { headers: bearer(token) }),
      403,
      'AccessDenied',
      messages.E7,
    );
    const refreshed = await rest(server, 'POST', '/v2/auth/refresh', { body: { token } });
    expectRefusal(refreshed, 403, 'AccessDenied', messages.E7);
    expect((await session(server, apiKey(key))).status).toBe(200);
    expect((await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) })).status).toBe(200);
  });
});
