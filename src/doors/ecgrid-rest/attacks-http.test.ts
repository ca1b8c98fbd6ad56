import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import {
  apiKey,
  bearer,
  type EcgridAnswer,
  expectRefusal,
  login,
  rest,
  restRaw,
  session,
} from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { lastBody, sendAndLeave, sendRaw, statuses } from '../../http/raw-client.ts';

const answerToKey =
  '{"success":true,"data":{"userId":4821,"login":"jsmith@example.com","networkId":1,"mailboxId":101,"authLevel":"MailboxAdmin","expiresAt":"9999-01-01T00:00:00Z"},"errorCode":"","message":""}';

let server: TestServer;
let port: number;
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000' } });
  port = Number(new URL(server.url).port);
});
afterAll(() => server.close());

const start = 'POST /v2/auth/session HTTP/1.1';
const key = `X-API-Key: ${demoKey}`;

/** Head lines and body as they are, with a Host unless the lines name one; the connection is closed after the answer. */
function sendLines(lines: readonly string[], body = ''): Promise<string> {
  const host = lines.some((line) => /^host/i.test(line)) ? [] : ['Host: auth.example.com'];
  return sendRaw(port, [...lines, ...host, 'Connection: close', '', body].join('\r\n'));
}

describe('H01–H06 what is not HTTP never reaches an operation', () => {
  test.each<[string, string[], string]>([
    ['H01 length and chunked', ['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
    ['H02 two differing lengths', ['Content-Length: 5', 'Content-Length: 6'], 'aaaaaa'],
    ['H02 a length with a sign', ['Content-Length: +5'], 'aaaaa'],
    ['H02 a length in hex', ['Content-Length: 0x5'], 'aaaaa'],
    ['H02 a negative length', ['Content-Length: -1'], ''],
    ['H02 a length of 20 digits', ['Content-Length: 99999999999999999999'], ''],
    ['H03 a coding nobody knows', ['Transfer-Encoding: xchunked'], '0\r\n\r\n'],
    ['H03 a coding behind chunked', ['Transfer-Encoding: chunked, identity'], '0\r\n\r\n'],
    ['H05 a chunk size with a sign', ['Transfer-Encoding: chunked'], '+5\r\naaaaa\r\n0\r\n\r\n'],
    ['H05 a chunk size of letters', ['Transfer-Encoding: chunked'], 'xyz\r\n0\r\n\r\n'],
    ['H06 a space before the colon', ['X-Api-Key : x'], ''],
    ['H06 an empty name', [': x'], ''],
    ['H06 NUL in a value', ['X-A: \0'], ''],
  ])('%s', async (_, lines, body) => {
    const received = await sendLines([start, key, ...lines], body);
    expect(received).not.toContain('4821');
    for (const status of statuses(received)) expect([400, 413, 431, 505]).toContain(status);
  });
});

describe('H07 Host', () => {
  test.each<[string, string[]]>([
    ['twice', ['Host: a', 'Host: b']],
    ['empty', ['Host:']],
    ['with a space', ['Host: a b']],
    ['with a path', ['Host: a/b']],
    ['of 1 KB', [`Host: ${'a'.repeat(1024)}`]],
  ])('%s: B400 in the envelope, or refused as not HTTP', async (_, hosts) => {
    const received = await sendLines([start, key, ...hosts]);
    expect(statuses(received)).toEqual([400]);
    const body = lastBody(received);
    if (body !== '') expect(JSON.parse(body)).toMatchObject({ success: false, errorCode: 'InvalidParameter' });
  });

  test('none, in HTTP/1.0: served or B400, never a fault of ours', async () => {
    const received = await sendRaw(port, `POST /v2/auth/session HTTP/1.0\r\n${key}\r\nContent-Length: 0\r\n\r\n`);
    expect([200, 400]).toContain(Number(/^HTTP\/1\.[01] (\d{3})/.exec(received)?.[1]));
  });
});

describe('H14 many requests in one write', () => {
  test('100 of two users: answers in order and each its own, or the connection closed; never another one', async () => {
    const tokens = [(await login(server, demoUsers.john)).token, (await login(server, demoUsers.soap)).token];
    const users = Array.from({ length: 100 }, (_, index) => (index * 7 + (index >> 2)) % 2);
    const requests = users.map((user, index) => {
      const last = index === users.length - 1 ? 'Connection: close\r\n' : '';
      return `${start}\r\nHost: x\r\nX-Request-Id: q-${index}\r\nAuthorization: Bearer ${tokens[user]}\r\nContent-Length: 0\r\n${last}\r\n`;
    });
    const received = await sendRaw(port, requests.join(''));
    const answers = received.split('HTTP/1.1 200 OK').slice(1);
    expect(answers.length).toBeGreaterThan(0);
    answers.forEach((answer, index) => {
      expect(answer).toContain(`q-${index}\r\n`);
      expect(answer).toContain(`"userId":${users[index] === 0 ? 4821 : 12_345},`);
    });
    expect(statuses(received).filter((status) => status !== 200)).toEqual([]);
  });

  test('after a refusal of every kind the next request on the connection gets its own right answer', async () => {
    const refused = [
      'GET /v2/unknown HTTP/1.1\r\nHost: x\r\n\r\n',
      'GET /v2/auth/login HTTP/1.1\r\nHost: x\r\n\r\n',
      'POST /v2/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{',
      'POST /v2/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}',
      `${start}\r\nHost: x\r\nX-API-Key: a\r\nX-API-Key: b\r\nContent-Length: 3\r\n\r\nabc`,
      `${start}\r\nHost: x\r\nX-API-Key: a\r\nContent-Length: 3\r\n\r\nabc`,
    ];
    const good = `${start}\r\nHost: x\r\n${key}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`;
    const received = await sendRaw(port, ...refused, good);
    expect(statuses(received)).toEqual([404, 405, 400, 415, 400, 401, 200]);
    expect(lastBody(received)).toBe(answerToKey);
  });
});

describe('headers without effect', () => {
  test.each<[string, string[]]>([
    ['H16 the h2c offer of Java', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk']],
    ['H16 a websocket', ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==']],
    ['H22 Range', ['Range: bytes=0-3']],
    ['H22 If-None-Match', ['If-None-Match: *']],
    ['H22 If-Modified-Since', ['If-Modified-Since: Thu, 07 May 2099 17:30:00 GMT']],
    ['H22 Accept', ['Accept: text/html']],
    ['H22 Accept-Encoding', ['Accept-Encoding: gzip, br']],
    ['H10 a foreign forwarded host', ['X-Forwarded-Host: evil.example.com', 'X-Forwarded-Proto: https']],
    ['H15 Expect', ['Expect: 200-maybe']],
    ['S16 x-account-id', ['x-account-id: 7']],
  ])('%s: HTTP/1.1 200 and the whole answer', async (_, lines) => {
    const received = await sendLines([start, key, 'Content-Length: 0', ...lines]);
    expect(received).toStartWith('HTTP/1.1 200');
    expect(lastBody(received)).toBe(answerToKey);
    expect(received).not.toMatch(/strict-transport-security/i);
  });

  test('H16: the preface of HTTP/2 is no request of ours', async () => {
    const received = await sendRaw(port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    expect(received).not.toContain('success');
  });

  test('H17 K14: a target of 20 KB and a header block of 17 KB never reach an operation', async () => {
    for (const lines of [
      [`GET /v2/auth/version?${'x'.repeat(20_000)} HTTP/1.1`],
      ['GET /v2/auth/version HTTP/1.1', `X-A: ${'x'.repeat(17_000)}`],
    ]) {
      const received = await sendLines(lines);
      expect(received).not.toContain('"2.6"');
      for (const status of statuses(received)) expect([400, 414, 431]).toContain(status);
    }
  });
});

describe('H18 what is reflected', () => {
  test.each<[string, string]>([
    ['a space', 'a b'],
    ['markup', '<script>'],
    ['Latin-1', 'caf\u00e9'],
    ['65 characters', 'x'.repeat(65)],
    ['10 KB', 'x'.repeat(10_000)],
    ['nothing', ''],
  ])('%s as request id is replaced by one of ours', async (_, id) => {
    const received = await sendLines([start, key, `X-Request-Id: ${id}`, 'Content-Length: 0']);
    const given = /^x-request-id: (.*)\r$/im.exec(received)?.[1] ?? '';
    expect(given).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
    expect(given).not.toBe(id);
    expect(received.length).toBeLessThan(1_000);
  });

  test('a harmless one is adopted, also by a refusal', async () => {
    const id = 'Trace-1.2_3';
    const answers: EcgridAnswer[] = [
      await rest(server, 'POST', '/v2/auth/session', { headers: { ...apiKey(demoKey), 'X-Request-Id': id } }),
      await rest(server, 'POST', '/v2/unknown', { headers: { 'X-Request-Id': id } }),
    ];
    for (const { headers } of answers) expect(headers.get('x-request-id')).toBe(id);
  });
});

describe('H21 clients that leave', () => {
  test('in mid-request or mid-answer: nothing is left behind, and a change is done or not', async () => {
    const before = await session(server, apiKey(demoKey));
    for (let count = 0; count < 200; count += 1) {
      sendAndLeave(port, `${start}\r\nHost: x\r\n${key}\r\nContent-Length: 100\r\n\r\nhalf`);
      sendAndLeave(
        port,
        `POST /v2/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"login":`,
      );
      sendAndLeave(port, `${start}\r\nHost: x\r\n${key}\r\nContent-Length: 0\r\n\r\n`);
    }
    expect((await session(server, apiKey(demoKey))).text).toBe(before.text);
  });

  test('a logout whose client leaves at once ends the session or leaves it alone', async () => {
    for (let count = 0; count < 20; count += 1) {
      const { token } = await login(server, demoUsers.soap);
      sendAndLeave(
        port,
        `POST /v2/auth/logout HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: 0\r\n\r\n`,
      );
      expect([200, 401]).toContain((await session(server, bearer(token))).status);
    }
  });
});

describe('H15 Expect: 100-continue', () => {
  test('with the body it announces, the request is served', async () => {
    const head = [start, key, 'Expect: 100-continue', 'Content-Length: 2', 'Host: x', 'Connection: close', '', ''];
    const received = Promise.withResolvers<string>();
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(`${head.join('\r\n')}{}`));
    socket.on('data', (data) => (text += data.toString('latin1')));
    socket.on('close', () => received.resolve(text));
    expect(lastBody(await received.promise)).toBe(answerToKey);
  });
});

describe('B08 B10 sizes', () => {
  test('B10: an ignored body is bounded too, whatever it is', async () => {
    const large = await rest(server, 'POST', '/v2/auth/logout', {
      headers: apiKey(demoKey),
      rawBody: 'x'.repeat(16_385),
    });
    expectRefusal(large, 413, 'InvalidParameter', 'The request body is too large.');
    const fits = await rest(server, 'POST', '/v2/auth/logout', {
      headers: apiKey(demoKey),
      rawBody: 'x'.repeat(16_384),
    });
    expect(fits.status).toBe(200);
  });

  test('B08: 10 MB, declared or not: 413 in the envelope', async () => {
    const large = 'x'.repeat(10_000_000);
    const head = ['POST /v2/auth/login HTTP/1.1', 'Content-Type: application/json'];
    const chunked = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`;
    for (const answer of [
      await restRaw(server, [...head, `Content-Length: ${large.length}`], large),
      await restRaw(server, [...head, 'Transfer-Encoding: chunked'], chunked),
    ]) {
      expectRefusal(answer, 413, 'InvalidParameter', 'The request body is too large.');
    }
  });
});
