import { soapEnvelope, soapHeaders, soapPath } from '../../../bench/cardea/logins.ts';
import type { BenchUser } from '../../../bench/cardea/users.ts';
import { writeRequest } from '../../../bench/target.ts';
import type { WireAnswer } from './wire.ts';

/** What an answer must be. */
export type Expected = { readonly status: number; readonly contains: string };

/** One way to sign in, ask and sign out, as texts that go over the wire. */
export type Contract = {
  readonly logIn: (user: BenchUser) => string;
  /** What a login's answer gave out; empty when it gave nothing. */
  readonly secretIn: (answer: WireAnswer) => string;
  readonly check: (secret: string) => string;
  readonly accepted: (user: Pick<BenchUser, 'id' | 'login'>) => Expected;
  readonly refused: Expected;
  readonly logOut: (secret: string) => string;
  readonly ended: Expected;
};

const json = { 'Content-Type': 'application/json' };
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const sameSite = { 'Sec-Fetch-Site': 'same-origin' };
const cookie = (secret: string) => ({ Cookie: `__Host-cardea=${secret}`, ...sameSite });
const appliance = (token: string) => ({ 'x-hm-authorization': token });
const post = (path: string, headers: Readonly<Record<string, string>>, body: object) =>
  writeRequest('POST', path, { ...json, ...headers }, JSON.stringify(body));
const soap = (operation: string, parameters: string) =>
  writeRequest('POST', soapPath, soapHeaders(operation), soapEnvelope(operation, parameters));
const find = (text: string, pattern: RegExp) => pattern.exec(text)?.[1] ?? '';
const appliancePath = '/api/admin/v1/sessions';

export const contracts = {
  rest: {
    logIn: ({ login, password }) => post('/v2/auth/login', {}, { login, password }),
    secretIn: ({ body }) => find(body, /"token":"([^"]+)"/),
    check: (token) => writeRequest('POST', '/v2/auth/session', { ...bearer(token), ...json }),
    accepted: ({ login }) => ({ status: 200, contains: `"login":"${login}"` }),
    refused: { status: 401, contains: '"success":false' },
    logOut: (token) => writeRequest('POST', '/v2/auth/logout', bearer(token)),
    ended: { status: 200, contains: '"success":true' },
  },
  web: {
    logIn: ({ login, password }) => post('/auth/login', {}, { email: login, password }),
    secretIn: ({ body }) => find(body, /"token":"([^"]+)"/),
    check: (token) => writeRequest('GET', '/auth/session', bearer(token)),
    accepted: ({ login }) => ({ status: 200, contains: `"email":"${login}"` }),
    refused: { status: 401, contains: '' },
    logOut: (token) => writeRequest('POST', '/auth/logout', bearer(token)),
    ended: { status: 200, contains: '' },
  },
  cookie: {
    logIn: ({ login, password }) => post('/auth/login', sameSite, { email: login, password, cookie: true }),
    secretIn: ({ head }) => find(head, /\r\nset-cookie: __Host-cardea=([^;]+);/i),
    check: (secret) => writeRequest('GET', '/auth/session', cookie(secret)),
    accepted: ({ login }) => ({ status: 200, contains: `"email":"${login}"` }),
    refused: { status: 401, contains: '' },
    logOut: (secret) => writeRequest('POST', '/auth/logout', cookie(secret)),
    ended: { status: 200, contains: '' },
  },
  appliance: {
    logIn: ({ login, password }) => post(appliancePath, {}, { username: login, password }),
    secretIn: ({ head }) => find(head, /\r\nx-hm-authorization: (\S+)/i),
    check: (token) => writeRequest('GET', appliancePath, appliance(token)),
    accepted: ({ login }) => ({ status: 200, contains: `"username":"${login}"` }),
    refused: { status: 401, contains: '' },
    logOut: (token) => writeRequest('DELETE', appliancePath, appliance(token)),
    ended: { status: 200, contains: '"success":true' },
  },
  soap: {
    logIn: ({ login, password }) => soap('Login', `<UserName>${login}</UserName><Password>${password}</Password>`),
    secretIn: ({ body }) => find(body, /<LoginResult>([^<]+)</),
    check: (id) => soap('WhoAmI', `<SessionID>${id}</SessionID>`),
    accepted: ({ id }) => ({ status: 200, contains: `<UserID>${id}</UserID>` }),
    refused: { status: 500, contains: 'Invalid SessionID' },
    logOut: (id) => soap('Logout', `<SessionID>${id}</SessionID>`),
    ended: { status: 200, contains: '<LogoutResult>true<' },
  },
} as const satisfies Readonly<Record<string, Contract>>;

export type ContractName = keyof typeof contracts;
export const contractNames = Object.keys(contracts) as ContractName[];

/** A check by API key, at the contract that takes it in a header. */
export function checkByKey(key: string): string {
  return writeRequest('POST', '/v2/auth/session', { 'X-API-Key': key, ...json });
}

/** Exchanges a token for its successor. */
export function refreshOf(token: string): string {
  return post('/v2/auth/refresh', {}, { token });
}
