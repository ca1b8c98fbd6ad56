import { afterAll, beforeAll, expect, test } from 'bun:test';
import { drainBody, readBody, readSingle, requireJsonType } from './body.ts';
import type { Door, Exchange } from './door.ts';
import { HttpFault } from './faults.ts';
import { lastBody, sendAndLeave, sendRaw, statuses } from './raw-client.ts';
import { type RunningServer, type ServerOptions, startServer } from './server.ts';

const limitBytes = 4_096;
const shortDeadlineMs = 100;
const statusOf = { body_too_large: 413, too_slow: 408 } as const;

let server: RunningServer;
const unforeseen: unknown[] = [];
let leaving = Promise.withResolvers<unknown>();

async function readLength(exchange: Exchange): Promise<Response> {
  return new Response(`read ${(await readBody(exchange.request, limitBytes)).length}`);
}

async function noteLeaving(exchange: Exchange): Promise<Response> {
  try {
    await readBody(exchange.request, limitBytes);
  } catch (error) {
    leaving.resolve(error);
    throw error;
  }
  return new Response('unreachable');
}

const door: Door = {
  name: 'toy',
  owns: [],
  routes: [
    { method: 'POST', path: '/read', answer: readLength },
    { method: 'GET', path: '/read', answer: readLength },
    { method: 'POST', path: '/echo', answer: async ({ request }) => new Response(await readBody(request, limitBytes)) },
    {
      method: 'POST',
      path: '/drain',
      answer: async ({ request }) => {
        await drainBody(request, limitBytes);
        return new Response('drained');
      },
    },
    { method: 'POST', path: '/leave', answer: noteLeaving },
  ],
  answerFault: (fault) => new Response(fault, { status: statusOf[fault as keyof typeof statusOf] ?? 500 }),
};

const options: ServerOptions = {
  host: '127.0.0.1',
  port: 0,
  doors: [door],
  fallback: door,
  trustedProxies: [],
  reportError: (error) => unforeseen.push(error),
};

beforeAll(() => {
  server = startServer(options);
});

afterAll(async () => {
  await server.stop(0);
  expect(unforeseen).toEqual([]);
});

