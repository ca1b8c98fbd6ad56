import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  apiKey,
  bearer,
  type EcgridLogin,
  expectRefusal,
  login,
  messages,
  rest,
  restRaw,
  session,
} from '../../../tests/support/ecgrid.ts';
import { exampleSeconds, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { demoKey } from '../../cli/demo-data.ts';
import loginRequest from './fixtures/login-request.json';
import documented from './fixtures/login-response.json';

const documentedPrefix = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.';
const json = { 'Content-Type': 'application/json' };

let server: TestServer;
beforeAll(async () => {
  // Hundreds of wrong passwords come from one address here; the throttle has a file of its own.
  const settings = { CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000', CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000' };
  server = await startTestServer({ settings });
});
afterAll(() => server.close());

function post(rawBody: string | Uint8Array, headers: Readonly<Record<string, string>> = json) {
  return rest(server, 'POST', '/v2/auth/login', { headers, rawBody });
}

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
}

describe('[5] the login page', () => {
  const strays: [string, Record<string, string>][] = [
    ['no credential', {}],
    ['a good key', apiKey(demoKey)],
    ['an unknown key', apiKey('00000000-0000-0000-0000-000000000000')],
    ['a key that is none', apiKey('bogus')],
    ['an empty key', apiKey('')],
    ['a bogus bearer', bearer('bogus')],
    ['another scheme', { Authorization: 'Basic YWRtaW46Vk13YXJlMSE=' }],
    ['both, and both bogus', { ...apiKey('bogus'), ...bearer('bogus') }],
  ];

  test.each(strays)('the documented body with %s opens a session', async (_, headers) => {
    const answer = await rest(server, 'POST', '/v2/auth/login', { headers, body: loginRequest });
    expect(answer.status).toBe(200);
    const { token } = answer.body.data as EcgridLogin;
    expect(token).toStartWith(documentedPrefix);
    expect(answer.text).toBe(
      `{"success":true,"data":{"token":"${token}","expiresAt":"2026-05-07T18:30:00Z","userId":4821},"errorCode":"","message":""}`,
    );
    expect(JSON.stringify(answer.body)).toBe(JSON.stringify({ ...documented, data: { ...documented.data, token } }));
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test('the token carries exactly the seven claims, in order', async () => {
    const { token } = await login(server, loginRequest);
    const claims = claimsOf(token);
    expect(Object.keys(claims)).toEqual(['iss', 'aud', 'sub', 'sid', 'jti', 'iat', 'exp']);
    expect(claims).toMatchObject({ iss: 'https://auth.example.com', aud: 'cardea', sub: '4821' });
    expect(claims).toMatchObject({ iat: exampleSeconds, exp: exampleSeconds + 3600 });
    expect(claims['sid']).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(claims['jti']).toMatch(/^[A-Za-z0-9_-]{16}$/);
    expect(token.split('.')[2]).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });

  test('K13: every login opens a new session, and a token sent along is neither adopted nor ended', async () => {
    const first = (await login(server, loginRequest)).token;
    const again = await rest(server, 'POST', '/v2/auth/login', { headers: bearer(first), body: loginRequest });
    const second = (again.body.data as EcgridLogin).token;
    expect(claimsOf(second)['sid']).not.toBe(claimsOf(first)['sid']);
    expect((await session(server, bearer(first))).status).toBe(200);
    expect((await session(server, bearer(second))).status).toBe(200);
  });

  test('a repeated credential header is 400 although neither is read', async () => {
    const body = JSON.stringify(loginRequest);
    const head = ['POST /v2/auth/login HTTP/1.1', 'Content-Type: application/json', `Content-Length: ${body.length}`];
    const keys = await restRaw(server, [...head, 'X-API-Key: a', 'X-API-Key: a'], body);
    expectRefusal(keys, 400, 'InvalidParameter', /x-api-key/i);
    const bearers = await restRaw(server, [...head, 'Authorization: Bearer a', 'Authorization: Bearer a'], body);
    expectRefusal(bearers, 400, 'InvalidParameter', /authorization/i);
  });

  test('L18: members that are not of the contract change nothing', async () => {
    const wish = { authLevel: 'Root', userId: 1, isAdmin: true, roles: ['x'], status: 'Active', sid: 'x'.repeat(22) };
    const answer = await rest(server, 'POST', '/v2/auth/login', { body: { ...loginRequest, ...wish } });
    const { token, userId } = answer.body.data as EcgridLogin;
    expect(userId).toBe(4821);
    expect((await session(server, bearer(token))).body.data).toMatchObject({ userId: 4821, authLevel: 'MailboxAdmin' });
  });
});

describe('6.2 names and passwords', () => {
  beforeAll(async () => {
    await addUser(server, { login: 'Zo\u00eb', email: 'zoe@users.example.com', password: 'Caf\u00e9 au lait, grand' });
    await addUser(server, { login: 'due', passwordChangeDue: true });
  });

  test.each([
    ['the alias email', { email: loginRequest.login }],
    ['the alias username', { username: loginRequest.login }],
    ['two names that say the same', { login: loginRequest.login, email: loginRequest.login }],
    ['another letter case (L07)', { login: 'JSmith@Example.COM' }],
    ['full-width letters (L07)', { login: '\uff4asmith@example.com' }],
  ])('%s signs in', async (_, name) => {
    const answer = await rest(server, 'POST', '/v2/auth/login', { body: { ...name, password: loginRequest.password } });
    expect(answer.status).toBe(200);
  });

  test.each([
    ['composed', 'Caf\u00e9 au lait, grand'],
    ['decomposed', 'Cafe\u0301 au lait, grand'],
    ['full-width', '\uff23af\u00e9 au lait, grand'],
  ])('L06: the %s form of a password signs in', async (_, password) => {
    for (const name of ['Zo\u00eb', 'zoe\u0308', 'zoe@users.example.com']) {
      expect((await rest(server, 'POST', '/v2/auth/login', { body: { login: name, password } })).status).toBe(200);
    }
  });

  test.each([
    ['an outer space in the name', ' jsmith@example.com', loginRequest.password],
    ['a trailing dot', 'jsmith@example.com.', loginRequest.password],
    ['a zero-width space', 'jsmith\u200b@example.com', loginRequest.password],
    ['a direction override', '\u202ejsmith@example.com', loginRequest.password],
    ['a Cyrillic look-alike', 'jsmith@ex\u0430mple.com', loginRequest.password],
    ['NUL in the name (L05)', 'jsmith@example.com\u0000', loginRequest.password],
    ['NUL in the password (L05)', loginRequest.login, `${loginRequest.password}\u0000`],
    ['an outer space in the password', loginRequest.login, ` ${loginRequest.password}`],
    ['another case of the password', loginRequest.login, loginRequest.password.toLowerCase()],
    ['query text (L17)', "' or 1=1--", "' or ''='"],
    ['a pattern (L17)', '%', '%'],
  ])('L07: %s is a wrong login, never a second name for somebody', async (_, name, password) => {
    const answer = await rest(server, 'POST', '/v2/auth/login', { body: { login: name, password } });
    expectRefusal(answer, 401, 'InvalidSession', messages.E5);
  });

  test('a due password change is 403 E7 for the right password alone', async () => {
    const answer = await rest(server, 'POST', '/v2/auth/login', { body: { login: 'due', password: testPassword } });
    expectRefusal(answer, 403, 'AccessDenied', messages.E7);
    const wrong = await rest(server, 'POST', '/v2/auth/login', { body: { login: 'due', password: 'wrong' } });
    expectRefusal(wrong, 401, 'InvalidSession', messages.E5);
  });
});

describe('[9] a login body that is wrong', () => {
  const unusable = ['null', '7', '["a"]', '{"$ne":null}', 'true', '""'];
  const fields = unusable.flatMap((value): [string, string, RegExp][] => [
    [`login ${value}`, `{"login":${value},"password":"x"}`, /^login /],
    [`password ${value}`, `{"login":"x","password":${value}}`, /^password /],
    [`email ${value}`, `{"email":${value},"password":"x"}`, /^email /],
  ]);

  test.each([
    ...fields,
    ['no login', '{"password":"x"}', /^login /] as const,
    ['no password', '{"login":"x"}', /^password /] as const,
    ['an empty object', '{}', /^(login|password) /] as const,
    ['two names that differ', '{"login":"x","email":"y","password":"x"}', /^(login|email) /] as const,
    ['a name of 257 characters', `{"login":"${'x'.repeat(257)}","password":"x"}`, /^login /] as const,
    ['a password of 1,025 bytes (L04)', `{"login":"x","password":"${'x'.repeat(1025)}"}`, /^password /] as const,
    ['a password of 513 two-byte letters', `{"login":"x","password":"${'\u00e9'.repeat(513)}"}`, /^password /] as const,
    ['half a surrogate pair (L06)', '{"login":"x","password":"a\\ud800"}', /^password /] as const,
  ])('L02: %s: 400 that names the field', async (_, body, message) => {
    expectRefusal(await post(body), 400, 'InvalidParameter', message);
  });

  const hidden = (text: string) => Buffer.from(text, 'latin1');
  test.each<[string, string | Uint8Array]>([
    ['a key twice (B04)', '{"login":"x","login":"x","password":"x"}'],
    ['a key twice, once escaped (B04)', '{"login":"x","\\u006cogin":"x","password":"x"}'],
    ['__proto__ (B05)', '{"login":"x","password":"x","__proto__":{"a":1}}'],
    ['constructor, nested (B05)', '{"login":"x","password":"x","more":{"constructor":1}}'],
    ['prototype, escaped (B05)', '{"login":"x","password":"x","prototyp\\u0065":1}'],
    ['17 levels (B06)', `{"login":"x","password":"x","more":${'['.repeat(16)}${']'.repeat(16)}}`],
    ['a byte-order mark (B02)', '\ufeff{"login":"x","password":"x"}'],
    ['a lone continuation byte (B02)', hidden('{"login":"\x80","password":"x"}')],
    ['an overlong byte pair (B02)', hidden('{"login":"\xc0\xaf","password":"x"}')],
    ['surrogate bytes (B02)', hidden('{"login":"\xed\xa0\x80","password":"x"}')],
    ['UTF-16', Buffer.from('{"login":"x","password":"x"}', 'utf16le')],
    ['an empty body', ''],
    ['white space', '  \n'],
    ['a trailing comma (B01)', '{"login":"x","password":"x",}'],
    ['two documents (B01)', '{"login":"x","password":"x"}{}'],
    ['an array (B03)', '[]'],
    ['a string (B03)', '"x"'],
    ['null (B03)', 'null'],
  ])('%s: 400', async (_, body) => {
    expectRefusal(await post(body), 400, 'InvalidParameter', 'The request body is not valid JSON.');
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });

  const good = JSON.stringify(loginRequest);
  test.each<[string, Record<string, string>]>([
    ['a form', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['text/plain (L15)', { 'Content-Type': 'text/plain' }],
    ['multipart', { 'Content-Type': 'multipart/form-data; boundary=x' }],
    ['no type', {}],
    ['JSON in another charset (B07)', { 'Content-Type': 'application/json; charset=latin1' }],
    ['two types in one header (B13)', { 'Content-Type': 'application/json, text/plain' }],
    ['gzip (B09)', { ...json, 'Content-Encoding': 'gzip' }],
    ['identity, gzip (B09)', { ...json, 'Content-Encoding': 'identity, gzip' }],
  ])('%s: 415', async (_, headers) => {
    const message = 'The body must be application/json in UTF-8 without content coding.';
    expectRefusal(await post(good, headers), 415, 'InvalidParameter', message);
  });

  test.each([
    ['charset=utf-8', { 'Content-Type': 'application/json; charset=utf-8' }],
    ['charset="UTF-8"', { 'Content-Type': 'Application/JSON;charset="UTF-8"' }],
    ['Content-Encoding: identity', { ...json, 'Content-Encoding': 'identity' }],
  ])('%s is right', async (_, headers) => {
    expect((await post(good, headers)).status).toBe(200);
  });

  test('L04: a body of 16,385 bytes is 413, judged before its type; one of 1,024 password bytes is a wrong login', async () => {
    const large = await post(`{"login":"x","password":"x","pad":"${'x'.repeat(16_384)}"}`, {
      'Content-Type': 'text/plain',
    });
    expectRefusal(large, 413, 'InvalidParameter', 'The request body is too large.');
    const longest = await post(`{"login":"x","password":"${'x'.repeat(1024)}"}`);
    expectRefusal(longest, 401, 'InvalidSession', messages.E5);
  });
});
