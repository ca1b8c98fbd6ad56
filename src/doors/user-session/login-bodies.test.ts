import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  expectRefusal,
  messages,
  postLogin,
  type WebAnswer,
  web,
  webRaw,
} from '../../../tests/support/user-session.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

const { john } = demoUsers;
const pair = { email: john.login, password: john.password };
const keyPair = { apiKey: 'apiKey-4821', apiSecret: demoKey };
const json = { 'Content-Type': 'application/json' };
const bodyLimit = 16_384;

let server: TestServer;
let hash: { stop(): void }[];
const calls: string[] = [];
beforeAll(async () => {
  server = await startTestServer();
  const { hasher } = server.core;
  hash = (['hash', 'verify', 'verifyDummy'] as const).map((name) => {
    const real = hasher[name] as (...given: string[]) => Promise<never>;
    const run = spyOn(hasher, name).mockImplementation(((...given: string[]) => {
      calls.push(name);
      return real(...given);
    }) as never);
    return { stop: () => run.mockRestore() };
  });
});
afterAll(async () => {
  for (const run of hash) run.stop();
  await server.close();
});

const postRaw = (rawBody: string | Uint8Array, headers: Readonly<Record<string, string>> = json) =>
  web(server, 'POST', '/auth/login', { rawBody, headers });

/** A refusal that cost no password work and counted nothing against anybody. */
async function expectCheapRefusal(ask: () => Promise<WebAnswer>, status: number, message: string): Promise<void> {
  calls.length = 0;
  const count = () => server.core.store.db.selectFrom('throttle').selectAll().orderBy('subject').execute();
  const before = await count();
  expectRefusal(await ask(), status, message);
  expect(calls).toEqual([]);
  expect(await count()).toEqual(before);
}

describe('[11] not one JSON object: 400', () => {
  const text = JSON.stringify(pair);
  const deep = (depth: number) => `${text.slice(0, -1)},"x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;

  test.each<[string, string | Uint8Array]>([
    ['nothing (B01)', ''],
    ['white space (B01)', ' \n\t'],
    ['a trailing comma (B01)', `${text.slice(0, -1)},}`],
    ['single quotes (B01)', text.replaceAll('"', "'")],
    ['a comment (B01)', `/* x */${text}`],
    ['a line comment (B01)', `${text}// x`],
    ['bare words (B01)', '{email:x}'],
    ['NaN (B01)', '{"x":NaN}'],
    ['+1 (B01)', '{"x":+1}'],
    ['01 (B01)', '{"x":01}'],
    ['1. (B01)', '{"x":1.}'],
    ['.5 (B01)', '{"x":.5}'],
    ['an unescaped control (B01)', '{"x":"a\nb"}'],
    ['a bad escape (B01)', '{"x":"\\x41"}'],
    ['an open brace (B01)', text.slice(0, -1)],
    ['an open string (B01)', text.slice(0, -3)],
    ['two documents (B01)', `${text}${text}`],
    ['lines of documents (B01)', `${text}\n${text}\n`],
    ['trailing text (B01)', `${text} x`],
    ['a lone continuation byte (B02)', Buffer.from(text.replace('jsmith', '\x80'), 'latin1')],
    ['an overlong form (B02)', Buffer.from(text.replace('jsmith', '\xc0\xaf'), 'latin1')],
    ['surrogate bytes (B02)', Buffer.from(text.replace('jsmith', '\xed\xa0\x80'), 'latin1')],
    ['a truncated character (B02)', Buffer.from(text.replace('jsmith', '\xe2\x82'), 'latin1')],
    ['above U+10FFFF (B02)', Buffer.from(text.replace('jsmith', '\xf5\x80\x80\x80'), 'latin1')],
    ['UTF-16 (B02)', Buffer.from(text, 'utf16le')],
    ['a byte-order mark (B02)', `\ufeff${text}`],
    ['an array (B03)', `[${text}]`],
    ['a string (B03)', JSON.stringify(text)],
    ['a number (B03)', '7'],
    ['true (B03)', 'true'],
    ['null (B03)', 'null'],
    ['a repeated key (B04)', text.replace('{', `{"email":"${john.login}",`)],
    ['a repeated key behind an escape (B04)', text.replace('{', `{"\\u0065mail":"x",`)],
    ['a repeated key deep inside (B04)', text.replace('{', '{"x":{"a":1,"a":2},')],
    ['__proto__ (B05)', text.replace('{', '{"__proto__":{"x":1},')],
    ['__proto__ behind an escape (B05)', text.replace('{', '{"\\u005f_proto__":{"x":1},')],
    ['constructor (B05)', text.replace('{', '{"constructor":{"prototype":{"x":1}},')],
    ['prototype deep inside (B05)', text.replace('{', '{"x":{"prototype":1},')],
    ['depth 17 (B06)', deep(17)],
    ['depth 8,000 (B06)', deep(8_000)],
  ])('%s', async (_, body) => {
    await expectCheapRefusal(() => postRaw(body), 400, messages.notJson);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  test.each<[string, string]>([
    ['depth 16', deep(16)],
    ['a number of 10,000 digits (B06)', text.replace('{', `{"x":${'9'.repeat(10_000)},`)],
    ['1e400 and -0 (B06)', text.replace('{', '{"x":1e400,"y":-0,')],
    ['toString and hasOwnProperty as keys (B05)', text.replace('{', '{"toString":1,"hasOwnProperty":null,')],
    ['2,000 further keys (B15)', text.replace('{', `{${Array.from({ length: 1_500 }, (_, n) => `"${n}":1`).join()},`)],
    ['a key of 15 KB (B15)', text.replace('{', `{"${'k'.repeat(15_000)}":1,`)],
    ['white space around', `\r\n\t ${text} \n`],
  ])('%s is no reason to refuse', async (_, body) => {
    expect((await postRaw(body)).status).toBe(200);
  });
});

