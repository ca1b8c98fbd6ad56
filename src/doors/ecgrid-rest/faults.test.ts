import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test';
import {
  apiKey,
  bearer,
  type EcgridAnswer,
  expectRefusal,
  login,
  messages,
  rest,
  restRaw,
  session,
} from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

type Sent = Readonly<Record<string, string>>;
const json = { 'Content-Type': 'application/json' };
const accessDenied = 'Access denied.';
const bodyTooLarge = 'The request body is too large.';
const mediaType = 'The body must be application/json in UTF-8 without content coding.';

let server: TestServer;
let john: Sent;
let root: Sent;
beforeAll(async () => {
  server = await startTestServer();
  john = bearer((await login(server, demoUsers.john)).token);
  root = bearer((await login(server, demoUsers.admin)).token);
  await addUser(server, { login: 'due', passwordChangeDue: true, password: 'nine herons on a pond' });
});
afterAll(() => server.close());

const post = (path: string, body: unknown, headers: Sent = {}) => rest(server, 'POST', path, { headers, body });
const newUser = { login: 'new', email: 'new@users.example.com', password: 'nine herons on a pond' };
const wrongPassword = { currentPassword: 'not this one', newPassword: 'nine herons on a pond' };

/** Section 7, row by row; 429 and 500 follow below, 503 in `store-stopped.test.ts`. */
const rows: [string, () => Promise<EcgridAnswer>, number, string, string | RegExp][] = [
  ['no credential', () => session(server, {}), 401, 'InvalidSession', messages.E1],
  ['bad bearer', () => session(server, bearer('x')), 401, 'InvalidSession', messages.E2],
  ['bad key', () => session(server, apiKey('x')), 401, 'InvalidAPIKey', messages.E3],
  ['two users', () => session(server, { ...apiKey(demoKey), ...root }), 401, 'InvalidSession', messages.E4],
  ['wrong login', () => post('/v2/auth/login', { login: 'x', password: 'x' }), 401, 'InvalidSession', messages.E5],
  [
    'step due',
    () => post('/v2/auth/login', { login: 'due', password: newUser.password }),
    403,
    'AccessDenied',
    messages.E7,
  ],
  ['stored key', () => rest(server, 'GET', '/v2/users/key/1', { headers: john }), 403, 'AccessDenied', messages.E8],
  ['level too low', () => post('/v2/users', newUser, john), 403, 'AccessDenied', accessDenied],
  [
    'wrong current password',
    () => rest(server, 'PUT', '/v2/auth/password', { headers: john, body: wrongPassword }),
    400,
    'InvalidParameter',
    messages.E9,
  ],
  ['field missing', () => post('/v2/users/by-name', {}, john), 400, 'InvalidParameter', /^login is required\.$/],
  ['wrong type', () => post('/v2/users/list', { pageNo: 'x' }, john), 400, 'InvalidParameter', /^pageNo .+\.$/],
  ['out of range', () => post('/v2/users/list', { pageNo: 0 }, john), 400, 'InvalidParameter', /^pageNo .+\.$/],
  ['policy', () => post('/v2/users', { ...newUser, password: 'x' }, root), 400, 'InvalidParameter', /^password .+\.$/],
  [
    'repeated key',
    () => restRaw(server, ['POST /v2/auth/session HTTP/1.1', `X-API-Key: ${demoKey}`, `X-API-Key: ${demoKey}`]),
    400,
    'InvalidParameter',
    /x-api-key/i,
  ],
  [
    'repeated bearer',
    () => restRaw(server, ['POST /v2/auth/session HTTP/1.1', 'Authorization: Bearer a', 'Authorization: Bearer b']),
    400,
    'InvalidParameter',
    /authorization/i,
  ],
  [
    'malformed JSON',
    () => rest(server, 'POST', '/v2/auth/login', { headers: json, rawBody: '{' }),
    400,
    'InvalidParameter',
    'The request body is not valid JSON.',
  ],
  [
    'login taken',
    () => post('/v2/users', { ...newUser, login: 'admin' }, root),
    400,
    'DuplicateObject',
    'login already exists.',
  ],
  [
    'e-mail taken',
    () => post('/v2/users', { ...newUser, email: 'admin@example.com' }, root),
    400,
    'DuplicateObject',
    'email already exists.',
  ],
  ['unknown path', () => rest(server, 'GET', '/v2/x'), 404, 'ObjectNotFound', 'Resource not found.'],
  [
    'missing user',
    () => rest(server, 'GET', '/v2/users/7', { headers: root }),
    404,
    'ObjectNotFound',
    'User not found.',
  ],
  [
    'invisible user',
    () => rest(server, 'GET', '/v2/users/12345', { headers: john }),
    404,
    'ObjectNotFound',
    'User not found.',
  ],
  ['wrong method', () => rest(server, 'GET', '/v2/auth/login'), 405, 'InvalidParameter', 'Method not allowed.'],
  [
    'body of 16,385 bytes',
    () => rest(server, 'POST', '/v2/auth/login', { headers: json, rawBody: ' '.repeat(16_385) }),
    413,
    'InvalidParameter',
    bodyTooLarge,
  ],
  [
    'wrong media type',
    () => rest(server, 'POST', '/v2/auth/login', { headers: { 'Content-Type': 'text/plain' }, rawBody: '{}' }),
    415,
    'InvalidParameter',
    mediaType,
  ],
  [
    'wrong charset',
    () =>
      rest(server, 'POST', '/v2/auth/login', {
        headers: { 'Content-Type': 'application/json; charset=latin1' },
        rawBody: '{}',
      }),
    415,
    'InvalidParameter',
    mediaType,
  ],
  [
    'content coding',
    () => rest(server, 'POST', '/v2/auth/login', { headers: { ...json, 'Content-Encoding': 'br' }, rawBody: '{}' }),
    415,
    'InvalidParameter',
    mediaType,
  ],
];