function post(path: string, headers: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: toy\r\n${headers}\r\n\r\n${body}`;
}

function chunked(...chunks: readonly string[]): string {
  return `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`;
}

function sendPost(path: string, body: string, headers = `Content-Length: ${body.length}`): Promise<string> {
  return sendRaw(server.port, post(path, `Connection: close\r\n${headers}`, body));
}

function requestWith(headers: Record<string, string>): Request {
  return new Request('http://cardea.test/', { headers });
}

function faultOf(run: () => void): HttpFault | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return error as HttpFault;
  }
}

test('an absent and an empty body are bodies of length 0', async () => {
  expect(lastBody(await sendPost('/read', '', 'X-Nothing: 1'))).toBe('read 0');
  expect(lastBody(await sendPost('/read', ''))).toBe('read 0');
  expect(lastBody(await sendPost('/read', '0\r\n\r\n', 'Transfer-Encoding: chunked'))).toBe('read 0');
  expect(await (await fetch(`${server.url}/read`)).text()).toBe('read 0');
});

test('a body comes through unchanged, with a length, in chunks, and with a length sent twice', async () => {
  const body = 'x'.repeat(limitBytes);
  expect(lastBody(await sendPost('/echo', body))).toBe(body);
  expect(lastBody(await sendPost('/echo', 'abcde', 'Content-Length: 5\r\nContent-Length: 5'))).toBe('abcde');
  const pieces = Array.from({ length: 300 }, (_, index) => `${index},`);
  expect(lastBody(await sendPost('/echo', chunked(...pieces), 'Transfer-Encoding: chunked'))).toBe(pieces.join(''));
  expect(lastBody(await sendPost('/read', chunked(body), 'Transfer-Encoding: chunked'))).toBe(`read ${limitBytes}`);
});

test('B08: a declared length over the limit is refused before the body comes, and the connection closes', async () => {
  for (const path of ['/read', '/drain']) {
    const answer = await sendRaw(server.port, post(path, `Content-Length: ${limitBytes + 1}`, ''));
    expect(statuses(answer)).toEqual([413]);
    expect(lastBody(answer)).toBe('body_too_large');
    expect(answer).toMatch(/^connection: close/im);
  }
});

test('B08: a chunked body is refused as soon as it crosses the limit, though its end never comes', async () => {
  const endless = chunked('x'.repeat(limitBytes), 'y').replace('0\r\n\r\n', '');
  for (const path of ['/read', '/drain']) {
    const answer = await sendRaw(server.port, post(path, 'Transfer-Encoding: chunked', endless));
    expect(statuses(answer)).toEqual([413]);
    expect(answer).toMatch(/^connection: close/im);
  }
});

test('B10: a body that is ignored may be anything within the limit, and the connection goes on', async () => {
  const next = 'GET /read HTTP/1.1\r\nHost: toy\r\nConnection: close\r\n\r\n';
  const answers = await sendRaw(server.port, post('/drain', 'Content-Length: 5', '{{{{{'), next);
  expect(statuses(answers)).toEqual([200, 200]);
  expect(lastBody(answers)).toBe('read 0');
  expect(lastBody(await sendPost('/drain', ''))).toBe('drained');
  expect(lastBody(await sendPost('/drain', chunked('a', 'b'), 'Transfer-Encoding: chunked'))).toBe('drained');
});

test('B08: a GET that declares too much is refused too', async () => {
  const answer = await sendRaw(
    server.port,
    `GET /read HTTP/1.1\r\nHost: toy\r\nContent-Length: ${limitBytes + 1}\r\n\r\n`,
  );
  expect(statuses(answer)).toEqual([413]);
});

test('H13 TH6: a body that does not arrive in time is answered and the connection closed', async () => {
  const hurried = startServer({ ...options, deadlineMs: shortDeadlineMs });
  for (const path of ['/read', '/drain']) {
    const answer = await sendRaw(hurried.port, post(path, 'Content-Length: 10', 'abc'));
    expect(lastBody(answer)).toBe('too_slow');
    expect(answer).toMatch(/^connection: close/im);
    const inChunks = await sendRaw(hurried.port, post(path, 'Transfer-Encoding: chunked', '3\r\nabc\r\n'));
    expect(lastBody(inChunks)).toBe('too_slow');
  }
  await hurried.stop(0);
});

test('H21: a client that leaves in the middle of its body is no error of ours', async () => {
  for (const headers of ['Content-Length: 10', 'Transfer-Encoding: chunked']) {
    leaving = Promise.withResolvers<unknown>();
    sendAndLeave(server.port, post('/leave', headers, '3\r\nabc\r\n'));
    expect(await leaving.promise).toMatchObject({ fault: 'too_slow' });
  }
  expect(unforeseen).toEqual([]);
});

test('B09: application/json passes with no charset or UTF-8, in any case, quoted or not', () => {
  const types = [
    'application/json',
    'Application/JSON',
    'application/json;charset=utf-8',
    'application/json; charset=UTF-8',
    'application/json ; Charset="utf-8"',
  ];
  for (const type of types) {
    expect(faultOf(() => requireJsonType(requestWith({ 'content-type': type })))).toBeUndefined();
    const encoded = requestWith({ 'content-type': type, 'content-encoding': 'Identity' });
    expect(faultOf(() => requireJsonType(encoded))).toBeUndefined();
  }
});

test('B07 B12 B13: any other type, charset or coding is refused', () => {
  const types = [
    '',
    'application/json, application/json',
    'application/jsonp',
    'application/json+x',
    'text/json',
    'text/plain',
    'application/xml',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'application/json; charset=utf-7',
    'application/json; charset=latin1',
    'application/json; charset=utf-16',
    'application/json; charset="utf-8',
    'application/json; charset=utf-8; charset=utf-7',
    'application/json; boundary=x',
    `application/json${' '.repeat(10_000)};x`,
  ];
  for (const type of types) {
    expect(faultOf(() => requireJsonType(requestWith({ 'content-type': type })))?.fault).toBe('unsupported_media_type');
  }
  expect(faultOf(() => requireJsonType(requestWith({})))?.fault).toBe('unsupported_media_type');
  for (const coding of ['gzip', 'br', 'deflate', 'zstd', 'identity, gzip', 'identity, identity', 'x']) {
    const request = requestWith({ 'content-type': 'application/json', 'content-encoding': coding });
    expect(faultOf(() => requireJsonType(request))?.fault).toBe('unsupported_media_type');
  }
});

test('K10 TH2: a credential header that came twice is refused by name', () => {
  const request = requestWith({ authorization: 'Bearer a, Bearer b', 'x-other': 'a, b' });
  const fault = faultOf(() => readSingle(request, 'Authorization'));
  expect(fault?.fault).toBe('repeated_header');
  expect(fault?.detail.header).toBe('Authorization');
  expect(readSingle(request, 'X-API-Key')).toBeNull();
});
