import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { apiKey, bearer, expectRefusal, login, rest, restRaw, session } from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import loginRequest from './fixtures/login-request.json';
import documented from './fixtures/session-response.json';

const answerToKey =
  '{"success":true,"data":{"userId":4821,"login":"jsmith@example.com","networkId":1,"mailboxId":101,"authLevel":"MailboxAdmin","expiresAt":"9999-01-01T00:00:00Z"},"errorCode":"","message":""}';
const answerToToken =
  '{"success":true,"data":{"userId":4821,"login":"jsmith@example.com","networkId":1,"mailboxId":101,"authLevel":"MailboxAdmin","expiresAt":"2026-05-07T18:30:00Z"},"errorCode":"","message":""}';
const sampleBody =
  '{ "success": true, "data": { "userId": 4821, "login": "jsmith@example.com", "networkId": 1, "mailboxId": 101, "authLevel": "MailboxAdmin", "expiresAt": "2026-05-07T18:30:00Z" }, "errorCode": "", "message": "" }';

const bodyLimit = 16_384;
const json = { 'Content-Type': 'application/json' };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

describe('[1] the session page', () => {
  test('the documented call with the key answers the documented body, byte for byte', async () => {
    const answer = await rest(server, 'POST', '/v2/auth/session', {
      headers: { ...apiKey(demoKey), ...json },
      rawBody: sampleBody,
    });
    expect(answer.status).toBe(200);
    expect(answer.text).toBe(answerToKey);
  });

  test('every documented member comes in the documented order with the documented type', async () => {
    const { body } = await session(server, bearer((await login(server, loginRequest)).token));
    expect(JSON.stringify(body)).toBe(JSON.stringify(documented));
  });
});

describe('[2] the body of session is ignored', () => {
  const bodies: [string, Record<string, string>, string | undefined][] = [
    ['no body and no type', {}, undefined],
    ['an empty body with a JSON type', json, ''],
    ['an empty object', json, '{}'],
    ['the documented response object', json, sampleBody],
    ['not JSON', json, 'not json'],
    ['no type', {}, '{}'],
    ['text/plain', { 'Content-Type': 'text/plain' }, 'hello'],
    ['a foreign charset', { 'Content-Type': 'application/json; charset=utf-16' }, '{}'],
    ['a coding that is never unpacked', { ...json, 'Content-Encoding': 'gzip' }, '{}'],
    ['a form', { 'Content-Type': 'application/x-www-form-urlencoded' }, 'a=1'],
    ['another user in the body', json, '{"userId":1,"login":"admin","token":"x"}'],
    ['16,384 bytes', json, 'x'.repeat(bodyLimit)],
  ];

  test.each(bodies)('%s: the same answer to key and token', async (_, headers, body) => {
    const call = body === undefined ? {} : { rawBody: body };
    const byKey = await rest(server, 'POST', '/v2/auth/session', {
      headers: { ...headers, ...apiKey(demoKey) },
      ...call,
    });
    expect([byKey.status, byKey.text]).toEqual([200, answerToKey]);
    const { token } = await login(server, loginRequest);
    const byToken = await rest(server, 'POST', '/v2/auth/session', {
      headers: { ...headers, ...bearer(token) },
      ...call,
    });
    expect([byToken.status, byToken.text]).toEqual([200, answerToToken]);
  });

  test('Content-Length: 0 without a type, as C# and Python send it', async () => {
    const answer = await restRaw(server, [
      `POST /v2/auth/session HTTP/1.1`,
      `X-API-Key: ${demoKey}`,
      'Content-Length: 0',
    ]);
    expect([answer.status, answer.text]).toEqual([200, answerToKey]);
  });

  test('the same 16,384 bytes without a declared length: the same answer', async () => {
    const answer = await sendChunked(bodyLimit);
    expect([answer.status, answer.text]).toEqual([200, answerToKey]);
  });

  test('16,385 bytes: 413 in the envelope, and the connection is closed', async () => {
    const declared = await rest(server, 'POST', '/v2/auth/session', {
      headers: { ...json, ...apiKey(demoKey) },
      rawBody: 'x'.repeat(bodyLimit + 1),
    });
    const chunked = await sendChunked(bodyLimit + 1);
    for (const answer of [declared, chunked]) {
      expectRefusal(answer, 413, 'InvalidParameter', 'The request body is too large.');
      expect(answer.headers.get('connection')).toBe('close');
    }
  });

  test('16,385 bytes without any credential: 413, since the size is judged first', async () => {
    const answer = await rest(server, 'POST', '/v2/auth/session', { rawBody: 'x'.repeat(bodyLimit + 1) });
    expectRefusal(answer, 413, 'InvalidParameter', 'The request body is too large.');
  });
});

