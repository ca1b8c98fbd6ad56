import { expect } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { type CallerFacts, storeApiKey } from '../../src/core/index.ts';
import * as rest from './ecgrid.ts';
import type { TestServer } from './server.ts';
import { call, soapLogin } from './soap.ts';
import { expectFault } from './soap-answer.ts';
import * as web from './user-session.ts';
import { addUser, testPassword } from './users.ts';

export const caller: CallerFacts = { address: 'local', userAgent: 'test', requestId: 'test' };

/** Settings under which every door answers, the cookie mode included, and no limit stands in the way of a table. */
export const allDoors = {
  CARDEA_HCX_ENABLED: 'true',
  CARDEA_USER_SESSION_COOKIE: 'true',
  CARDEA_THROTTLE_FREE_TRIES: '100',
  CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
  CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
  CARDEA_LIMITS_REFUSED_PER_SECOND: '1000000',
};

export type Who = { readonly id: number; readonly login: string; readonly password: string; readonly key?: string };
export type Answer = { readonly status: number; readonly headers: Headers; readonly text: string };

/** How each kind of credential is got. Each is a text that fits into a header. */
const openings = {
  'REST token': async (server: TestServer, who: Who) => (await rest.login(server, who)).token,
  'web token': async (server: TestServer, who: Who) => (await web.signIn(server, who)).token,
  'web token by key': async (server: TestServer, who: Who) => {
    const pair = { apiKey: `apiKey-${who.id}`, apiSecret: who.key };
    return web.sessionOf(await web.postLogin(server, pair)).token;
  },
  cookie: async (server: TestServer, who: Who) => cookieLogin(server, who),
  SessionID: soapLogin,
  'appliance token': (server: TestServer, who: Who) => applianceLogin(server, '/api/admin/v1/sessions', who),
  'web port token': (server: TestServer, who: Who) => applianceLogin(server, '/hybridity/api/sessions', who),
  'API key': async (_: TestServer, who: Who) => who.key ?? '',
  password: async (_: TestServer, who: Who) => Buffer.from(`${who.login}:${who.password}`).toString('base64'),
} as const;

export type Kind = keyof typeof openings;
export const kinds = Object.keys(openings) as Kind[];
/** The kinds that stand for a session. */
export type SessionKind = Exclude<Kind, 'API key' | 'password'>;
export const sessionKinds = kinds.filter((kind): kind is SessionKind => kind !== 'API key' && kind !== 'password');

export function open(server: TestServer, who: Who, kind: Kind): Promise<string> {
  return openings[kind](server, who);
}

/** Signs in by cookie, beside a cookie of before if there is one. @returns the secret in the cookie */
export async function cookieLogin(server: TestServer, who: Who, before?: string): Promise<string> {
  const body = { email: who.login, password: who.password, cookie: true };
  const cookie = before === undefined ? {} : { Cookie: `__Host-cardea=${before}` };
  const answer = await web.postLogin(server, body, { 'Sec-Fetch-Site': 'same-origin', ...cookie });
  expect(answer.status).toBe(200);
  return /^__Host-cardea=([^;]+);/.exec(answer.headers.get('set-cookie') ?? '')?.[1] ?? '';
}

async function applianceLogin(server: TestServer, path: string, who: Who): Promise<string> {
  const answer = await appliance(server, 'POST', path, {}, { username: who.login, password: who.password });
  expect(answer.status).toBe(200);
  return answer.headers.get('x-hm-authorization') ?? '';
}

