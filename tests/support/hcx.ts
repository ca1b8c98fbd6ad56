import { expect } from 'bun:test';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { z } from 'zod';
import errorSchema from '../../src/doors/hcx-sessions/fixtures/error.schema.json';
import type { TestServer } from './server.ts';

export const adminPath = '/api/admin/v1/sessions';
export const hybridityPath = '/hybridity/api/sessions';
export const tokenShape = /^[0-9a-f]{8}(:[0-9a-f]{4}){3}:[0-9a-f]{12}$/;

export type HcxAnswer = {
  readonly status: number;
  /** Header lines as they came, for rules about letter case. */
  readonly lines: readonly string[];
  readonly headers: Headers;
  readonly text: string;
};

export type HcxCall = {
  readonly headers?: Readonly<Record<string, string>>;
  /** Further header lines, for headers sent twice. */
  readonly lines?: readonly string[];
  /** Sent as it is; anything but text and bytes as JSON. */
  readonly body?: unknown;
};

/** What every test server of this door needs. */
export const hcxOn = { CARDEA_HCX_ENABLED: 'true' } as const;

/** The test server with both listeners; throttle windows out of the way. */
export const patient = {
  ...hcxOn,
  CARDEA_THROTTLE_FREE_TRIES: '100',
  CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '100000',
  CARDEA_THROTTLE_ADDRESS_PER_HOUR: '100000',
} as const;

/**
 * One call over a connection of its own, of TLS where the origin says so. Whatever the test asks about, the answer is also held to
 * what every answer of this door promises: [27] header set (2.3), envelope (3), error documents (4.3, 7), nothing under "Never".
 */
export async function hcx(origin: string, method: string, path: string, call: HcxCall = {}): Promise<HcxAnswer> {
  const body = toBytes(call.body);
  const sent = Object.entries(call.headers ?? {}).map(([name, value]) => `${name}: ${value}`);
  const length = call.body === undefined ? [] : [`Content-Length: ${body.length}`];
  const own = ['Host: auth.example.com', 'Connection: close', ...length];
  const head = [`${method} ${path} HTTP/1.1`, ...own, ...sent, ...(call.lines ?? []), '', ''].join('\r\n');
  const received = await exchangeBytes(origin, Buffer.concat([Buffer.from(head, 'latin1'), body]));
  const answer = readAnswer(received);
  judge(method, path, origin.startsWith('https:'), call.headers?.['accept'] ?? null, answer);
  return answer;
}

