import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
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
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call as callSoap } from '../../../tests/support/soap.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

type Sent = Readonly<Record<string, string>>;
const guid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

let server: TestServer;
let root: string;
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000' } });
  root = (await login(server, demoUsers.admin)).token;
});
afterAll(() => server.close());

function generate(on: TestServer, id: number | string, headers: Sent): Promise<EcgridAnswer> {
  return rest(on, 'POST', `/v2/users/key-generate/${id}`, { headers });
}

/** Generates a key and fails the test if that does not work. */
async function makeKey(on: TestServer, id: number, headers: Sent): Promise<string> {
  const answer = await generate(on, id, headers);
  expect(answer.status).toBe(200);
  return answer.body.data as string;
}

async function signIn(name: string): Promise<Sent> {
  return bearer((await login(server, { login: name, password: testPassword })).token);
}

describe('[17] generating a key', () => {
  test('the answer is the bare key as in the documented exchange, and it signs in at once', async () => {
    const id = await addUser(server, { login: 'own-key' });
    const answer = await generate(server, id, await signIn('own-key'));
    const key = answer.body.data as string;
    expect(key).toMatch(guid);
    expect(answer.text).toBe(`{"success":true,"data":"${key}","errorCode":"","message":""}`);
    const { body } = await session(server, apiKey(key));
    expect(body.data).toMatchObject({ userId: id, expiresAt: '9999-01-01T00:00:00Z' });
  });

  test('the new key is a SOAP SessionID of the same user, and the old one is refused at both doors on the next request', async () => {
    const id = await addUser(server, { login: 'soap-key', place: { organizationId: 100, mailboxId: 200 } });
    const headers = await signIn('soap-key');
    const old = await makeKey(server, id, headers);
    expect((await callSoap(server, 'SessionInfo', { SessionID: old })).status).toBe(200);
    const key = await makeKey(server, id, headers);
    expectRefusal(await session(server, apiKey(old)), 401, 'InvalidAPIKey', messages.E3);
    expect((await callSoap(server, 'SessionInfo', { SessionID: old })).status).toBe(500);
    const { status, text } = await callSoap(server, 'SessionInfo', { SessionID: key });
    expect(status).toBe(200);
    expect(text).toContain(`<UserID>${id}</UserID><NetworkID>100</NetworkID><MailboxID>200</MailboxID>`);
    expect(text).toContain('<Expires>9999-01-01T00:00:00Z</Expires>');
  });

  test('a key replaces itself: it opened this very call and is dead after it', async () => {
    const id = await addUser(server, { login: 'self-replacer' });
    const old = await makeKey(server, id, await signIn('self-replacer'));
    const key = await makeKey(server, id, apiKey(old));
    expect(key).not.toBe(old);
    expectRefusal(await session(server, apiKey(old)), 401, 'InvalidAPIKey', messages.E3);
    expect((await session(server, apiKey(key))).status).toBe(200);
  });

  test('sessions are untouched by a new key', async () => {
    const id = await addUser(server, { login: 'session-keeper' });
    const headers = await signIn('session-keeper');
    await makeKey(server, id, headers);
    await makeKey(server, id, bearer(root));
    expect((await session(server, headers)).status).toBe(200);
  });

  test('K15: a NetworkAdmin: same network 200, other network 404, higher rank 403', async () => {
    const place = { organizationId: 1, mailboxId: null };
    await addUser(server, { login: 'net-admin', authLevel: 'NetworkAdmin', place });
    const neighbour = await addUser(server, { login: 'neighbour', place });
    const headers = await signIn('net-admin');
    const key = await makeKey(server, neighbour, headers);
    expect((await session(server, apiKey(key))).body.data).toMatchObject({ userId: neighbour });
    expectRefusal(await generate(server, 12345, headers), 404, 'ObjectNotFound', 'User not found.');
    expectRefusal(await generate(server, 1, headers), 403, 'AccessDenied', 'Access denied.');
  });

  test('a plain user: another id, existing or not, is one and the same 403', async () => {
    const existing = await generate(server, 12345, apiKey(demoKey));
    const missing = await generate(server, 999_999, apiKey(demoKey));
    expectRefusal(existing, 403, 'AccessDenied', 'Access denied.');
    expect(comparable(missing)).toEqual(comparable(existing));
  });

  test('for everybody who may look it up, a missing user is 404', async () => {
    expectRefusal(await generate(server, 999_999, bearer(root)), 404, 'ObjectNotFound', 'User not found.');
  });

  test('all 128 bits are random: no digit of the GUID is fixed as a version or variant would be', async () => {
    const id = await addUser(server, { login: 'many-keys' });
    const keys: string[] = [];
    for (let count = 0; count < 60; count += 1) keys.push(await makeKey(server, id, bearer(root)));
    const digits = keys.map((key) => key.replaceAll('-', ''));
    // A digit that is the same, or one of only four, in 60 keys would be so by chance once in 10^36 trials.
    for (let at = 0; at < 32; at += 1) expect(new Set(digits.map((text) => text[at])).size).toBeGreaterThan(4);
    expect(new Set(keys).size).toBe(60);
  });

  test('the path of the migration text is unknown', async () => {
    const answer = await rest(server, 'POST', '/v2/users/4821/generate-api-key', { headers: bearer(root) });
    expectRefusal(answer, 404, 'ObjectNotFound', 'Resource not found.');
  });
});

