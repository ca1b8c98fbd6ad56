import { expect } from 'bun:test';
import { sendRaw } from '../../src/http/raw-client.ts';
import type { TestServer } from './server.ts';
import {
  challenge,
  judge,
  messages,
  reasonPhrases,
  refusedChallenge,
  type UserSession,
  type WebAnswer,
} from './user-session-contract.ts';

export { challenge, endedCookie, messages, type UserSession, type WebAnswer } from './user-session-contract.ts';

export type Sent = Readonly<Record<string, string>>;

export type WebCall = {
  readonly headers?: Sent;
  /** Sent as JSON with the JSON type, unless `headers` name another. */
  readonly body?: unknown;
  /** Sent as it is, without any type of its own. */
  readonly rawBody?: string | Uint8Array;
  /** The call comes over TLS as far as the server can tell. */
  readonly secure?: boolean;
};

/**
 * One call to the UserSession door. Whatever the test asks about, the answer is also held to what every answer of the door
 * promises: [23] header set (2.3), shapes of `UserSession` and `Error` (3, 7), and nothing listed under "Never".
 */
export async function web(
  server: Pick<TestServer, 'url'>,
  method: string,
  path: string,
  call: WebCall = {},
): Promise<WebAnswer> {
  const headers = new Headers(call.headers);
  const body = call.rawBody ?? (call.body === undefined ? undefined : JSON.stringify(call.body));
  if (call.body !== undefined && !headers.has('content-type')) headers.set('Content-Type', 'application/json');
  const init: RequestInit = { method, headers, redirect: 'manual' };
  // Bytes, since a string would be given a type of its own.
  if (body !== undefined) init.body = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const response = await fetch(server.url + path, init);
  const answer = { status: response.status, headers: response.headers, text: await response.text() };
  judge(method, headers.get('x-request-id'), answer, call.secure === true);
  return answer;
}

/**
 * As `web`, for requests that `fetch` cannot send: the lines of the head without the final blank one, then the body. The
 * connection is closed after the answer.
 */
export async function webRaw(
  server: Pick<TestServer, 'url'>,
  head: readonly string[],
  body: string | Uint8Array = '',
): Promise<WebAnswer> {
  const own = head.some((line) => /^host:/i.test(line)) ? [] : ['Host: auth.example.com'];
  const lines = [...head, ...own, 'Connection: close', '', ''];
  const received = await sendRaw(
    Number(new URL(server.url).port),
    Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), Buffer.from(body)]),
  );
  const answer = readAnswer(received);
  const sentId = head.find((line) => /^x-request-id:/i.test(line))?.replace(/^[^:]*:\s*/, '') ?? null;
  judge(head[0]?.split(' ')[0] ?? '', sentId, answer, false);
  return answer;
}

/** Only the first answer: after trailers the runtime adds one of its own. */
export function readAnswer(received: string): WebAnswer {
  const start = received.indexOf('\r\n\r\n') + 4;
  const [statusLine = '', ...fields] = received.slice(0, start - 4).split('\r\n');
  const headers = new Headers();
  for (const field of fields) {
    const colon = field.indexOf(':');
    headers.append(field.slice(0, colon), field.slice(colon + 1).trim());
  }
  const isHead = received.length === start;
  const bytes = received.slice(start, isHead ? start : start + Number(headers.get('content-length') ?? 0));
  return { status: Number(statusLine.split(' ')[1]), headers, text: Buffer.from(bytes, 'latin1').toString('utf8') };
}

export function bearer(token: string): { readonly Authorization: string } {
  return { Authorization: `Bearer ${token}` };
}

export function postLogin(server: Pick<TestServer, 'url'>, body: unknown, headers: Sent = {}): Promise<WebAnswer> {
  return web(server, 'POST', '/auth/login', { body, headers });
}

/** Logs in by name and password and fails the test if that does not work. */
export async function signIn(
  server: Pick<TestServer, 'url'>,
  who: { readonly login: string; readonly password: string },
): Promise<UserSession> {
  const answer = await postLogin(server, { email: who.login, password: who.password });
  expect(answer.status).toBe(200);
  return sessionOf(answer);
}

/** Asks who the headers stand for. */
export function session(server: Pick<TestServer, 'url'>, headers: Sent): Promise<WebAnswer> {
  return web(server, 'GET', '/auth/session', { headers });
}

export function logout(server: Pick<TestServer, 'url'>, headers: Sent): Promise<WebAnswer> {
  return web(server, 'POST', '/auth/logout', { headers });
}

export function sessionOf(answer: WebAnswer): UserSession {
  expect(answer.status).toBe(200);
  return JSON.parse(answer.text) as UserSession;
}

/** Fails the test unless the answer is this refusal; its `error` and `status` are judged with every answer. */
export function expectRefusal(answer: WebAnswer, status: number, message: string): void {
  expect({ status: answer.status, text: answer.text }).toEqual({
    status,
    text: JSON.stringify({ error: reasonPhrases[status], status, message }),
  });
}

/** Fails the test unless nobody is signed in; `presented`: a token was shown and refused. */
export function expectSignedOut(answer: WebAnswer, presented: 'presented' | 'nothing'): void {
  expectRefusal(answer, 401, messages.notSignedIn);
  expect(answer.headers.get('www-authenticate')).toBe(presented === 'presented' ? refusedChallenge : challenge);
}

/** What of an answer must be equal where two must not be told apart: all but `Date` and `X-Request-Id`. */
export function comparable(answer: WebAnswer): unknown {
  const headers = Object.fromEntries(answer.headers);
  delete headers['date'];
  delete headers['x-request-id'];
  return { status: answer.status, headers, text: answer.text };
}

export function corsHeadersOf({ headers }: WebAnswer): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));
}
