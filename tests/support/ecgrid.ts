import { expect } from 'bun:test';
import { sendRaw } from '../../src/http/raw-client.ts';
import type { TestServer } from './server.ts';

/** The envelope of the ECGrid REST contract, section 3. */
export type EcgridBody = {
  readonly success: boolean;
  readonly data: unknown;
  readonly errorCode: string;
  readonly message: string;
};

export type EcgridAnswer = {
  readonly status: number;
  readonly headers: Headers;
  /** The body as sent; empty for HEAD. */
  readonly text: string;
  readonly body: EcgridBody;
};

export type EcgridCall = {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON with the JSON type, unless `headers` name another. */
  readonly body?: unknown;
  /** Sent as it is, without any type of its own. */
  readonly rawBody?: string | Uint8Array;
};

export type EcgridLogin = { readonly token: string; readonly expiresAt: string; readonly userId: number };

/** Fixed messages of section 7, by their numbers there. */
export const messages = {
  E1: 'Authentication is required.',
  E2: 'The session token is not valid or has expired.',
  E3: 'The API key is not valid or has been revoked.',
  E4: 'The credentials do not belong to the same user.',
  E5: 'Invalid login or password.',
  E6: 'Too many requests. Retry later.',
  E7: 'A further sign-in step is required.',
  E8: 'API keys are stored as digests and cannot be shown. Generate a new key.',
  E9: 'currentPassword is not correct.',
} as const;

/** Challenge of a 401: with the hint exactly where a bearer was sent and refused. */
export const challenge = 'Bearer realm="ecgrid"';
export const refusedChallenge = 'Bearer realm="ecgrid", error="invalid_token"';

const codesOf: Readonly<Record<number, readonly string[]>> = {
  200: [''],
  400: ['InvalidParameter', 'DuplicateObject'],
  401: ['InvalidSession', 'InvalidAPIKey'],
  403: ['AccessDenied'],
  404: ['ObjectNotFound'],
  405: ['InvalidParameter'],
  413: ['InvalidParameter'],
  415: ['InvalidParameter'],
  429: ['RateLimitExceeded'],
  500: ['InternalError'],
  503: ['ServiceUnavailable'],
};
const successMessages = ['', 'Session terminated.', 'Password updated successfully.'];
const forbiddenHeaders = ['server', 'x-powered-by', 'etag', 'set-cookie'];
const forbiddenPrefixes = ['x-ratelimit', 'access-control-'];
/** What only an inside would say: stack lines, paths, file names, queries, product and store names. */
const innards =
  /\bat \S+ \(|\.(?:ts|js|mjs|db)\b|node_modules|\/(?:home|root|tmp|usr|var|work|src)\/|\b(?:select|insert|update|delete) .*\b(?:from|into|set|where)\b|sqlite|postgres|kysely|\bzod\b|\bbun\b|cardea/i;

/**
 * One call to the ECGrid REST door. Whatever the test asks about, the answer is also held to what every answer of the door
 * promises: envelope (3), header set (2), code for the status (7), and nothing of the inside.
 */
export async function rest(
  server: Pick<TestServer, 'url'>,
  method: string,
  path: string,
  call: EcgridCall = {},
): Promise<EcgridAnswer> {
  const headers = new Headers(call.headers);
  const body = call.rawBody ?? (call.body === undefined ? undefined : JSON.stringify(call.body));
  if (call.body !== undefined && !headers.has('content-type')) headers.set('Content-Type', 'application/json');
  const init: RequestInit = { method, headers, redirect: 'manual' };
  // Bytes, since a string would be given a type of its own.
  if (body !== undefined) init.body = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const response = await fetch(server.url + path, init);
  return judge(method, headers.get('x-request-id'), response.status, response.headers, await response.text());
}

/**
 * As `rest`, for requests that `fetch` cannot send: the lines of the head without the final blank one, then the body. The
 * connection is closed after the answer.
 */
export async function restRaw(
  server: Pick<TestServer, 'url'>,
  head: readonly string[],
  body: string | Uint8Array = '',
): Promise<EcgridAnswer> {
  const bytes = Buffer.from(body);
  const lines = [...head, 'Host: auth.example.com', 'Connection: close', '', ''];
  const received = await sendRaw(
    Number(new URL(server.url).port),
    Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), bytes]),
  );
  const [statusLine = '', ...fields] = received.slice(0, received.indexOf('\r\n\r\n')).split('\r\n');
  const headers = new Headers();
  for (const field of fields) {
    const colon = field.indexOf(':');
    headers.append(field.slice(0, colon), field.slice(colon + 1).trim());
  }
  // Only the first answer: after trailers the runtime adds one of its own.
  const start = received.indexOf('\r\n\r\n') + 4;
  const bytesSent = received.slice(start, start + Number(headers.get('content-length') ?? 0));
  const text = Buffer.from(bytesSent, 'latin1').toString('utf8');
  const sentId = head.find((line) => /^x-request-id:/i.test(line))?.replace(/^[^:]*:\s*/, '') ?? null;
  return judge(head[0]?.split(' ')[0] ?? '', sentId, Number(statusLine.split(' ')[1]), headers, text);
}