describe('[25] section 7, row by row', () => {
  test.each(rows)('%s', async (_, act, status, errorCode, message) => {
    expectRefusal(await act(), status, errorCode, message);
  });

  test('B08: a body of 1 MB, declared or not, is 413 and the connection closes', async () => {
    const large = 'x'.repeat(1_000_000);
    const declared = await rest(server, 'POST', '/v2/auth/login', { headers: json, rawBody: large });
    expectRefusal(declared, 413, 'InvalidParameter', bodyTooLarge);
    expect(declared.headers.get('connection')).toBe('close');
    const head = ['POST /v2/auth/login HTTP/1.1', 'Content-Type: application/json', 'Transfer-Encoding: chunked'];
    const chunked = await restRaw(server, head, `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`);
    expectRefusal(chunked, 413, 'InvalidParameter', bodyTooLarge);
  });
});

describe('429', () => {
  test('a principal has its request rate and twice that at once; the wait is the true one', async () => {
    const own = await startTestServer({ settings: { CARDEA_LIMITS_CHECKS_PER_SECOND: '1' } });
    try {
      const first = bearer((await login(own, demoUsers.john)).token);
      const second = bearer((await login(own, demoUsers.john)).token);
      expect([(await session(own, first)).status, (await session(own, first)).status]).toEqual([200, 200]);
      const refused = await session(own, first);
      expectRefusal(refused, 429, 'RateLimitExceeded', messages.E6);
      expect(refused.headers.get('retry-after')).toBe('1');
      // The limit is that of the session, not of the address: another one goes on, and a login is another count.
      expect((await session(own, second)).status).toBe(200);
      expect((await session(own, apiKey(demoKey))).status).toBe(200);
      own.clock.advance(1);
      expect((await session(own, first)).status).toBe(200);
      expect((await session(own, first)).status).toBe(429);
    } finally {
      await own.close();
    }
  });

  test('K06: an address that guesses is slowed down, and a good credential beside it is not', async () => {
    const own = await startTestServer({ settings: { CARDEA_LIMITS_REFUSED_PER_SECOND: '1' } });
    try {
      const guess = () => session(own, apiKey(crypto.randomUUID()));
      const answers = [];
      for (let tries = 0; tries < 30; tries += 1) answers.push(await guess());
      expect(answers.map(({ status }) => status)).toEqual([...Array(20).fill(401), ...Array(10).fill(429)]);
      expectRefusal(answers[20] as EcgridAnswer, 429, 'RateLimitExceeded', messages.E6);
      expect((await session(own, apiKey(demoKey))).status).toBe(200);
    } finally {
      await own.close();
    }
  });
});

describe('[24] an unforeseen exception', () => {
  const secret = 'select * from users where x = /srv/app/core.ts:7';
  const breakages: [string, () => { mockRestore(): void }, () => Promise<EcgridAnswer>][] = [
    [
      'in the hashing lane',
      () => spyOn(server.core.hasher, 'verify').mockRejectedValue(new Error(secret)),
      () => post('/v2/auth/login', { login: demoUsers.john.login, password: 'x' }),
    ],
    [
      'in the store',
      () => {
        const { store, contexts } = server.core;
        const { checks } = store;
        contexts?.forgetAll();
        const fail = () => {
          throw new TypeError(secret);
        };
        Object.defineProperty(store, 'checks', { get: fail, configurable: true });
        const mockRestore = () => {
          Object.defineProperty(store, 'checks', { value: checks, configurable: true, enumerable: true });
        };
        return { mockRestore };
      },
      () => session(server, john),
    ],
    [
      'in a transaction',
      () =>
        spyOn(server.core.store.db, 'transaction').mockImplementation(() => {
          throw new RangeError(secret);
        }),
      () => rest(server, 'POST', '/v2/users/reset/12345', { headers: root }),
    ],
  ];

  test.each(breakages)(
    'I05 %s: 500 InternalError without internals, and the log has them under the request id',
    async (_, breakIt, act) => {
      const breakage = breakIt();
      const from = server.log.length;
      try {
        const answer = await act();
        expectRefusal(answer, 500, 'InternalError', 'Internal error.');
        expect(answer.text).toBe(
          '{"success":false,"data":null,"errorCode":"InternalError","message":"Internal error."}',
        );
        const told = server.log.slice(from).filter((line) => line.includes('request.failed'));
        expect(told).toHaveLength(1);
        expect(told[0]).toContain(String(answer.headers.get('x-request-id')));
        expect(told[0]).toContain('select * from users');
      } finally {
        breakage.mockRestore();
      }
      expect((await session(server, john)).status).toBe(200);
    },
  );
});