describe('[3] expiresAt', () => {
  test('with a token it is the exp of the token and what login printed', async () => {
    const opened = await login(server, loginRequest);
    const { body } = await session(server, bearer(opened.token));
    const exp = 1_778_175_000 + 3600;
    expect(claimsOf(opened.token)['exp']).toBe(exp);
    expect((body.data as Answered).expiresAt).toBe('2026-05-07T18:30:00Z');
    expect(opened.expiresAt).toBe('2026-05-07T18:30:00Z');
    expect(Date.parse(opened.expiresAt) / 1000).toBe(exp);
  });

  test('the call never extends a token', async () => {
    const own = await startTestServer();
    try {
      const { token } = await login(own, loginRequest);
      own.clock.advance(3599);
      expect((await session(own, bearer(token))).text).toBe(answerToToken);
      own.clock.advance(1);
      expect((await session(own, bearer(token))).status).toBe(401);
    } finally {
      await own.close();
    }
  });

  test('the far future instant of a key parses, and stays a date in every time zone', async () => {
    const { body } = await session(server, apiKey(demoKey));
    const { expiresAt } = body.data as Answered;
    expect(expiresAt).toBe('9999-01-01T00:00:00Z');
    expect(new Date(expiresAt).toISOString()).toBe('9999-01-01T00:00:00.000Z');
    // A day further is still before the last instant of .NET, Java's four-digit years and Python.
    expect(Date.parse(expiresAt) + 86_400_000).toBeLessThan(Date.parse('9999-12-31T23:59:59Z'));
  });
});

describe('[4] a user who belongs nowhere', () => {
  test('has the ids 0 and 0, by token and by key', async () => {
    const id = await addUser(server, { login: 'nobody', authLevel: 'General' });
    const { token } = await login(server, { login: 'nobody', password: testPassword });
    const made = await rest(server, 'POST', `/v2/users/key-generate/${id}`, { headers: bearer(token) });
    const expected = { userId: id, login: 'nobody', networkId: 0, mailboxId: 0, authLevel: 'General' };
    const byToken = await session(server, bearer(token));
    expect(byToken.body.data).toEqual({ ...expected, expiresAt: '2026-05-07T18:30:00Z' });
    const byKey = await session(server, apiKey(made.body.data as string));
    expect(byKey.body.data).toEqual({ ...expected, expiresAt: '9999-01-01T00:00:00Z' });
  });

  test('a user without a mailbox has the network and mailbox 0', async () => {
    const { body } = await session(server, bearer((await login(server, demoUsers.admin)).token));
    expect(body.data).toEqual({
      userId: 1,
      login: 'admin',
      networkId: 1,
      mailboxId: 0,
      authLevel: 'Root',
      expiresAt: '2026-05-07T18:30:00Z',
    });
  });
});

type Answered = { readonly expiresAt: string };

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
}

function sendChunked(length: number) {
  const head = [
    'POST /v2/auth/session HTTP/1.1',
    `X-API-Key: ${demoKey}`,
    'Content-Type: application/json',
    'Transfer-Encoding: chunked',
  ];
  return restRaw(server, head, `${length.toString(16)}\r\n${'x'.repeat(length)}\r\n0\r\n\r\n`);
}
