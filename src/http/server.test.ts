import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test';
import type { Door, Exchange, Route } from './door.ts';
import { type Fault, type FaultDetail, HttpFault } from './faults.ts';
import { lastBody, sendRaw, statuses } from './raw-client.ts';
import { type RunningServer, type ServerOptions, startServer } from './server.ts';

const secret = 'the-text-of-an-inner-error';
const statusOf: Partial<Record<Fault, number>> = {
  bad_host: 400,
  not_found: 404,
  method_not_allowed: 405,
  body_too_large: 413,
  stopping: 503,
};

let server: RunningServer;
let reported: { error: unknown; requestId: string }[] = [];

function say(text: string): Route['answer'] {
  return ({ params }) => Response.json({ text, params });
}

function tell({ address, userAgent, secure }: Exchange['caller']) {
  return { address, userAgent, secure };
}

function fail(error: unknown): never {
  throw error;
}

function answerFault(name: string): Door['answerFault'] {
  return (fault: Fault, exchange: Exchange, detail: FaultDetail) =>
    Response.json(
      { door: name, fault, detail, requestId: exchange.requestId },
      { status: statusOf[fault] ?? 500, headers: detail.allow === undefined ? {} : { Allow: detail.allow } },
    );
}

const toy: Door = {
  name: 'toy',
  owns: ['/toy/'],
  routes: [
    { method: 'POST', path: '/toy/users/list', answer: say('list') },
    { method: 'GET', path: '/toy/users/{id}', answer: say('user') },
    { method: 'DELETE', path: '/toy/users/{id}', answer: say('deleted') },
    { method: 'GET', path: '/toy/users/{id}/keys/{key}', answer: say('key') },
    { method: 'GET', path: '/toy/{kind}/list/keys', answer: say('kind') },
    { method: 'PUT', path: '/toy/plain', answer: say('put') },
    { method: 'GET', path: '/toy/plain', answer: say('plain') },
    { method: 'POST', path: '/toy/plain', answer: say('posted') },
    { method: 'GET', path: '/toy/caller', answer: ({ caller, path }) => Response.json({ caller: tell(caller), path }) },
    { method: 'POST', path: '/toy/caller', answer: ({ caller }) => Response.json({ caller: tell(caller) }) },
    { method: 'GET', path: '/toy/throws', answer: () => fail(new Error(secret)) },
    { method: 'GET', path: '/toy/rejects', answer: async () => fail(new Error(secret)) },
    { method: 'GET', path: '/toy/faults', answer: async () => fail(new HttpFault('not_found', { header: 'x' })) },
    { method: 'GET', path: '/toy/nothing', answer: (() => undefined) as unknown as Route['answer'] },
    { method: 'GET', path: '/toy/later', answer: (async () => 'text') as unknown as Route['answer'] },
  ],
  answerFault: answerFault('toy'),
};

const broken: Door = {
  name: 'broken',
  owns: ['/toy/broken/'],
  routes: [{ method: 'GET', path: '/toy/broken/throws', answer: () => fail(new Error(secret)) }],
  answerFault: () => fail(new Error(secret)),
};

const fallback: Door = { name: 'fallback', owns: [], routes: [], answerFault: answerFault('fallback') };

function start(changes: Partial<ServerOptions> = {}): RunningServer {
  return startServer({
    host: '127.0.0.1',
    port: 0,
    doors: [toy, broken],
    fallback,
    trustedProxies: [],
    reportError: (error, requestId) => reported.push({ error, requestId }),
    ...changes,
  });
}

beforeAll(() => {
  server = start();
});
beforeEach(() => {
  reported = [];
});
afterAll(() => server.stop(0));