function toBytes(body: unknown): Buffer {
  if (body === undefined) return Buffer.alloc(0);
  if (body instanceof Uint8Array) return Buffer.from(body);
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Sends bytes to a listener, over TLS where its origin says so. @returns all that came until it closed the connection */
export function exchangeBytes(origin: string, bytes: Uint8Array): Promise<Buffer> {
  const { protocol, port } = new URL(origin);
  const done = Promise.withResolvers<Buffer>();
  const received: Buffer[] = [];
  const send = () => socket.write(bytes);
  const target = { host: '127.0.0.1', port: Number(port) };
  const socket: Socket =
    protocol === 'https:' ? connectTls({ ...target, rejectUnauthorized: false }, send) : connect(target, send);
  socket.on('data', (data: Buffer) => received.push(data));
  // A reset is one way of closing; what came before it counts.
  socket.on('error', () => {});
  socket.on('close', () => done.resolve(Buffer.concat(received)));
  return done.promise;
}

function readAnswer(received: Buffer): HcxAnswer {
  const end = received.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = received.subarray(0, end).toString('latin1').split('\r\n');
  const headers = new Headers();
  for (const line of lines) headers.append(line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim());
  return {
    status: Number(statusLine.split(' ')[1]),
    lines,
    headers,
    text: received.subarray(end + 4).toString('utf8'),
  };
}

const never = /^(set-cookie|server|x-powered-by|etag|content-encoding|access-control-.*):/i;
const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
const errorShape = z.fromJSONSchema(errorSchema as Parameters<typeof z.fromJSONSchema>[0]);
const basicChallenge = 'Basic realm="Cardea", charset="UTF-8"';

/** Fails the test unless the answer keeps what every answer of this door promises. */
function judge(method: string, path: string, secure: boolean, accept: string | null, answer: HcxAnswer): void {
  const { status, headers, lines, text } = answer;
  judgeFixedHeaders(answer, secure);
  expect(headers.get('vary')).toBe(path.startsWith('/hybridity/') ? 'Accept' : null);
  const isLogin = method === 'POST' && status === 200;
  expect(headers.get('auth_token_name')).toBe(isLogin ? 'x-hm-authorization' : null);
  expect(lines.filter((line) => /^x-hm-authorization:/i.test(line))).toHaveLength(isLogin ? 1 : 0);
  if (isLogin) expect(text).not.toContain(headers.get('x-hm-authorization') ?? '');
  const challenge = method === 'GET' || method === 'HEAD' ? basicChallenge : 'Bearer realm="Cardea"';
  expect(headers.get('www-authenticate')).toBe(status === 401 ? challenge : null);
  expect(/^[1-9]\d*$/.test(headers.get('retry-after') ?? '')).toBe(status === 429 || status === 503);
  expect(headers.has('allow')).toBe(status === 405 || (status === 204 && method === 'OPTIONS'));
  if (method === 'HEAD' || status === 204) return expect(text).toBe('');
  expect(headers.get('content-length')).toBe(String(Buffer.byteLength(text)));
  judgeBody(path, accept, answer);
}

function judgeFixedHeaders({ headers, lines }: HcxAnswer, secure: boolean): void {
  expect(lines.filter((line) => new RegExp(`^x-transaction-id: ${uuid}$`).test(line))).toHaveLength(1);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('referrer-policy')).toBe('no-referrer');
  expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
  const strict = secure ? 'max-age=31536000; includeSubDomains' : null;
  expect(headers.get('strict-transport-security')).toBe(strict);
  expect(lines.filter((line) => never.test(line))).toEqual([]);
}

function judgeBody(path: string, accept: string | null, { status, headers, text }: HcxAnswer): void {
  if (headers.get('content-type') === 'application/xml;charset=UTF-8') {
    expect([status === 200, path.startsWith('/hybridity/'), accept?.includes('*/*') ?? false]).toEqual([
      false,
      true,
      false,
    ]);
    return expect(errorShape.safeParse(readErrorMap(text)).error).toBeUndefined();
  }
  expect(headers.get('content-type')).toBe('application/json;charset=UTF-8');
  const body = JSON.parse(text) as Record<string, unknown>;
  // Compact, and no member twice: what is parsed writes back to the same text.
  expect(JSON.stringify(body)).toBe(text);
  if (status === 200) {
    expect(body).toMatchObject({ success: true, completed: true, time: expect.any(Number), version: '1.0' });
    return expect(['success,completed,time,version', 'success,completed,time,version,data']).toContain(
      Object.keys(body).join(),
    );
  }
  expect(errorShape.safeParse(body).error).toBeUndefined();
  const order = ['success', 'completed', 'time', 'version', 'errorCode', 'error'];
  expect(Object.keys(body)).toEqual(order.filter((name) => name !== 'errorCode' || 'errorCode' in body));
  expect('errorCode' in body).toBe(status !== 429);
}

/** The members of an error document, read as a client of it does: entries of exactly two strings, the text under `message`. */
export function readErrorMap(xml: string): Record<string, unknown> {
  const inner =
    /^<\?xml version="1\.0" encoding="UTF-8"\?><map>((?:<entry>.*<\/entry>)+)<\/map>$/s.exec(xml)?.[1] ?? '';
  const pair = /<entry><string>([^<>]*)<\/string><string>([^<>]*)<\/string><\/entry>/g;
  const pairs = [...inner.matchAll(pair)].map(([, key = '', value = '']) => [key, decode(value)] as const);
  expect(inner.replace(pair, '')).toBe('');
  const order = ['success', 'completed', 'time', 'version', 'errorCode', 'message'];
  const keys = pairs.map(([key]) => key);
  expect(keys).toEqual(order.filter((name) => name !== 'errorCode' || keys.includes(name)));
  return Object.fromEntries(
    pairs.map(([key, value]) => {
      if (key === 'message') return ['error', value];
      return [key, ['success', 'completed', 'time'].includes(key) ? (JSON.parse(value) as unknown) : value];
    }),
  );
}

