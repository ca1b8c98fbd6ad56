import { describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import * as fc from 'fast-check';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { lastBody, sendAndLeave, sendRaw, statuses } from '../../src/http/raw-client.ts';
import { type AttackRow, expectHealthy, expectNothingInside, underAttack, useAttackGround } from '../support/attack.ts';
import { faces } from '../support/door-faces.ts';
import { bytesOf, comparable, type Sent } from '../support/face-exchange.ts';
import { open } from '../support/four-doors.ts';
import { exchangeBytes } from '../support/hcx.ts';
import { tries } from '../support/seeds.ts';
import { readAnswer } from '../support/user-session.ts';

const { john } = demoUsers;
const ground = useAttackGround();
const each = faces.map((face) => [face.name, face] as const);

/** What is not HTTP for us: head lines behind the request line, and what follows the head. */
type Broken = { readonly lines: readonly string[]; readonly after?: string };
const notHttp: readonly AttackRow<Broken>[] = [
  ['H01 length and chunked', { lines: ['Content-Length: 5', 'Transfer-Encoding: chunked'], after: '0\r\n\r\n' }],
  ['H02 two differing lengths', { lines: ['Content-Length: 5', 'Content-Length: 6'], after: 'aaaaaa' }],
  ['H02 a length with a sign', { lines: ['Content-Length: +5'], after: 'aaaaa' }],
  ['H02 a length in hex', { lines: ['Content-Length: 0x5'], after: 'aaaaa' }],
  ['H02 a negative length', { lines: ['Content-Length: -1'] }],
  ['H02 an empty length', { lines: ['Content-Length:'] }],
  ['H02 a length of 20 digits', { lines: ['Content-Length: 99999999999999999999'] }],
  ['H03 a coding nobody knows', { lines: ['Transfer-Encoding: xchunked'], after: '0\r\n\r\n' }],
  ['H03 a coding behind chunked', { lines: ['Transfer-Encoding: chunked, identity'], after: '0\r\n\r\n' }],
  ['H05 a chunk size with a sign', { lines: ['Transfer-Encoding: chunked'], after: '+5\r\naaaaa\r\n0\r\n\r\n' }],
  ['H05 a chunk size of letters', { lines: ['Transfer-Encoding: chunked'], after: 'xyz\r\n0\r\n\r\n' }],
  [
    'H05 a chunk size that overflows',
    { lines: ['Transfer-Encoding: chunked'], after: 'ffffffffffffffffff\r\nx\r\n0\r\n\r\n' },
  ],
  ['H05 a chunk without its end', { lines: ['Transfer-Encoding: chunked'], after: '2\r\naaa\r\n0\r\n\r\n' }],
  ['H06 a space before the colon', { lines: ['X-A : x'] }],
  ['H06 an empty name', { lines: [': x'] }],
  ['H06 NUL in a value', { lines: ['X-A: \0'] }],
  ['H06 a control in a name', { lines: ['X-\u0001A: x'] }],
  ['H06 a bare line feed in a value', { lines: ['X-A: a\nX-B'] }],
];

describe.each(each)('attacks H at %s: what is no HTTP', (_, face) => {
  test.each(notHttp)('%s: X, and no operation is run', async (_name, { lines, after = '' }) => {
    const credential = await open(ground.server, john, face.kind);
    const head = [...face.post('').lines, ...face.credentialLines(credential), ...lines];
    const bytes = Buffer.concat([bytesOf({ lines: head }), Buffer.from(after, 'latin1')]);
    const received = await underAttack(ground, () => sendRaw(ground.port, bytes));
    expect(received).not.toContain('4821');
    for (const status of statuses(received)) expect([400, 413, 431, 505]).toContain(status);
    if (statuses(received).length > 0) expect(received).not.toMatch(/ 200 OK|set-cookie|x-hm-authorization: [0-9a-f]/i);
    expectNothingInside(received);
  });

  test('H06 a folded line: X', async () => {
    const received = await sendRaw(
      ground.port,
      `POST ${face.path} HTTP/1.1\r\nHost: a\r\nX-A: a\r\n b\r\nConnection: close\r\n\r\n`,
    );
    expect(statuses(received).filter((status) => status === 200)).toEqual([]);
  });

  test('H04 chunked in HTTP/1.0, and other versions: X or its own answer, never that of another', async () => {
    for (const version of ['HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/11', 'FOO/1.1']) {
      const sent = `POST ${face.path} ${version}\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`;
      const received = await underAttack(ground, () => sendRaw(ground.port, sent));
      expect(received).not.toMatch(/^HTTP\/1\.. 200/);
      expectNothingInside(received);
    }
  });
});

describe.each(each)('attacks H at %s: heads', (_, face) => {
  const hosts: readonly AttackRow<readonly string[]>[] = [
    ['H07 K10 two Hosts', ['a', 'b']],
    ['H07 an empty Host', ['']],
    ['H07 a Host with a space', ['a b']],
    ['H07 a Host with a path', ['a/b']],
    ['H07 a Host with user information', ['u:p@a']],
    ['H07 a Host of 1 KB', ['a'.repeat(1_024)]],
  ];
  test.each(hosts)('%s: B400 in shape or X, and nobody is signed in', async (name, values) => {
    const credential = await open(ground.server, john, face.kind);
    const received = await underAttack(ground, () =>
      sendRaw(ground.port, bytesOf({ ...face.check(credential), hosts: values })),
    );
    // An address with user information is one that the runtime can make: the request is served as if it were not there.
    expect(name.includes('user') ? [200, 400] : [400]).toContain(statuses(received)[0] ?? 0);
    if (statuses(received)[0] === 400 && received.includes('date:'))
      expect(comparable(received)).toEqual(face.answers['unsound Host']);
  });

  test('H09 methods that nobody offers: M405 with Allow and nothing echoed; unknown tokens: closed or X', async () => {
    for (const method of ['PATCH', 'PURGE', 'PROPFIND', 'TRACE']) {
      const sent: Sent = { lines: [`${method} ${face.path} HTTP/1.1`, 'X-Echo: mirror-mirror', 'Max-Forwards: 0'] };
      const received = await underAttack(ground, () => sendRaw(ground.port, bytesOf(sent)));
      expect(comparable(received)).toEqual(face.answers['wrong method']);
      expect(received).not.toContain('mirror');
    }
    for (const method of ['FOO', 'get', 'post', 'G=T', 'CONNECT']) {
      const received = await sendRaw(ground.port, bytesOf({ lines: [`${method} ${face.path} HTTP/1.1`] }));
      expect(statuses(received).filter((status) => ![400, 404, 405].includes(status))).toEqual([]);
    }
  });

  const without: readonly AttackRow<readonly string[]>[] = [
    [
      'H10 a foreign forwarded host',
      ['X-Forwarded-Host: evil.example.com', 'X-Forwarded-Proto: https', 'Forwarded: host=evil'],
    ],
    [
      'H12 another method or path by header',
      [
        'X-HTTP-Method-Override: DELETE',
        'X-Method-Override: PUT',
        'X-Original-URL: /metrics',
        'X-Rewrite-URL: /readyz',
      ],
    ],
    ['H15 another Expect', ['Expect: 200-maybe']],
    ['H16 an upgrade to h2c', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk']],
    [
      'H16 an upgrade to a websocket',
      ['Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='],
    ],
    ['H18 odd ids and names', ['X-Request-Id: <script>', 'Origin: \xe9\xff', `x-account-id: ${''}`]],
    [
      'H22 conditions, ranges and wishes',
      [
        'Range: bytes=0-3',
        'If-None-Match: *',
        'If-Modified-Since: Thu, 07 May 2099 17:30:00 GMT',
        'Accept-Encoding: gzip, br',
      ],
    ],
    ['S16 foreign places', ['X-Network-Id: 7', 'networkId: 7', 'mailboxId: 999']],
  ];
  test.each(without)('%s: no effect', async (_name, lines) => {
    const credential = await open(ground.server, john, face.kind);
    const good = face.check(credential);
    // Logins give each caller a secret of its own.
    const secrets = /"transactionId":"[^"]+"|"time":\d+/g;
    const read = (received: string) => {
      const { status, headers, text } = readAnswer(received);
      return { status, type: headers.get('content-type'), text: text.replace(secrets, '') };
    };
    const plain = read(await sendRaw(ground.port, bytesOf(good)));
    const received = await underAttack(ground, () =>
      sendRaw(ground.port, bytesOf({ ...good, lines: [...good.lines, ...lines] })),
    );
    expect(read(received)).toEqual(plain);
    expect(plain.status).toBe(200);
    expect(received).not.toMatch(/evil|<script>|strict-transport|content-encoding|location:/i);
  });

  test('H17 a target of 20 KB: X', async () => {
    const lines = [`GET ${face.path}?${'x'.repeat(20_000)} HTTP/1.1`];
    const received = await underAttack(ground, () => sendRaw(ground.port, bytesOf({ lines })));
    expect(statuses(received).filter((status) => ![400, 414, 431].includes(status))).toEqual([]);
  });
});

describe.each(each)('attacks H at %s: bytes in a row', (_, face) => {
  test('H14 after a refusal of every kind the next request on the connection gets its own right answer', async () => {
    const good = face.check(await open(ground.server, john, face.kind));
    const kept = (sent: Sent) => bytesOf(sent).toString('latin1').replace('Connection: close\r\n', '');
    const refused: Sent[] = [
      { lines: [`GET ${face.unknownPath} HTTP/1.1`] },
      { lines: [`PATCH ${face.path} HTTP/1.1`] },
      face.post('{'),
      face.wrongType,
    ];
    const received = await sendRaw(ground.port, ...refused.map(kept), bytesOf(good));
    expect(statuses(received)).toHaveLength(5);
    expect(statuses(received).at(-1)).toBe(200);
    expect(statuses(received).slice(0, 2)).toEqual([404, 405]);
  });

  test('H14 100 requests of mixed credentials in one write: in order and each its own, or closed', async () => {
    const credential = await open(ground.server, john, face.kind);
    const dead = 'x'.repeat(36);
    const all = Array.from({ length: 100 }, (_each, at) => face.check(at % 3 === 1 ? dead : credential));
    const isLogin = face.kind === 'web port token';
    const text = all.map((sent, at) => {
      const bytes = bytesOf(sent).toString('latin1');
      return at === 99 ? bytes : bytes.replace('Connection: close\r\n', '');
    });
    const received = await sendRaw(ground.port, text.join(''));
    const expected = all.map((_sent, at) => (at % 3 === 1 && !isLogin ? (face.kind === 'SessionID' ? 500 : 401) : 200));
    expect(statuses(received)).toEqual(expected.slice(0, statuses(received).length));
    // While a login is judged, a further request closes the connection without an answer.
    expect(statuses(received).length).toBeGreaterThan(isLogin ? -1 : 0);
  });

  test('H21 clients that leave in mid-request or mid-answer: nothing is left behind', async () => {
    const whole = bytesOf(face.check(await open(ground.server, john, face.kind))).toString('latin1');
    await underAttack(ground, async () => {
      // Of logins no more than the lane takes, or it would shed those of the tests that follow.
      const times = face.kind === 'web port token' ? 20 : 100;
      for (let at = 0; at < times; at += 1) sendAndLeave(ground.port, at % 2 === 0 ? whole : whole.slice(0, -20));
      await expectHealthy(ground);
    });
  });
});

describe.each(each)('attacks H at %s: mutated requests', (_, face) => {
  test('H01 H02 H05 H06 150 good requests with some bytes changed, cut, doubled or added: no 5xx, no insides, all is well', async () => {
    const whole = bytesOf(face.check(await open(ground.server, john, face.kind)));
    const mutation = fc.record({
      at: fc.nat(whole.length - 1),
      how: fc.constantFrom('change', 'cut', 'double', 'add'),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }),
    });
    await underAttack(ground, () =>
      fc.assert(
        fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 4 }), async (mutations) => {
          const bent = mutations.reduce<Uint8Array>(
            (bytes, { at, how, bytes: some }) => bend(bytes, at, how, some),
            whole,
          );
          const received = await sendAndEnd(ground.port, bent);
          const known = face.kind === 'SessionID' ? [500, 503, 505] : [503, 505];
          expect(statuses(received).filter((status) => status >= 500 && !known.includes(status))).toEqual([]);
          expectNothingInside(received);
        }),
        tries(150),
      ),
    );
  });
});