function ask(target: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${server.url}${target}`, init);
}

async function json(target: string, init: RequestInit = {}): Promise<unknown> {
  return (await ask(target, init)).json();
}

/** One raw request whose target and Host line the test chooses; undefined leaves Host out. */
function raw(target: string, host: string | undefined, version = '1.1', method = 'GET'): Promise<string> {
  const hostLine = host === undefined ? '' : `Host: ${host}\r\n`;
  return sendRaw(server.port, `${method} ${target} HTTP/${version}\r\n${hostLine}Connection: close\r\n\r\n`);
}

test('literal segments win over parameters, the leftmost first', async () => {
  expect(await json('/toy/users/list', { method: 'POST' })).toEqual({ text: 'list', params: {} });
  expect(await json('/toy/users/7')).toEqual({ text: 'user', params: { id: '7' } });
  expect(await json('/toy/users/7', { method: 'DELETE' })).toEqual({ text: 'deleted', params: { id: '7' } });
  expect(await json('/toy/users/7/keys/b')).toEqual({ text: 'key', params: { id: '7', key: 'b' } });
  expect(await json('/toy/users/list/keys/b')).toEqual({ text: 'key', params: { id: 'list', key: 'b' } });
});

test('a literal that leads nowhere gives way to a parameter', async () => {
  expect(await json('/toy/users/list/keys')).toEqual({ text: 'kind', params: { kind: 'users' } });
});

test('S05: a parameter stays as it was sent', async () => {
  expect(await json('/toy/users/%31%2f%ff')).toEqual({ text: 'user', params: { id: '%31%2f%ff' } });
  expect(await json('/toy/users/__proto__')).toEqual({ text: 'user', params: { id: '__proto__' } });
});

test('API-03: a known path with another method is 405 and names its own methods in order', async () => {
  const allowOf = async (target: string, method: string): Promise<[number, string | null]> => {
    const response = await ask(target, { method });
    return [response.status, response.headers.get('allow')];
  };
  expect(await allowOf('/toy/users/list', 'GET')).toEqual([405, 'POST']);
  expect(await allowOf('/toy/users/list', 'HEAD')).toEqual([405, 'POST']);
  expect(await allowOf('/toy/users/7', 'PUT')).toEqual([405, 'GET, HEAD, DELETE']);
  expect(await allowOf('/toy/plain', 'OPTIONS')).toEqual([405, 'PUT, GET, HEAD, POST']);
});

test('H09: TRACE, CONNECT, PATCH, PURGE and PROPFIND are 405 and nothing is echoed', async () => {
  for (const method of ['TRACE', 'CONNECT', 'PATCH', 'PURGE', 'PROPFIND']) {
    const answer = await sendRaw(
      server.port,
      `${method} /toy/plain HTTP/1.1\r\nHost: toy\r\nX-Canary: tweet\r\nConnection: close\r\n\r\n`,
    );
    expect(statuses(answer)).toEqual([405]);
    expect(answer).not.toContain('tweet');
  }
  expect(statuses(await raw('evil.test:443', 'toy', '1.1', 'CONNECT'))).toEqual([404]);
  for (const method of ['FOO', 'get']) expect(await raw('/toy/plain', 'toy', '1.1', method)).toBe('');
});

test('TH5: HEAD follows GET, with its headers and without its body', async () => {
  const answer = await raw('/toy/plain', 'toy', '1.1', 'HEAD');
  expect(statuses(answer)).toEqual([200]);
  expect(answer).toMatch(/^content-type: application\/json/im);
  expect(lastBody(answer)).toBe('');
});

test('an unknown path is answered by the door with the longest matching prefix, else by the fallback', async () => {
  expect(await json('/toy/unknown')).toMatchObject({ door: 'toy', fault: 'not_found' });
  expect(await json('/')).toMatchObject({ door: 'fallback', fault: 'not_found' });
  expect(await json('/toy')).toMatchObject({ door: 'fallback' });
  expect((await ask('/toy/broken/unknown')).status).toBe(500);
});

test('H11 H24: variants of a path are not the path', async () => {
  const variants = [
    '//toy/plain',
    '/toy//plain',
    '/toy/plain/',
    '/Toy/plain',
    '/toy/PLAIN',
    '/toy/plain;x=y',
    '/toy%2fplain',
    '/toy/plai%6e',
    '/toy/plain%00',
    '/toy/%c0%af',
    '/toy/plain%20',
    '/toy/users/',
    '/toy/users//keys/b',
    '/toy/users/7/',
    '/.git/config',
    '/.env',
    '/package.json',
  ];
  for (const target of variants) expect(statuses(await raw(target, 'toy'))).toEqual([404]);
});

test('H11: folded targets get exactly the answer of the folded path; query and fragment do not count', async () => {
  for (const target of ['/x/../toy/plain', '/x/%2e%2e/toy/plain', '/toy\\plain', '/toy/plain?a=/b', '/toy/plain#a?b']) {
    expect(statuses(await raw(target, 'toy'))).toEqual([200]);
  }
  expect(statuses(await raw('/toy/users/7?x=http://evil.test/toy/plain', 'toy'))).toEqual([200]);
});

test('H10: a foreign authority in the target and the override headers have no effect', async () => {
  const answer = await sendRaw(
    server.port,
    'GET http://evil.test/toy/plain HTTP/1.1\r\nHost: toy\r\nConnection: close\r\n' +
      'X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /toy/users/1\r\nX-Rewrite-URL: /x\r\nX-Forwarded-Host: x\r\n\r\n',
  );
  expect(lastBody(answer)).toBe('{"text":"plain","params":{}}');
});

test('H07 TH3: a malformed, empty or over-long Host is answered by the door that owns the path', async () => {
  for (const host of ['', 'a b', 'a/b', 'a?b', 'a#b', 'a\\b', 'user@host', 'a, b', 'x'.repeat(1_024)]) {
    const answer = await raw('/toy/plain?x', host);
    expect(statuses(answer)).toEqual([400]);
    expect(JSON.parse(lastBody(answer))).toMatchObject({ door: 'toy', fault: 'bad_host', detail: { header: 'Host' } });
  }
  expect(lastBody(await raw('/elsewhere', 'a/b'))).toContain('"door":"fallback","fault":"bad_host"');
  expect(reported).toEqual([]);
});

test('H07 K10: two Hosts are refused', async () => {
  const answer = await raw('/toy/plain', 'one\r\nHost: two');
  expect(statuses(answer)).toEqual([400]);
  expect(lastBody(answer)).toContain('bad_host');
});

test('H07: no Host is the bare 400 of the runtime in HTTP/1.1 and ours in 1.0', async () => {
  const bare = await raw('/toy/plain', undefined);
  expect(statuses(bare)).toEqual([400]);
  expect(lastBody(bare)).toBe('');
  expect(lastBody(await raw('/toy/plain', undefined, '1.0'))).toContain('bad_host');
});

test('H07: ordinary Hosts pass', async () => {
  for (const host of ['toy', 'TOY:8080', '127.0.0.1', '[::1]:80', `${'a'.repeat(60)}.example.com.`]) {
    expect(statuses(await raw('/toy/plain', host))).toEqual([200]);
  }
});

test('I05 TH1: what a handler throws becomes the internal fault and is reported with its request id', async () => {
  for (const target of ['/toy/throws', '/toy/rejects', '/toy/nothing', '/toy/later']) {
    reported = [];
    const response = await ask(target, { headers: { 'X-Request-Id': 'id-7' } });
    const body = await response.text();
    expect(response.status).toBe(500);
    expect(JSON.parse(body)).toEqual({ door: 'toy', fault: 'internal', detail: {}, requestId: 'id-7' });
    expect(body).not.toContain(secret);
    expect(reported.map(({ requestId }) => requestId)).toEqual(['id-7']);
  }
});

test('a fault thrown by a handler is answered with its detail and not reported', async () => {
  expect(await json('/toy/faults')).toMatchObject({ fault: 'not_found', detail: { header: 'x' } });
  expect(reported).toEqual([]);
});

test('I05: when a door fails in answering a fault, the answer is a bare 500 without internals', async () => {
  const answer = await raw('/toy/broken/throws', 'toy');
  expect(statuses(answer)).toEqual([500]);
  expect(lastBody(answer)).toBe('');
  expect(answer).not.toContain(secret);
  expect(reported).toHaveLength(2);
});

test('a log that fails does not cost the caller the answer', async () => {
  const deaf = start({ reportError: () => fail(new Error(secret)) });
  expect((await fetch(`${deaf.url}/toy/throws`)).status).toBe(500);
  await deaf.stop(0);
});

test('the caller is the peer, or who a declared proxy names', async () => {
  const headers = { 'X-Forwarded-For': '203.0.113.7', 'X-Forwarded-Proto': 'https', 'User-Agent': 'toy/1' };
  const direct = { caller: { address: '127.0.0.1', userAgent: 'toy/1', secure: false } };
  expect(await json('/toy/caller?x#y', { headers })).toEqual({ ...direct, path: '/toy/caller' });
  expect(await json('/toy/caller', { headers, method: 'POST' })).toEqual(direct);
  const behind = start({ trustedProxies: ['::ffff:127.0.0.1'] });
  const response = await fetch(`${behind.url}/toy/caller`, { headers });
  expect(await response.json()).toMatchObject({ caller: { address: '203.0.113.7', secure: true } });
  await behind.stop(0);
});

test('H05: after a chunked request the connection closes, so that trailers draw no second answer for a later one', async () => {
  const answer = await sendRaw(
    server.port,
    'POST /toy/plain HTTP/1.1\r\nHost: toy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  );
  expect(statuses(answer)).toEqual([200]);
  expect(answer).toMatch(/^connection: close/im);
});

test('after a refused request the next one on the same connection gets its own answer', async () => {
  const second = 'GET /toy/users/7 HTTP/1.1\r\nHost: toy\r\nConnection: close\r\n\r\n';
  const answers = await sendRaw(server.port, 'GET /toy/unknown HTTP/1.1\r\nHost: toy\r\n\r\n', second);
  expect(statuses(answers)).toEqual([404, 200]);
  expect(lastBody(answers)).toContain('"id":"7"');
});

test('start fails when a declared proxy is no address', () => {
  expect(() => start({ trustedProxies: ['proxy.test'] })).toThrow('proxy.test');
});

test('two doors may share a path by different methods', async () => {
  const other: Door = {
    ...fallback,
    name: 'other',
    routes: [{ method: 'DELETE', path: '/toy/plain', answer: say('other') }],
  };
  const shared = start({ doors: [toy, other] });
  expect(await (await fetch(`${shared.url}/toy/plain`, { method: 'DELETE' })).json()).toMatchObject({ text: 'other' });
  await shared.stop(0);
});
