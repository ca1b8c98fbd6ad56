import { expect } from 'bun:test';
import { z } from 'zod';
import errorSchema from '../../src/doors/user-session/fixtures/error.schema.json';
import sessionSchema from '../../src/doors/user-session/fixtures/user-session.schema.json';

export type Account = {
  readonly accountId: string;
  readonly accountName: string;
  readonly usersPrimaryAccount: boolean;
  readonly accountAdmin: boolean;
};

/** The 200 body of session and login, contract 3. */
export type UserSession = {
  readonly id: number;
  readonly email: string;
  readonly createdBy?: string;
  readonly updatedBy?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly primaryAccount?: Account;
  readonly accounts: readonly Account[];
  readonly flatRolesList: readonly string[];
  readonly flatPermissionsList: readonly string[];
  readonly token: string;
  readonly expiresAt: string;
  readonly currentAccountId?: string;
};

export type WebAnswer = {
  readonly status: number;
  readonly headers: Headers;
  /** The body as sent. */
  readonly text: string;
};

/** Every message of contract 7. */
export const messages = {
  notJson: 'The request body must be a JSON object.',
  pair: 'Send email and password, or apiKey and apiSecret.',
  cookieOff: 'Cookie sessions are not enabled.',
  notValid: 'The request is not valid.',
  notSignedIn: 'You are not signed in.',
  refused: 'The credentials are not valid.',
  account: 'This account is not available to you.',
  stepDue: 'Sign-in must be completed elsewhere.',
  site: 'This request came from another site.',
  nothingHere: 'There is nothing at this address.',
  method: 'Use one of the methods in the Allow header.',
  tooLarge: 'The request body is too large.',
  type: 'Send the body as application/json in UTF-8.',
  later: 'Try again later.',
  internal: 'Something went wrong on our side.',
} as const;

/** Challenge of a 401: with the hint where a token was presented and refused. */
export const challenge = 'Bearer realm="Cardea"';
export const refusedChallenge = 'Bearer realm="Cardea", error="invalid_token"';

export const endedCookie = '__Host-cardea=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0';
const newCookie = /^__Host-cardea=[A-Za-z0-9_-]{43}; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=[1-9][0-9]*$/;

export const reasonPhrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};
const memberMessage = /^(email|password|apiKey|apiSecret|cookie) is not valid\.$/;
const fixedMessages: readonly string[] = Object.values(messages);
const neverSent = ['server', 'x-powered-by', 'etag', 'content-encoding'];
const originHeaders = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
];
const preflightHeaders = ['access-control-allow-methods', 'access-control-allow-headers', 'access-control-max-age'];
/** Members in their order; the optional ones are those that contract 3 does not call "always". */
const memberOrder = [
  'id',
  'email',
  'createdBy',
  'updatedBy',
  'createdAt',
  'updatedAt',
  'primaryAccount',
  'accounts',
  'flatRolesList',
  'flatPermissionsList',
  'token',
  'active',
  'impersonating',
  'expiresAt',
  'currentAccountId',
];
const optionalMembers = ['createdBy', 'updatedBy', 'primaryAccount', 'currentAccountId'];
const accountMembers = ['accountId', 'accountName', 'usersPrimaryAccount', 'accountAdmin'];
const requestIdShape = /^[A-Za-z0-9._-]{1,64}$/;
const instantShape = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

type JsonSchema = Parameters<typeof z.fromJSONSchema>[0];
const sessionShape = z.fromJSONSchema(sessionSchema as JsonSchema);
const errorShape = z.fromJSONSchema(errorSchema as JsonSchema);

/** Fails the test unless the answer keeps what every answer of the door promises: [23] header set (2.3), shapes (3, 7), nothing under "Never". */
export function judge(method: string, sentId: string | null, answer: WebAnswer, secure: boolean): void {
  judgeFixedHeaders(answer.headers, sentId, secure);
  judgeStatusHeaders(method, answer);
  judgeOriginHeaders(method, answer.headers);
  const cookie = answer.headers.get('set-cookie');
  if (cookie !== null && cookie !== endedCookie) expect(cookie).toMatch(newCookie);
  if (method === 'HEAD' || answer.status === 204) return expect(answer.text).toBe('');
  judgeBody(answer);
}

