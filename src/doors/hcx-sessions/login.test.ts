import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { gzipSync } from 'node:zlib';
import {
  adminPath,
  byToken,
  dataOf,
  exchangeBytes,
  expectError,
  getSession,
  type HcxCall,
  hcx,
  hybridityPath,
  patient,
  postLogin,
  readErrorMap,
  refusals,
} from '../../../tests/support/hcx.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { admin } = demoUsers;
const right = { username: admin.login, password: admin.password };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ settings: patient });
});
afterAll(() => server.close());

const post = (call: HcxCall) => hcx(server.httpsUrl, 'POST', adminPath, call);

describe('POST of a right password', () => {
  test('[1] the token stands once, on one line of its own, in lower case, and in no body', async () => {
    const body = JSON.stringify(right);
    const head = `POST ${adminPath} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
    for (const origin of [server.httpsUrl, server.url]) {
      const received = (await exchangeBytes(origin, Buffer.from(head + body))).toString();
      expect(received).toStartWith('HTTP/1.1 200 OK\r\n');
      const found = [...received.matchAll(/^x-hm-authorization: ([0-9a-f]{8}(?::[0-9a-f]{4}){3}:[0-9a-f]{12})\r$/gm)];
      expect(found).toHaveLength(1);
      const token = found[0]?.[1] ?? '';
      expect(received.split(token)).toHaveLength(2);
      expect(received).toContain('\r\nauth_token_name: x-hm-authorization\r\n');
      expect((await getSession(server, byToken(token))).status).toBe(200);
    }
  });

  test('the body is that of GET, and the transaction id its own', async () => {
    const answer = await post({ body: right });
    const data = dataOf<{ user: Record<string, unknown> }>(answer);
    const shown = dataOf<{ user: Record<string, unknown> }>(
      await getSession(server, byToken(answer.headers.get('x-hm-authorization') ?? '')),
    );
    expect(data.user['transactionId']).toBe(answer.headers.get('x-transaction-id'));
    const own = { transactionId: '' };
    const alike = { ...shown, user: { ...shown.user, ...own } };
    expect(JSON.stringify({ ...data, user: { ...data.user, ...own } })).toBe(JSON.stringify(alike));
  });

  test.each(['admin', 'ADMIN', 'admin@example.com', 'Admin@Example.COM'])(
    '[12] by %s it is the same user, told by e-mail address',
    async (username) => {
      const { user } = dataOf<{ user: { username: string } }>(await post({ body: { ...right, username } }));
      expect(user.username).toBe('admin@example.com');
    },
  );

  test.each([{}, { authType: 'local' }, { authType: 'vsphere' }, { authType: 'password' }, { more: [1] }])(
    '[10] with %p it is 200 on both operations',
    async (more) => {
      expect((await post({ body: { ...right, ...more } })).status).toBe(200);
      const body = { ...right, ...more };
      expect((await hcx(server.url, 'POST', hybridityPath, { body })).status).toBe(200);
    },
  );

  test.each(['', 'application/json', 'application/x-www-form-urlencoded', 'text/plain', 'text/plain; charset=utf-8'])(
    '[11] JSON declared as "%s" is read',
    async (type) => {
      const headers: Record<string, string> = type === '' ? {} : { 'content-type': type };
      expect((await post({ headers, body: right })).status).toBe(200);
    },
  );

  test('a credential that comes along is ignored, good or bad', async () => {
    for (const headers of [byToken('x'), { authorization: 'Basic eDp5' }, { cookie: 'a=b', ContentType: 'x' }]) {
      expect((await post({ headers, body: right })).status).toBe(200);
    }
  });
});

describe('POST of another body', () => {
  /** Fails the test unless the answer refuses the body and no password was looked at. */
  async function expectRefused(call: HcxCall, refusal: readonly [number, string | null, string]): Promise<void> {
    const before = server.core.hasher.evaluated();
    for (const headers of [{}, { accept: 'application/json' }]) {
      const all = { ...call, headers: { ...call.headers, ...headers } };
      expectError(await post(all), ...refusal);
      expectError(await hcx(server.url, 'POST', hybridityPath, all), ...refusal);
    }
    expect(server.core.hasher.evaluated()).toBe(before);
  }

  test.each(['ldap', 'LOCAL', '', 'local ', 'constructor'])('[10] authType "%s" is 400 naming it', (authType) =>
    expectRefused({ body: { ...right, authType } }, [400, 'BAD_REQUEST', `Unsupported authType: ${authType}`]),
  );

  test.each([[null], [1], [['local']], [{}]])('[10] authType %p is no text', (authType) =>
    expectRefused({ body: { ...right, authType } }, [400, 'BAD_REQUEST', 'authType: must be a string']),
  );

  test('[10] an authType that could break out is cut at 64 characters and made printable, in JSON and in XML', async () => {
    const authType = `\u0000<&"é\u2028😀]]>${'x'.repeat(100)}`;
    const told = `?<&"???]]>${'x'.repeat(54)}`;
    await expectRefused({ body: { ...right, authType } }, [400, 'BAD_REQUEST', `Unsupported authType: ${told}`]);
    const { text } = await hcx(server.url, 'POST', hybridityPath, { body: { ...right, authType } });
    expect(text).toContain(`<string>Unsupported authType: ?&lt;&amp;"???]]&gt;`);
    expect(readErrorMap(text)['error']).toBe(`Unsupported authType: ${told}`);
  });

  const object = JSON.stringify(right);
  test.each<[string, string | Uint8Array]>([
    ['empty', ''],
    ['blank', ' \r\n'],
    ['a list', '[]'],
    ['a text', '"x"'],
    ['two documents', object + object],
    ['a repeated key', '{"username":"admin","username":"admin","password":"VMware1!"}'],
    ['a repeated key, once escaped', '{"username":"admin","\\u0075sername":"admin","password":"VMware1!"}'],
    ['__proto__', '{"__proto__":{},"username":"admin","password":"VMware1!"}'],
    ['constructor deep inside', '{"a":[{"constructor":1}],"username":"admin","password":"VMware1!"}'],
    ['invalid UTF-8', Buffer.from('{"username":"adm\xe9in","password":"VMware1!"}', 'latin1')],
    ['a byte-order mark', `\ufeff${object}`],
    ['17 levels', `{"a":${'['.repeat(16)}${']'.repeat(16)},${object.slice(1)}`],
    ['half an object', '{'],
  ])('[11] %s: 400 before any password work', (_, body) => expectRefused({ body }, refusals.notAnObject));

  test('[11] none at all: 400', () => expectRefused({}, refusals.notAnObject));

  test.each(['username', 'password'])('%s missing, of another type or out of bounds: 400 naming it', async (member) => {
    const refuse = (value: unknown, why: string) =>
      expectRefused({ body: { ...right, [member]: value } }, [400, 'BAD_REQUEST', `${member}: ${why}`]);
    await refuse(undefined, 'is required');
    await refuse('', 'is required');
    await refuse(null, 'must be a string');
    await refuse(7, 'must be a string');
    await refuse(['x'], 'must be a string');
    await refuse('x'.repeat(member === 'username' ? 257 : 1025), 'is too long');
  });

  test('a username with control characters: 400', () =>
    expectRefused({ body: { ...right, username: 'ad\u0000min' } }, [400, 'BAD_REQUEST', 'username: is not allowed']));

  test('[15] a password counts in bytes: 1,024 are looked at, 1,025 are not', async () => {
    await expectRefused({ body: { ...right, password: 'é'.repeat(513) } }, [
      400,
      'BAD_REQUEST',
      'password: is too long',
    ]);
    const long = { login: 'patience', password: 'é'.repeat(512) };
    await addUser(server, long);
    expect((await postLogin(server.httpsUrl, long)).status).toBe(200);
    expectError(
      await postLogin(server.httpsUrl, { ...long, password: `${'é'.repeat(511)}ee` }),
      ...refusals.wrongLogin,
    );
  });

  test('[15] a body over 16 KiB: 413; of exactly 16 KiB: read', async () => {
    const padded = (bytes: number) => object + ' '.repeat(bytes - object.length);
    await expectRefused({ body: padded(16_385) }, refusals.tooLarge);
    await expectRefused({ body: padded(17 * 1024) }, refusals.tooLarge);
    expect((await post({ body: padded(16_384) })).status).toBe(200);
  });

  test.each<[string, HcxCall]>([
    ['[15] gzip', { headers: { 'content-encoding': 'gzip' }, body: gzipSync(object) }],
    ['[15] plain JSON said to be gzip', { headers: { 'content-encoding': 'gzip' }, body: object }],
    [
      '[11] a form',
      { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'username=admin&password=VMware1%21' },
    ],
    ['[11] text that is no JSON', { headers: { 'content-type': 'text/plain' }, body: 'hello' }],
    ['another charset', { headers: { 'content-type': 'application/json; charset=iso-8859-1' }, body: object }],
  ])('%s: 415', (_, call) => expectRefused(call, refusals.type));
});
