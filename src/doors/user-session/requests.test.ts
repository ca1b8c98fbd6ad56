import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { sendRaw, statuses } from '../../http/raw-client.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  bearer,
  comparable,
  expectRefusal,
  messages,
  readAnswer,
  session,
  signIn,
  web,
  webRaw,
} from '../../../tests/support/user-session.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { john, soap } = demoUsers;

let server: TestServer;
let token: string;
let port: number;
beforeAll(async () => {
  server = await startTestServer({
    settings: { CARDEA_TRUSTED_PROXIES: '127.0.0.1', CARDEA_LIMITS_CHECKS_PER_SECOND: '1000' },
  });
  port = Number(new URL(server.url).port);
  token = (await signIn(server, john)).token;
});
afterAll(() => server.close());

const ask = () => session(server, bearer(token));

describe('2.3 headers of every answer', () => {
  test('over TLS, which a declared proxy tells of, browsers are told to stay with it', async () => {
    for (const [method, path] of [
      ['GET', '/auth/session'],
      ['GET', '/auth/nothing'],
      ['DELETE', '/auth/session'],
      ['OPTIONS', '/auth/session'],
    ] as const) {
      await web(server, method, path, { headers: { 'X-Forwarded-Proto': 'https' }, secure: true });
    }
  });

  test.each(['abc', 'A.b_c-9', 'x'.repeat(64)])('the request id %p is adopted', async (id) => {
    const answer = await web(server, 'GET', '/auth/session', { headers: { 'X-Request-Id': id } });
    expect(answer.headers.get('x-request-id')).toBe(id);
  });

  test.each([
    ['65 characters', 'x'.repeat(65)],
    ['10 KB', 'x'.repeat(10_000)],
    ['a space', 'a b'],
    ['a line break in disguise', 'a%0d%0ab'],
    ['Latin-1', '\u00e9'],
    ['markup', '<script>'],
    ['empty', ''],
  ])('H18: a request id of %s is not, and nowhere comes back', async (_, id) => {
    const answer = await webRaw(server, ['GET /auth/session HTTP/1.1', `X-Request-Id: ${id}`]);
    expect(answer.status).toBe(401);
    if (id !== '') expect(JSON.stringify([...answer.headers]) + answer.text).not.toContain(id);
  });

  test('H22: conditional, partial and content-choosing requests get the whole answer', async () => {
    const plain = comparable(await ask());
    const headers = {
      ...bearer(token),
      Range: 'bytes=0-1',
      'If-None-Match': '*',
      'If-Modified-Since': 'Fri, 01 Jan 2100 00:00:00 GMT',
      Accept: 'text/html',
      'Accept-Encoding': 'gzip, br, zstd',
    };
    expect(comparable(await session(server, headers))).toEqual(plain);
  });
});

describe('H: what is not HTTP, or not quite', () => {
  test('K10, H07: a repeated, empty or unusable Host is 400 at every operation', async () => {
    const hosts = [
      ['Host: auth.example.com', 'Host: auth.example.com'],
      ['Host: a, b'],
      ['Host:'],
      ['Host: a b'],
      ['Host: a/b'],
      [`Host: ${'x'.repeat(1_000)}`],
    ];
    for (const request of ['GET /auth/session', 'POST /auth/logout', 'POST /auth/login', 'GET /auth/nothing']) {
      for (const host of hosts) {
        const answer = await webRaw(server, [`${request} HTTP/1.1`, ...host, `Authorization: Bearer ${token}`]);
        expectRefusal(answer, 400, messages.notValid);
      }
    }
    expect((await ask()).status).toBe(200);
  });

  test('H07: HTTP/1.0 without Host is served or refused in shape', async () => {
    const received = await sendRaw(port, `GET /auth/session HTTP/1.0\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    expect([200, 400]).toContain(readAnswer(received).status);
  });

  const head = 'POST /auth/logout HTTP/1.1\r\nHost: a\r\n';
  test.each<[string, () => string]>([
    ['H01 length and chunked', () => `${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['H02 two lengths', () => `${head}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde`],
    ['H03 a signed length', () => `${head}Content-Length: +4\r\n\r\nabcd`],
    ['H03 a negative length', () => `${head}Content-Length: -1\r\n\r\n`],
    ['H04 an unknown coding', () => `${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['H05 a chunk size that is none', () => `${head}Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n`],
    ['H06 a space before the colon', () => `${head}Authorization : Bearer ${token}\r\n\r\n`],
    ['H06 a control in a value', () => `${head}Authorization: Bearer ${token}\x01\r\n\r\n`],
    ['H07 no Host', () => `POST /auth/logout HTTP/1.1\r\nAuthorization: Bearer ${token}\r\n\r\n`],
    ['H09 a method in lower case', () => `get /auth/session HTTP/1.1\r\nHost: a\r\n\r\n`],
    ['K14 a header block of 17 KB', () => `${head}X: ${'x'.repeat(17_000)}\r\n\r\n`],
  ])('%s: refused without a body or closed, and the session lives', async (_, request) => {
    const received = await sendRaw(port, `${request()}`);
    if (received !== '') expect(received).toMatch(/^HTTP\/1\.1 (400|413|431|505)/);
    expect((await ask()).status).toBe(200);
  });

  test('H14: requests of mixed users in one write are answered in order, each its own', async () => {
    const other = (await signIn(server, soap)).token;
    const line = (one: string, last: boolean) =>
      `GET /auth/session HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${one}\r\n${last ? 'Connection: close\r\n' : ''}\r\n`;
    const tokens = Array.from({ length: 100 }, (_, index) => [token, other, 'garbage'][index % 3] ?? '');
    const received = await sendRaw(port, tokens.map((one, index) => line(one, index === 99)).join(''));
    expect(statuses(received)).toEqual(tokens.map((one) => (one === 'garbage' ? 401 : 200)));
    const told = [...received.matchAll(/"token":"([^"]+)"/g)].map((match) => match[1]);
    expect(told).toEqual(tokens.filter((one) => one !== 'garbage'));
  });

  test('I01, I03: what stands in name, agent and origin stays in one log line of JSON, cut', async () => {
    const odd = '${jndi:ldap://x}\u001b[31m\u2028{{7*7}}';
    await web(server, 'POST', '/auth/login', {
      body: { email: odd, password: odd },
      headers: { 'User-Agent': 'A'.repeat(12_000), Origin: 'https://evil.test' },
    });
    for (const line of server.log) {
      expect(line.length).toBeLessThan(2_048 + 256);
      expect(typeof JSON.parse(line)).toBe('object');
      expect(line).not.toContain('\u001b');
    }
  });
});