function judgeFixedHeaders(headers: Headers, sentId: string | null, secure: boolean): void {
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('vary')).toBe('Origin');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('referrer-policy')).toBe('no-referrer');
  expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
  const strict = secure ? 'max-age=31536000; includeSubDomains' : null;
  expect(headers.get('strict-transport-security')).toBe(strict);
  const id = headers.get('x-request-id') ?? '';
  expect(id).toMatch(requestIdShape);
  if (sentId !== null) expect(id === sentId).toBe(requestIdShape.test(sentId));
  expect(neverSent.filter((name) => headers.has(name))).toEqual([]);
  expect(headers.get('access-control-allow-origin')).not.toBe('*');
}

function judgeStatusHeaders(method: string, { status, headers }: WebAnswer): void {
  const type = status === 204 ? null : 'application/json; charset=utf-8';
  expect(headers.get('content-type')).toBe(type);
  if (status === 401) expect([challenge, refusedChallenge]).toContain(headers.get('www-authenticate') ?? '');
  else expect(headers.get('www-authenticate')).toBeNull();
  if (status === 429 || status === 503) expect(headers.get('retry-after')).toMatch(/^[1-9][0-9]{0,5}$/);
  else expect(headers.get('retry-after')).toBeNull();
  expect(headers.has('allow')).toBe(status === 405 || (method === 'OPTIONS' && status === 204));
}

/** All of the three or none; those of a preflight on OPTIONS alone. */
function judgeOriginHeaders(method: string, headers: Headers): void {
  const sent = [...headers.keys()].filter((name) => name.startsWith('access-control-')).sort();
  const further = sent.filter((name) => preflightHeaders.includes(name));
  if (method !== 'OPTIONS') expect(further).toEqual([]);
  if (sent.length === 0) return;
  expect(sent.filter((name) => !further.includes(name))).toEqual([...originHeaders].sort());
  expect(headers.get('access-control-allow-credentials')).toBe('true');
  expect(headers.get('access-control-expose-headers')).toBe('retry-after, x-request-id');
}

function judgeBody({ status, text }: WebAnswer): void {
  const body = JSON.parse(text) as Record<string, unknown>;
  // Compact, and no member twice: what is parsed writes back to the same text.
  expect(JSON.stringify(body)).toBe(text);
  if (status !== 200) judgeError(status, body);
  else if (text !== '{"success":true}') judgeSession(body);
}

function judgeError(status: number, body: Record<string, unknown>): void {
  expect(errorShape.safeParse(body).success).toBe(true);
  expect(Object.keys(body)).toEqual(['error', 'status', 'message']);
  expect(body).toMatchObject({ error: reasonPhrases[status] ?? 'no such status', status });
  const message = String(body['message']);
  if (!memberMessage.test(message)) expect(fixedMessages).toContain(message);
}

function judgeSession(body: Record<string, unknown>): void {
  expect(sessionShape.safeParse(body).error).toBeUndefined();
  const members = memberOrder.filter((name) => name in body || !optionalMembers.includes(name));
  expect(Object.keys(body)).toEqual(members);
  expect(Object.keys(body).filter((name) => body[name] === null)).toEqual(['impersonating']);
  const { accounts, primaryAccount, createdAt, updatedAt, expiresAt, active } = body as UserSession & {
    active: boolean;
  };
  expect(active).toBe(true);
  for (const instant of [createdAt, updatedAt, expiresAt]) expect(instant).toMatch(instantShape);
  expect(updatedAt >= createdAt).toBe(true);
  for (const account of accounts) expect(Object.keys(account)).toEqual(accountMembers);
  for (const { accountId } of accounts) expect(accountId).toMatch(/^[1-9][0-9]*$/);
  expect(accounts.filter((account) => account.usersPrimaryAccount)).toEqual(accounts.slice(0, 1) as Account[]);
  expect(primaryAccount).toEqual(accounts[0] as Account);
}