/** One call to the appliance's contract: over TLS, but for the web port's path, which the plain listener serves. */
export async function appliance(
  server: Pick<TestServer, 'url' | 'httpsUrl'>,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: unknown,
): Promise<Answer> {
  const origin = path.startsWith('/hybridity/') ? server.url : server.httpsUrl;
  const response = await fetch(origin + path, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    tls: { rejectUnauthorized: false },
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const showAppliance = (server: TestServer, headers: Readonly<Record<string, string>>) =>
  appliance(server, 'GET', '/api/admin/v1/sessions', headers);

/** A place where a request may carry a credential, and how the door refuses what does not count there. */
type PlaceRow = {
  readonly ask: (server: TestServer, secret: string) => Promise<Answer>;
  readonly refuses: (answer: Answer) => void;
};

const placeRows = {
  'REST bearer': { ask: (server, secret) => rest.session(server, rest.bearer(secret)), refuses: restBearerRefused },
  'REST basic': { ask: (server, secret) => rest.session(server, basic(secret)), refuses: restBearerRefused },
  'REST bare authorization': {
    ask: (server, secret) => rest.session(server, { Authorization: secret }),
    refuses: restBearerRefused,
  },
  'REST X-API-Key': { ask: (server, secret) => rest.session(server, rest.apiKey(secret)), refuses: restKeyRefused },
  'web bearer': { ask: (server, secret) => web.session(server, web.bearer(secret)), refuses: webRefused },
  'web basic': { ask: (server, secret) => web.session(server, basic(secret)), refuses: webRefused },
  'web bare authorization': {
    ask: (server, secret) => web.session(server, { Authorization: secret }),
    refuses: webRefused,
  },
  'web cookie': {
    ask: (server, secret) => web.session(server, { Cookie: `__Host-cardea=${secret}` }),
    refuses: webCookieRefused,
  },
  'SOAP SessionID': {
    ask: (server, secret) => call(server, 'SessionInfo', { SessionID: secret }),
    refuses: (answer) => expectFault(answer, 'F1'),
  },
  'appliance token header': {
    ask: (server, secret) => showAppliance(server, { 'x-hm-authorization': secret }),
    refuses: applianceRefused,
  },
  'appliance token header, plain': {
    ask: async (server, secret) => {
      const plain = { url: server.url, httpsUrl: server.url };
      return appliance(plain, 'GET', '/api/admin/v1/sessions', { 'x-hm-authorization': secret });
    },
    refuses: applianceRefused,
  },
  'appliance bare authorization': {
    ask: (server, secret) => showAppliance(server, { Authorization: secret }),
    refuses: applianceRefused,
  },
  'appliance bearer': {
    ask: (server, secret) => showAppliance(server, { Authorization: `Bearer ${secret}` }),
    refuses: applianceRefused,
  },
  'appliance basic': { ask: (server, secret) => showAppliance(server, basic(secret)), refuses: applianceRefused },
} satisfies Record<string, PlaceRow>;

export type Place = keyof typeof placeRows;
export const places: Readonly<Record<Place, PlaceRow>> = placeRows;
export const placeNames = Object.keys(placeRows) as Place[];

const everyBearer: readonly Place[] = ['REST bearer', 'web bearer', 'appliance bearer'];
const everyToken: readonly Place[] = [
  'appliance token header',
  'appliance token header, plain',
  'appliance bare authorization',
];

/** Where each credential counts, from sections 5 of the contracts. Everywhere else it is worth nothing. */
export const accepted: Readonly<Record<Kind, readonly Place[]>> = {
  'REST token': everyBearer,
  'web token': everyBearer,
  'web token by key': everyBearer,
  cookie: ['web cookie'],
  SessionID: ['SOAP SessionID'],
  'appliance token': everyToken,
  'web port token': everyToken,
  'API key': ['REST X-API-Key', 'SOAP SessionID'],
  password: ['appliance basic'],
};

function basic(secret: string): { readonly Authorization: string } {
  return { Authorization: `Basic ${secret}` };
}

function restBearerRefused({ status, headers, text }: Answer): void {
  expect({ status, text, challenge: headers.get('www-authenticate') }).toEqual({
    status: 401,
    text: '{"success":false,"data":null,"errorCode":"InvalidSession","message":"The session token is not valid or has expired."}',
    challenge: 'Bearer realm="ecgrid", error="invalid_token"',
  });
}

function restKeyRefused({ status, headers, text }: Answer): void {
  expect({ status, text, challenge: headers.get('www-authenticate') }).toEqual({
    status: 401,
    text: '{"success":false,"data":null,"errorCode":"InvalidAPIKey","message":"The API key is not valid or has been revoked."}',
    challenge: 'Bearer realm="ecgrid"',
  });
}

const notSignedIn = '{"error":"Unauthorized","status":401,"message":"You are not signed in."}';

function webRefused({ status, headers, text }: Answer): void {
  expect({ status, text, challenge: headers.get('www-authenticate') }).toEqual({
    status: 401,
    text: notSignedIn,
    challenge: 'Bearer realm="Cardea", error="invalid_token"',
  });
}

function webCookieRefused({ status, headers, text }: Answer): void {
  expect({ status, text, challenge: headers.get('www-authenticate'), cookie: headers.get('set-cookie') }).toEqual({
    status: 401,
    text: notSignedIn,
    challenge: 'Bearer realm="Cardea"',
    cookie: '__Host-cardea=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0',
  });
}

function applianceRefused({ status, headers, text }: Answer): void {
  expect({ status, text: text.replace(/"time":\d{13},/, ''), challenge: headers.get('www-authenticate') }).toEqual({
    status: 401,
    text: '{"success":false,"completed":false,"version":"1.0","errorCode":"INVALID_SESSION_TOKEN","error":"UserContext not found in SecurityContext"}',
    challenge: 'Basic realm="Cardea", charset="UTF-8"',
  });
}

/** A new user with a key, in the first organization. */
export async function addKeyHolder(server: TestServer, login: string): Promise<Who> {
  const id = await addUser(server, { login, place: { organizationId: 1, mailboxId: null } });
  const key = randomUUID().toUpperCase();
  await storeApiKey(server.core, id, key, { actorId: null, caller });
  return { id, login, password: testPassword, key };
}

/** One credential of every kind. */
export async function openAll(server: TestServer, who: Who): Promise<Record<Kind, string>> {
  const secrets: Partial<Record<Kind, string>> = {};
  for (const kind of kinds) secrets[kind] = await open(server, who, kind);
  return secrets as Record<Kind, string>;
}

/** Asks every door that takes the credential, and fails unless each lets it in or each refuses it as its contract says. */
export async function expectEverywhere(
  server: TestServer,
  kind: Kind,
  secret: string,
  expected: 'let in' | 'refused',
): Promise<void> {
  for (const place of accepted[kind]) {
    const answer = await places[place].ask(server, secret);
    if (expected === 'refused') places[place].refuses(answer);
    else expect({ kind, place, status: answer.status }).toEqual({ kind, place, status: 200 });
  }
}
