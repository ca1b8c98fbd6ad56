import type { DoorName } from './history.ts';

/** What a contract said, in the words that all share: the HTTP status that its answer means, and the facts in it. */
export type Reply = {
  /** 0 for no answer. SOAP faults are told by the status that they mean. */
  readonly status: number;
  /** A token, secret or key that was given out. */
  readonly secret?: string;
  /** The user's id or e-mail address, whichever the contract names. */
  readonly who?: string;
  readonly level?: string;
};

export type CredentialKind = 'token' | 'cookie' | 'guid' | 'appliance' | 'key';

/** Where each kind counts, sections 5 of the contracts. */
export const checkingDoors: Readonly<Record<CredentialKind, readonly DoorName[]>> = {
  token: ['rest', 'web', 'appliance'],
  cookie: ['cookie'],
  guid: ['soap'],
  appliance: ['appliance'],
  key: ['rest', 'soap'],
};

/** What each door's login gives out. */
export const loginKinds = {
  rest: 'token',
  web: 'token',
  cookie: 'cookie',
  soap: 'guid',
  appliance: 'appliance',
  hybridity: 'appliance',
} as const satisfies Partial<Record<DoorName, CredentialKind>>;
export type LoginDoor = keyof typeof loginKinds;
export const loginDoors = Object.keys(loginKinds) as LoginDoor[];

/** A client waits this long, which is longer than the server's own limits of all its steps. */
const patienceMs = 8_000;

type Sent = { readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown; readonly xml?: string };
type Received = { readonly status: number; readonly text: string; readonly headers: Headers };

/** One server, and the client's name under which its audit knows the request: every door takes that over. */
export type At = { readonly url: string; readonly agent: string };

async function send({ url, agent }: At, method: string, path: string, sent: Sent = {}): Promise<Received> {
  const body = sent.xml ?? (sent.body === undefined ? undefined : JSON.stringify(sent.body));
  const type = sent.xml === undefined ? 'application/json' : 'text/xml; charset=utf-8';
  try {
    const response = await fetch(url + path, {
      method,
      headers: { 'User-Agent': agent, ...(body !== undefined && { 'Content-Type': type }), ...sent.headers },
      ...(body !== undefined && { body }),
      // A kept connection that died meanwhile would make the client send a change twice.
      keepalive: false,
      redirect: 'manual',
      signal: AbortSignal.timeout(patienceMs),
    });
    return { status: response.status, text: await response.text(), headers: response.headers };
  } catch {
    return { status: 0, text: '', headers: new Headers() };
  }
}

function read(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const cookieOf = (secret: string) => ({ Cookie: `__Host-cardea=${secret}`, 'Sec-Fetch-Site': 'same-origin' });
const applianceHeader = (kind: CredentialKind, secret: string) =>
  kind === 'appliance' ? { 'x-hm-authorization': secret } : bearer(secret);

export async function logIn(at: At, door: LoginDoor, login: string, password: string): Promise<Reply> {
  if (door === 'soap') {
    const answer = await soap(at, 'Login', { UserName: login, Password: password });
    return { status: answer.status, ...(answer.status === 200 && { secret: answer.value }) };
  }
  const [path, body, headers] = loginRequest(door, login, password);
  const { status, text, headers: received } = await send(at, 'POST', path, { body, headers });
  if (status !== 200) return { status };
  const json = read(text);
  if (door === 'rest') return factsOf(status, json['data'], 'userId');
  if (door === 'web') return factsOf(status, json, 'id');
  if (door === 'cookie') {
    const secret = /^__Host-cardea=([^;]+);/.exec(received.get('set-cookie') ?? '')?.[1] ?? '';
    return { status, secret, who: String(json['id']) };
  }
  return { status, secret: received.get('x-hm-authorization') ?? '' };
}

function loginRequest(door: Exclude<LoginDoor, 'soap'>, login: string, password: string) {
  const sameSite = { 'Sec-Fetch-Site': 'same-origin' };
  const requests = {
    rest: ['/v2/auth/login', { login, password }, {}],
    web: ['/auth/login', { email: login, password }, {}],
    cookie: ['/auth/login', { email: login, password, cookie: true }, sameSite],
    appliance: ['/api/admin/v1/sessions', { username: login, password }, {}],
    hybridity: ['/hybridity/api/sessions', { username: login, password }, {}],
  } as const;
  return requests[door];
}

function factsOf(status: number, data: unknown, id: 'userId' | 'id'): Reply {
  const { token, [id]: who, authLevel } = (data ?? {}) as Record<string, unknown>;
  return {
    status,
    who: String(who),
    ...(typeof token === 'string' && { secret: token }),
    ...(typeof authLevel === 'string' && { level: authLevel }),
  };
}

/** Asks whom a credential stands for. */
export async function check(at: At, door: DoorName, kind: CredentialKind, secret: string): Promise<Reply> {
  if (door === 'soap') {
    const { status, value } = await soap(at, 'WhoAmI', { SessionID: secret });
    if (status !== 200) return { status };
    return { status, who: element(value, 'UserID'), level: element(value, 'AuthLevel') };
  }
  if (door === 'rest') {
    const headers = kind === 'key' ? { 'X-API-Key': secret } : bearer(secret);
    const { status, text } = await send(at, 'POST', '/v2/auth/session', { headers });
    return status === 200 ? factsOf(status, read(text)['data'], 'userId') : { status };
  }
  if (door === 'appliance') {
    const headers = applianceHeader(kind, secret);
    const { status, text } = await send(at, 'GET', '/api/admin/v1/sessions', { headers });
    const who = /"username":"([^"]*)"/.exec(text)?.[1] ?? '';
    return status === 200 ? { status, who } : { status };
  }
  const headers = door === 'cookie' ? cookieOf(secret) : bearer(secret);
  const { status, text } = await send(at, 'GET', '/auth/session', { headers });
  return status === 200 ? { status, who: String(read(text)['id']) } : { status };
}