describe('[11] exactly one complete pair: 400', () => {
  const { email, password } = pair;
  const { apiKey, apiSecret } = keyPair;
  test.each<[string, object]>([
    ['no member', {}],
    ['only further members', { login: email, Password: password, api_key: apiKey }],
    ['only email', { email }],
    ['only password', { password }],
    ['only apiKey', { apiKey }],
    ['only apiSecret', { apiSecret }],
    ['half of each', { email, apiSecret }],
    ['the other half of each', { apiKey, password }],
    ['both pairs', { ...pair, ...keyPair }],
    ['a pair and a half', { ...pair, apiKey }],
    ['a pair and null', { ...pair, apiSecret: null }],
    ['names in other case', { Email: email, Password: password }],
  ])('%s', async (_, body) => {
    await expectCheapRefusal(() => postLogin(server, body), 400, messages.pair);
  });
});

describe('[11] types and bounds: 400 that names the member', () => {
  const wrong = [null, 7, true, ['x'], [], { $ne: null }, {}, ''];
  const control = ['a\u0000b', 'a\nb', 'a\u007fb', 'a\u0085b'];
  const cases: [string, object, unknown[]][] = [
    ['email', pair, [...wrong, 'x'.repeat(257), ...control]],
    ['password', pair, [...wrong, 'p'.repeat(1_025), '\u00e9'.repeat(513), 'p'.repeat(15_000), '\ud800x', 'x\udc00']],
    ['apiKey', keyPair, [...wrong, 'x'.repeat(129)]],
    ['apiSecret', keyPair, [...wrong, 'x'.repeat(257)]],
    ['cookie', pair, [null, 0, 1, 'true', [], {}]],
  ];
  test.each(cases)('L02, L04: %s', async (member, right, values) => {
    for (const value of values) {
      await expectCheapRefusal(() => postLogin(server, { ...right, [member]: value }), 400, `${member} is not valid.`);
    }
  });

  test('the longest allowed values are judged as credentials', async () => {
    server.clock.advance(3600);
    for (const body of [
      { ...pair, email: 'x'.repeat(256) },
      { email: 'nobody', password: 'p'.repeat(1_024) },
      { apiKey: 'k'.repeat(128), apiSecret: 's'.repeat(256) },
    ]) {
      expectRefusal(await postLogin(server, body), 401, messages.refused);
    }
  });

  test('B15, B17: half a surrogate pair or NUL in the other members is a wrong login', async () => {
    for (const body of [
      { ...pair, email: '\ud800' },
      { ...keyPair, apiKey: 'a\ud800' },
      { ...keyPair, apiKey: 'a\u0000b' },
      { ...keyPair, apiSecret: '\udc00' },
      { ...keyPair, apiSecret: `${demoKey}\u0000` },
    ]) {
      expectRefusal(await postLogin(server, body), 401, messages.refused);
    }
  });
});