function bend(bytes: Uint8Array, at: number, how: string, some: Uint8Array): Uint8Array {
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  if (how === 'cut') return Buffer.concat([before, after.subarray(some.length)]);
  if (how === 'double') return Buffer.concat([before, after.subarray(0, 40), after]);
  return Buffer.concat([before, some, how === 'add' ? after : after.subarray(some.length)]);
}

/** Sends and says that nothing more will come, so that a server that waits for the rest of a body gives up. */
function sendAndEnd(port: number, bytes: Uint8Array): Promise<string> {
  const closed = Promise.withResolvers<string>();
  let received = '';
  const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
  socket.on('data', (data) => (received += data.toString('latin1')));
  socket.on('error', () => {});
  socket.on('close', () => closed.resolve(received));
  return closed.promise;
}

describe('attacks H on the TLS listener', () => {
  test.each(notHttp)('%s: X there too', async (_, { lines, after = '' }) => {
    const head = bytesOf({ lines: ['POST /api/admin/v1/sessions HTTP/1.1', ...lines] });
    const received = await exchangeBytes(ground.server.httpsUrl, Buffer.concat([head, Buffer.from(after, 'latin1')]));
    for (const status of statuses(received.toString('latin1'))) expect([400, 413, 431, 505]).toContain(status);
    expectNothingInside(received.toString('latin1'));
  });

  test('H20 plain text to the TLS port: no answer of ours', async () => {
    const port = Number(new URL(ground.server.httpsUrl).port);
    const received = await sendRaw(port, 'GET /api/admin/v1/sessions HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(received).not.toContain('success');
    expect(lastBody(received)).not.toContain('<html');
  });

  test('H16 the preface of HTTP/2, on both listeners: no request of ours', async () => {
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    expect(await sendRaw(ground.port, preface)).not.toContain('success');
    const overTls = await exchangeBytes(ground.server.httpsUrl, Buffer.from(preface));
    expect(overTls.toString('latin1')).not.toContain('success');
  });
});