export async function logOut(at: At, door: DoorName, kind: CredentialKind, secret: string): Promise<Reply> {
  if (door === 'soap') {
    const { status, value } = await soap(at, 'Logout', { SessionID: secret });
    return { status: status === 200 && value !== 'true' ? 401 : status };
  }
  if (door === 'rest') return statusOf(send(at, 'POST', '/v2/auth/logout', { headers: bearer(secret) }));
  if (door === 'appliance') {
    const headers = applianceHeader(kind, secret);
    const { status } = await send(at, 'DELETE', '/api/admin/v1/sessions', { headers });
    return { status: status === 204 ? 200 : status };
  }
  const headers = door === 'cookie' ? cookieOf(secret) : bearer(secret);
  return statusOf(send(at, 'POST', '/auth/logout', { headers }));
}

export async function refresh(at: At, token: string): Promise<Reply> {
  const { status, text } = await send(at, 'POST', '/v2/auth/refresh', { body: { token } });
  return status === 200 ? factsOf(status, read(text)['data'], 'userId') : { status };
}

/** Ends all sessions of a user, by an administrator's key. */
export async function endAll(at: At, door: 'rest' | 'soap', key: string, userId: number): Promise<Reply> {
  if (door === 'soap') return soap(at, 'UserReset', { SessionID: key, UserID: userId });
  return statusOf(send(at, 'POST', `/v2/users/reset/${userId}`, { headers: { 'X-API-Key': key } }));
}

export async function makeKey(at: At, door: 'rest' | 'soap', key: string, userId: number): Promise<Reply> {
  if (door === 'soap') {
    const { status, value } = await soap(at, 'GenerateAPIKey', { SessionID: key, UserID: userId });
    return { status, ...(status === 200 && { secret: value }) };
  }
  const path = `/v2/users/key-generate/${userId}`;
  const { status, text } = await send(at, 'POST', path, { headers: { 'X-API-Key': key } });
  return { status, ...(status === 200 && { secret: String(read(text)['data']) }) };
}

export async function changeLevel(at: At, key: string, userId: number, authLevel: string): Promise<Reply> {
  const headers = { 'X-API-Key': key };
  return statusOf(send(at, 'POST', '/v2/users/role', { headers, body: { userId, authLevel } }));
}

export async function changePassword(
  at: At,
  door: 'rest' | 'soap',
  secret: string,
  passwords: { readonly from: string; readonly to: string },
): Promise<Reply> {
  const { from, to } = passwords;
  if (door === 'soap') {
    return soap(at, 'ChangePassword', { SessionID: secret, OldPassword: from, NewPassword: to });
  }
  const body = { currentPassword: from, newPassword: to };
  return statusOf(send(at, 'PUT', '/v2/auth/password', { headers: bearer(secret), body }));
}

async function statusOf(pending: Promise<Received>): Promise<Reply> {
  return { status: (await pending).status };
}

const faultStatuses: readonly [string, number][] = [
  ['Invalid SessionID', 401],
  ['Invalid login', 401],
  ['Too many attempts', 429],
  ['Access denied', 403],
  ['Service unavailable', 503],
  ['Invalid parameter', 400],
];

async function soap(
  at: At,
  operation: string,
  parameters: Readonly<Record<string, string | number>>,
): Promise<{ status: number; value: string }> {
  const children = Object.entries(parameters).map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`);
  const namespace = 'http://www.ecgridos.net/';
  const xml =
    '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>' +
    `<${operation} xmlns="${namespace}">${children.join('')}</${operation}></soap:Body></soap:Envelope>`;
  const headers = { SOAPAction: `"${namespace}${operation}"` };
  const { status, text } = await send(at, 'POST', '/v4.1/prod/ECGridOS.asmx', { xml, headers });
  if (status === 200) return { status, value: element(text, `${operation}Result`) };
  const fault = element(text, 'faultstring');
  return { status: faultStatuses.find(([words]) => fault.startsWith(words))?.[1] ?? status, value: '' };
}

function element(xml: string, name: string): string {
  return new RegExp(`<${name}>([\\s\\S]*?)</${name}>`).exec(xml)?.[1] ?? '';
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