function decode(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

/** Fails the test unless the answer is this refusal, in whichever of the two formats. */
export function expectError(answer: HcxAnswer, status: number, errorCode: string | null, error: string): void {
  const isXml = answer.headers.get('content-type')?.startsWith('application/xml') === true;
  const body = isXml ? readErrorMap(answer.text) : (JSON.parse(answer.text) as Record<string, unknown>);
  expect({ status: answer.status, errorCode: body['errorCode'] ?? null, error: body['error'] }).toEqual({
    status,
    errorCode,
    error,
  });
}

export const refusals = {
  noContext: [401, 'INVALID_SESSION_TOKEN', 'UserContext not found in SecurityContext'],
  noSession: [401, 'INVALID_SESSION_TOKEN', 'No active session found'],
  wrongLogin: [401, 'INVALID_CREDENTIALS', 'Invalid username or password.'],
  notAnObject: [400, 'BAD_REQUEST', 'Request body must be a JSON object'],
  repeated: [400, 'BAD_REQUEST', 'Bad request'],
  notFound: [404, 'BAD_REQUEST', 'Unknown path'],
  method: [405, 'BAD_REQUEST', 'Method not allowed'],
  tooLarge: [413, 'BAD_REQUEST', 'Request body too large'],
  type: [415, 'BAD_REQUEST', 'Unsupported media type'],
  throttled: [429, null, 'Too many attempts'],
  busy: [503, 'INTERNAL_SERVER_ERROR', 'Service Unavailable'],
  stepDue: [403, 'NOT_ENOUGH_PRIVILEGES', 'Sign-in must be completed elsewhere'],
} as const;

/** What of an answer must be equal where two must not be told apart: all but time, `Date` and transaction id. */
export function comparable({ status, lines, text }: HcxAnswer): unknown {
  const kept = lines.filter((line) => !/^(date|x-transaction-id):/i.test(line)).sort();
  return { status, kept, text: text.replace(/("time":|<string>time<\/string><string>)\d+/, '$1') };
}

type Who = { readonly login: string; readonly password: string };

export function postLogin(origin: string, { login, password }: Who, path = adminPath): Promise<HcxAnswer> {
  return hcx(origin, 'POST', path, { body: { username: login, password } });
}

/** Logs in on the appliance listener, or by the web path, and fails the test if that does not work. @returns the token */
export async function signIn(
  server: Pick<TestServer, 'url' | 'httpsUrl'>,
  who: Who,
  path = adminPath,
): Promise<string> {
  const answer = await postLogin(path === adminPath ? server.httpsUrl : server.url, who, path);
  expect(answer.status).toBe(200);
  const token = answer.headers.get('x-hm-authorization') ?? '';
  expect(token).toMatch(tokenShape);
  return token;
}

export type Sent = Readonly<Record<string, string>>;

/** Asks on the appliance listener who the headers stand for. */
export function getSession({ httpsUrl }: Pick<TestServer, 'httpsUrl'>, headers: Sent): Promise<HcxAnswer> {
  return hcx(httpsUrl, 'GET', adminPath, { headers });
}

export function endSession({ httpsUrl }: Pick<TestServer, 'httpsUrl'>, headers: Sent): Promise<HcxAnswer> {
  return hcx(httpsUrl, 'DELETE', adminPath, { headers });
}

export function byToken(token: string): { readonly 'x-hm-authorization': string } {
  return { 'x-hm-authorization': token };
}

export function basic({ login, password }: Who): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${login}:${password}`).toString('base64')}` };
}

/** `data` of a good answer. */
export function dataOf<T = Record<string, unknown>>(answer: HcxAnswer): T {
  expect(answer.status).toBe(200);
  return (JSON.parse(answer.text) as { data: T }).data;
}

/** A JWT of one of the doors that give them out. */
export async function openJwt({ url }: Pick<TestServer, 'url'>, door: 'rest' | 'web', who: Who): Promise<string> {
  const body = door === 'rest' ? who : { email: who.login, password: who.password };
  const response = await fetch(url + (door === 'rest' ? '/v2/auth/login' : '/auth/login'), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
  const answer = (await response.json()) as { token?: string; data?: { token: string } };
  return answer.data?.token ?? answer.token ?? '';
}