/** Logs in at the door and fails the test if that does not work. */
export async function login(
  server: Pick<TestServer, 'url'>,
  who: { readonly login: string; readonly password: string },
): Promise<EcgridLogin> {
  const answer = await rest(server, 'POST', '/v2/auth/login', { body: { login: who.login, password: who.password } });
  expect(answer.status).toBe(200);
  return answer.body.data as EcgridLogin;
}

/** Exchanges a token for its successor and fails the test if that does not work. */
export async function refresh(server: Pick<TestServer, 'url'>, token: string): Promise<EcgridLogin> {
  const answer = await rest(server, 'POST', '/v2/auth/refresh', { body: { token } });
  expect(answer.status).toBe(200);
  return answer.body.data as EcgridLogin;
}

/** Asks who the headers stand for. */
export function session(
  server: Pick<TestServer, 'url'>,
  headers: Readonly<Record<string, string>>,
): Promise<EcgridAnswer> {
  return rest(server, 'POST', '/v2/auth/session', { headers });
}

export function bearer(token: string): { readonly Authorization: string } {
  return { Authorization: `Bearer ${token}` };
}

export function apiKey(key: string): { readonly 'X-API-Key': string } {
  return { 'X-API-Key': key };
}

/** Fails the test unless the answer is this refusal, message included. */
export function expectRefusal(answer: EcgridAnswer, status: number, errorCode: string, message: string | RegExp): void {
  expect({ status: answer.status, errorCode: answer.body.errorCode }).toEqual({ status, errorCode });
  if (typeof message === 'string') expect(answer.body.message).toBe(message);
  else expect(answer.body.message).toMatch(message);
}

/** Fails the test unless a bearer was refused: 401 E2 with the hint. */
export function expectBadBearer(answer: EcgridAnswer): void {
  expectRefusal(answer, 401, 'InvalidSession', messages.E2);
  expect(answer.headers.get('www-authenticate')).toBe(refusedChallenge);
}

/** What of an answer must be equal where two refusals must not be told apart: all but `Date` and `X-Request-Id`. */
export function comparable(answer: EcgridAnswer): unknown {
  const headers = Object.fromEntries(answer.headers);
  delete headers['date'];
  delete headers['x-request-id'];
  return { status: answer.status, headers, text: answer.text };
}

function judge(method: string, sentId: string | null, status: number, headers: Headers, text: string): EcgridAnswer {
  judgeFixedHeaders(headers, sentId);
  judgeStatusHeaders(status, headers);
  if (method === 'HEAD') {
    expect(text).toBe('');
    return { status, headers, text, body: { success: status === 200, data: null, errorCode: '', message: '' } };
  }
  return { status, headers, text, body: judgeEnvelope(status, headers, text) };
}

function judgeFixedHeaders(headers: Headers, sentId: string | null): void {
  expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('referrer-policy')).toBe('no-referrer');
  expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
  const id = headers.get('x-request-id') ?? '';
  expect(id).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
  if (sentId !== null) expect(id === sentId).toBe(/^[A-Za-z0-9._-]{1,64}$/.test(sentId));
  const names = [...headers.keys()];
  const wrong = (name: string) =>
    forbiddenHeaders.includes(name) || forbiddenPrefixes.some((prefix) => name.startsWith(prefix));
  expect(names.filter(wrong)).toEqual([]);
}

function judgeStatusHeaders(status: number, headers: Headers): void {
  const retryAfter = headers.get('retry-after');
  if (status === 429) expect(retryAfter).toMatch(/^[1-9][0-9]{0,5}$/);
  else if (status === 503) expect(retryAfter).toMatch(/^[1-5]$/);
  else expect(retryAfter).toBeNull();
  if (status === 401) expect([challenge, refusedChallenge]).toContain(headers.get('www-authenticate') ?? '');
  else expect(headers.get('www-authenticate')).toBeNull();
  expect(headers.has('allow')).toBe(status === 405);
}

function judgeEnvelope(status: number, headers: Headers, text: string): EcgridBody {
  const body = JSON.parse(text) as EcgridBody;
  // Compact, and no member twice: what is parsed writes back to the same text.
  expect(JSON.stringify(body)).toBe(text);
  expect(Object.keys(body)).toEqual(['success', 'data', 'errorCode', 'message']);
  expect(body.success).toBe(status === 200);
  expect(codesOf[status] ?? []).toContain(body.errorCode);
  if (status === 200) expect(successMessages).toContain(body.message);
  else judgeFailure(status, headers, body);
  return body;
}

function judgeFailure(status: number, headers: Headers, body: EcgridBody): void {
  expect(body.data).toBeNull();
  expect(body.message).toMatch(/^[^\r\n]{1,200}$/);
  expect(body.message).not.toMatch(innards);
  if (status !== 401) return;
  const expected = body.message === messages.E2 ? refusedChallenge : challenge;
  expect(headers.get('www-authenticate')).toBe(expected);
}