describe('[11] size, type and coding', () => {
  const padded = (size: number) => {
    const text = JSON.stringify({ ...pair, x: '' });
    return text.replace('"x":""', `"x":"${'x'.repeat(size - text.length)}"`);
  };

  test('B08: 16 KiB are read, one byte more is 413, declared or not', async () => {
    expect((await postRaw(padded(bodyLimit))).status).toBe(200);
    await expectCheapRefusal(() => postRaw(padded(bodyLimit + 1)), 413, messages.tooLarge);
    await expectCheapRefusal(() => postRaw(padded(17 * 1024)), 413, messages.tooLarge);
    const body = padded(bodyLimit + 1);
    const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    const head = ['POST /auth/login HTTP/1.1', 'Content-Type: application/json', 'Transfer-Encoding: chunked'];
    await expectCheapRefusal(() => webRaw(server, head, chunked), 413, messages.tooLarge);
  });

  test('B10: the size is judged before the type, and no answer waits for the rest of 10 MB', async () => {
    await expectCheapRefusal(() => postRaw(padded(20_000), { 'Content-Type': 'text/plain' }), 413, messages.tooLarge);
    const head = ['POST /auth/login HTTP/1.1', 'Content-Type: application/json', 'Content-Length: 1000000'];
    expectRefusal(await webRaw(server, head, 'x'.repeat(1_000)), 413, messages.tooLarge);
  });

  test.each<[string, Record<string, string>]>([
    ['no type (B09)', {}],
    ['text (L15)', { 'Content-Type': 'text/plain' }],
    ['a form (L15)', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['multipart (L15)', { 'Content-Type': 'multipart/form-data; boundary=x' }],
    ['XML (B13)', { 'Content-Type': 'application/xml' }],
    ['another JSON (B13)', { 'Content-Type': 'application/problem+json' }],
    ['text/json (B13)', { 'Content-Type': 'text/json' }],
    ['two types (B09)', { 'Content-Type': 'application/json, application/json' }],
    ['utf-7 (B07)', { 'Content-Type': 'application/json; charset=utf-7' }],
    ['latin1 (B07)', { 'Content-Type': 'application/json; charset=latin1' }],
    ['utf-16 (B07)', { 'Content-Type': 'application/json; charset=utf-16' }],
    ['gzip (B12)', { ...json, 'Content-Encoding': 'gzip' }],
    ['br (B12)', { ...json, 'Content-Encoding': 'br' }],
    ['deflate (B12)', { ...json, 'Content-Encoding': 'deflate' }],
    ['zstd (B12)', { ...json, 'Content-Encoding': 'zstd' }],
    ['identity, gzip (B12)', { ...json, 'Content-Encoding': 'identity, gzip' }],
  ])('%s: 415', async (_, headers) => {
    await expectCheapRefusal(() => postRaw(JSON.stringify(pair), headers), 415, messages.type);
    if (headers['Content-Encoding'] !== 'gzip') return;
    await expectCheapRefusal(() => postRaw(Bun.gzipSync(JSON.stringify(pair)), headers), 415, messages.type);
  });

  test.each<Record<string, string>>([
    { 'Content-Type': 'application/json; charset=utf-8' },
    { 'Content-Type': 'Application/JSON;charset=UTF-8' },
    { 'Content-Type': 'application/json', 'Content-Encoding': 'identity' },
  ])('%p is right', async (headers) => {
    expect((await postRaw(JSON.stringify(pair), headers)).status).toBe(200);
  });
});
