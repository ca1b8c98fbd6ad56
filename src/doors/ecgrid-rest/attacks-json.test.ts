import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { bearer, type EcgridAnswer, expectRefusal, login, rest, restRaw } from '../../../tests/support/ecgrid.ts';
import { malformedJson, mistypedJson } from '../../../tests/support/bad-json.ts';
import { naughtyStrings } from '../../../tests/support/naughty-strings.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { demoUsers } from '../../cli/demo-data.ts';

type Sent = Readonly<Record<string, string>>;
const json = { 'Content-Type': 'application/json' };
const password = 'nine herons on a pond';

let server: TestServer;
let root: Sent;
beforeAll(async () => {
  server = await startTestServer({
    settings: {
      CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000',
      CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
      CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
    },
  });
  root = bearer((await login(server, demoUsers.admin)).token);
});
afterAll(() => server.close());

/** Every operation that reads a body, and whether it may have none. */
const readers: [string, string, boolean][] = [
  ['POST', '/v2/auth/login', false],
  ['POST', '/v2/auth/refresh', true],
  ['PUT', '/v2/auth/password', false],
  ['POST', '/v2/users', false],
  ['PUT', '/v2/users', false],
  ['POST', '/v2/users/list', true],
  ['POST', '/v2/users/by-name', false],
  ['POST', '/v2/users/password', false],
  ['POST', '/v2/users/role', false],
  ['POST', '/v2/users/set-network-mailbox', false],
  ['POST', '/v2/users/generate-password', true],
];

function send(method: string, path: string, rawBody: string | Uint8Array, headers: Sent = json): Promise<EcgridAnswer> {
  return rest(server, method, path, { headers: { ...root, ...headers }, rawBody });
}