describe.each(engines.map((engine) => [engine]))('[17] racing for a key on %s', (engine) => {
  test('of 8 calls at once all are answered, and exactly one key lives', async () => {
    const own = await startTestServer({ engine });
    try {
      const headers = bearer((await login(own, demoUsers.john)).token);
      const keys = await Promise.all(Array.from({ length: 8 }, () => makeKey(own, 4821, headers)));
      const answers = await Promise.all(keys.map((key) => session(own, apiKey(key))));
      expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([
        200, 401, 401, 401, 401, 401, 401, 401,
      ]);
      expect((await session(own, apiKey(demoKey))).status).toBe(401);
    } finally {
      await own.close();
    }
  }, 30_000);
});

describe('[19] asking for a stored key', () => {
  test('an existing and a missing user are one and the same 403 E8, for whoever asks', async () => {
    for (const headers of [apiKey(demoKey), bearer(root)]) {
      const existing = await rest(server, 'GET', '/v2/users/key/4821', { headers });
      expectRefusal(existing, 403, 'AccessDenied', messages.E8);
      const missing = await rest(server, 'GET', '/v2/users/key/999999', { headers });
      expect(comparable(missing)).toEqual(comparable(existing));
    }
  });

  test('without a credential it is 401, and an id that cannot be one is 400', async () => {
    expectRefusal(await rest(server, 'GET', '/v2/users/key/4821'), 401, 'InvalidSession', messages.E1);
    const answer = await rest(server, 'GET', '/v2/users/key/0', { headers: apiKey(demoKey) });
    expectRefusal(answer, 400, 'InvalidParameter', /^id /);
  });
});

describe('S05: the id of a path', () => {
  const wrong = ['0', '-1', '+1', '01', '1.0', '1e3', '0x10', '2147483648', '99999999999', '9007199254740993', '%31'];
  const stranger = ['%EF%BC%91', '1;drop', '1%20', "1'or'1'='1", 'NaN', 'null', 'me%00', '..%2f1', '1,2'];
  const operations: [string, string][] = [
    ['GET', '/v2/users/'],
    ['DELETE', '/v2/users/'],
    ['GET', '/v2/users/key/'],
    ['POST', '/v2/users/key-generate/'],
    ['POST', '/v2/users/reset/'],
  ];

  test.each(operations)(
    '%s %s{id}: anything but a plain decimal up to 2147483647 is 400 that names it',
    async (method, path) => {
      for (const id of [...wrong, ...stranger]) {
        const answer = await rest(server, method, path + id, { headers: bearer(root) });
        expectRefusal(answer, 400, 'InvalidParameter', /^id /);
      }
    },
  );

  test('the largest id is well-formed, and simply nobody', async () => {
    const answer = await rest(server, 'GET', '/v2/users/2147483647', { headers: bearer(root) });
    expectRefusal(answer, 404, 'ObjectNotFound', 'User not found.');
  });

  test('the credential is judged before the id', async () => {
    for (const [method, path] of operations) {
      expectRefusal(await rest(server, method, `${path}0`), 401, 'InvalidSession', messages.E1);
    }
  });
});