const post = (path: string, body: unknown) => rest(server, 'POST', path, { headers: root, body });
describe.each(readers)('attacks B: %s %s', (method, path, mayBeEmpty) => {
  test.each(Object.entries(malformedJson))('%s: 400', async (_, bodies) => {
    for (const body of bodies) {
      const answer = await send(method, path, body);
      expectRefusal(answer, 400, 'InvalidParameter', 'The request body is not valid JSON.');
    }
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  test.each(mistypedJson)('B07 B09 B12 B13 %s: 415, and nothing is unpacked', async (_, headers) => {
    const message = 'The body must be application/json in UTF-8 without content coding.';
    for (const body of ['{}', Bun.gzipSync('{}')]) {
      expectRefusal(await send(method, path, body, headers), 415, 'InvalidParameter', message);
    }
  });

  test('B13 the type sent twice: 415', async () => {
    const head = [`${method} ${path} HTTP/1.1`, 'Content-Type: application/json', 'Content-Type: application/json'];
    const answer = await restRaw(
      server,
      [...head, `Authorization: ${root['Authorization']}`, 'Content-Length: 2'],
      '{}',
    );
    expect([answer.status, answer.body.errorCode]).toEqual([415, 'InvalidParameter']);
  });

  test('an empty body: 400 where the operation needs one', async () => {
    const answer = await send(method, path, '');
    if (mayBeEmpty) expect(answer.status).toBe(200);
    else expectRefusal(answer, 400, 'InvalidParameter', 'The request body is not valid JSON.');
    // A refresh with the bearer alone has just replaced it.
    if (path.endsWith('refresh')) root = bearer((answer.body.data as { token: string }).token);
  });

  test('B05 B15 B18 unknown members of any name and number are ignored, quickly', async () => {
    const bodies = [
      '{"toString":1,"hasOwnProperty":2,"valueOf":{"then":3}}',
      `{"${'k'.repeat(15_000)}":1}`,
      `{${Array.from({ length: 1_600 }, (_, key) => `"${key}":0`).join(',')}}`,
      `{${Array.from({ length: 1_600 }, (_, key) => `"k${key}":0`).join(',')}}`,
      `{"x":${'9'.repeat(16_000)}}`,
      '{"x":1e400,"y":-0,"z":"\\ud800\\u0000"}',
    ];
    const empty = await send(method, path, '{"none":0}');
    if (path.endsWith('refresh')) root = bearer((empty.body.data as { token: string }).token);
    for (const body of bodies) {
      const startedMs = performance.now();
      const answer = await send(method, path, body);
      expect(performance.now() - startedMs).toBeLessThan(100);
      expect([answer.status, answer.body.message]).toEqual([empty.status, empty.body.message]);
      if (path.endsWith('refresh')) root = bearer((answer.body.data as { token: string }).token);
    }
  });
});

describe('attacks B14', () => {
  const acts: [string, (text: string) => Promise<EcgridAnswer>, readonly number[]][] = [
    ['login', (text) => post('/v2/auth/login', { login: text, password: 'x' }), [400, 401, 429]],
    ['password', (text) => post('/v2/auth/login', { login: crypto.randomUUID(), password: text }), [400, 401]],
    ['by-name', (text) => post('/v2/users/by-name', { login: text }), [200, 400]],
    ['refresh', (token) => rest(server, 'POST', '/v2/auth/refresh', { body: { token } }), [401]],
    ['authLevel', (text) => post('/v2/users/list', { authLevel: text }), [400]],
    ['status', (text) => post('/v2/users/list', { status: text }), [400]],
  ];

  test.each(acts)('in %s: refused as what it is, or nobody', async (_, act, statuses) => {
    for (const text of naughtyStrings) {
      const answer = await act(text);
      expect(statuses).toContain(answer.status);
      if (answer.status === 200) expect(answer.body.data).toEqual([]);
    }
  });

  test('as login, e-mail and names: refused, or stored and returned exactly, and then findable by exactly that', async () => {
    let stored = 0;
    for (const text of naughtyStrings) {
      for (const field of ['login', 'email', 'firstName', 'lastName']) {
        stored += 1;
        const value = field === 'email' ? `${text}@users.example.com` : text;
        const facts = { login: `n-${stored}`, email: `n-${stored}@x.example.com`, password, [field]: value };
        const answer = await post('/v2/users', facts);
        if (answer.status !== 200)
          expect([400, field]).toEqual([answer.status, answer.body.message.split(' ')[0] ?? '']);
        else expect(answer.body.data).toMatchObject({ [field]: value });
        if (answer.status !== 200 || field !== 'login') continue;
        expect((await post('/v2/users/by-name', { login: text })).body.data).toEqual([answer.body.data]);
      }
    }
  });

  test('no log line is longer than 2 KB or more than one line', () => {
    for (const line of server.log) {
      expect(line.length).toBeLessThanOrEqual(2048);
      expect(typeof JSON.parse(line)).toBe('object');
    }
  });
});

describe('attacks B18', () => {
  const answers = (bodies: readonly (string | Uint8Array)[], path: string) =>
    Promise.all(bodies.map(async (body) => (await send('POST', path, body)).status));

  test('1,000 generated JSON values, as bodies and as members: 200 or 400', async () => {
    const values = fc.sample(fc.jsonValue({ maxDepth: 6 }), { numRuns: 500, seed: 1 });
    for (let from = 0; from < values.length; from += 50) {
      const some = values.slice(from, from + 50).map((value) => JSON.stringify(value));
      const members = some.map((text) => `{"pageNo":${text},"login":${text}}`);
      const statuses = [...(await answers(some, '/v2/users/list')), ...(await answers(members, '/v2/users/by-name'))];
      for (const status of statuses) expect([200, 400, 413]).toContain(status);
    }
  }, 30_000);

  test('1,000 generated byte strings: 400', async () => {
    const values = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 200 }), { numRuns: 1_000, seed: 2 });
    for (let from = 0; from < values.length; from += 100) {
      const statuses = await answers(values.slice(from, from + 100), '/v2/users/list');
      expect(new Set(statuses)).toEqual(new Set([400]));
    }
  }, 30_000);
});
