import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { demoKey, demoUsers } from '../src/cli/demo-data.ts';
import {
  accepted,
  allDoors,
  type Answer,
  appliance,
  type Kind,
  kinds,
  openAll,
  placeNames,
  places,
} from './support/four-doors.ts';
import { startTestServer, type TestServer } from './support/server.ts';
import * as rest from './support/ecgrid.ts';
import { call } from './support/soap.ts';
import { faultText } from './support/soap-answer.ts';
import * as web from './support/user-session.ts';
import { addUser, testPassword } from './support/users.ts';

type Login = (server: TestServer, name: string, password: string) => Promise<Answer>;
type Expected = { readonly status: number; readonly text: string };

const applianceLogin =
  (path: string, headers = {}): Login =>
  (server, username, password) =>
    appliance(server, 'POST', path, headers, { username, password });
const wrongAppliance = {
  status: 401,
  text: '{"success":false,"completed":false,"version":"1.0","errorCode":"INVALID_CREDENTIALS","error":"Invalid username or password."}',
};
const f2 = { message: 'The user name or password is not valid.' };

/** Each way to sign in by name and password, and its one refusal; the instant is left out. */
const logins: readonly (readonly [name: string, login: Login, expected: Expected])[] = [
  [
    'REST login',
    (server, login, password) => rest.rest(server, 'POST', '/v2/auth/login', { body: { login, password } }),
    {
      status: 401,
      text: '{"success":false,"data":null,"errorCode":"InvalidSession","message":"Invalid login or password."}',
    },
  ],
  [
    'web login',
    (server, email, password) => web.postLogin(server, { email, password }),
    { status: 401, text: '{"error":"Unauthorized","status":401,"message":"The credentials are not valid."}' },
  ],
  [
    'web login by cookie',
    (server, email, password) =>
      web.postLogin(server, { email, password, cookie: true }, { 'Sec-Fetch-Site': 'same-origin' }),
    { status: 401, text: '{"error":"Unauthorized","status":401,"message":"The credentials are not valid."}' },
  ],
  [
    'SOAP 1.1 Login',
    (server, UserName, Password) => call(server, 'Login', { UserName, Password }),
    { status: 500, text: faultText('1.1', 'F2', f2) },
  ],
  [
    'SOAP 1.2 Login',
    (server, UserName, Password) => call(server, 'Login', { UserName, Password }, { version: '1.2' }),
    { status: 400, text: faultText('1.2', 'F2', f2) },
  ],
  ['appliance login', applianceLogin('/api/admin/v1/sessions'), wrongAppliance],
  ['web port login, JSON', applianceLogin('/hybridity/api/sessions', { Accept: 'application/json' }), wrongAppliance],
  [
    'web port login, XML',
    applianceLogin('/hybridity/api/sessions', { Accept: 'application/xml' }),
    {
      status: 401,
      text: '<?xml version="1.0" encoding="UTF-8"?><map><entry><string>success</string><string>false</string></entry><entry><string>completed</string><string>false</string></entry><entry><string>version</string><string>1.0</string></entry><entry><string>errorCode</string><string>INVALID_CREDENTIALS</string></entry><entry><string>message</string><string>Invalid username or password.</string></entry></map>',
    },
  ],
  [
    'Basic at the appliance',
    (server, name, password) =>
      places['appliance basic'].ask(server, Buffer.from(`${name}:${password}`).toString('base64')),
    {
      status: 401,
      text: '{"success":false,"completed":false,"version":"1.0","errorCode":"INVALID_SESSION_TOKEN","error":"UserContext not found in SecurityContext"}',
    },
  ],
];

const causes = [
  ['an unknown name', 'nobody-at-all', testPassword],
  ['a wrong password', 'plain', 'wrong password'],
  ['a disabled user, right password', 'suspended', testPassword],
  ['a disabled user, wrong password', 'suspended', 'wrong password'],
  ['a locked user, right password', 'locked', testPassword],
  ['a locked user, wrong password', 'locked', 'wrong password'],
] as const;

/** Instants and ids of requests differ from one answer to the next; nothing else may. */
function comparable({ status, headers, text }: Answer) {
  const named = Object.fromEntries(headers);
  for (const name of ['date', 'x-request-id', 'x-transaction-id']) delete named[name];
  const timeless = text
    .replace(/"time":\d{13},/, '')
    .replace(/<entry><string>time<\/string><string>\d{13}<\/string><\/entry>/, '');
  return { status, text: timeless, length: text.length, headers: named };
}

describe('wrong logins look alike at every door', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings: allDoors });
    await addUser(server, { login: 'plain' });
    await addUser(server, { login: 'suspended', status: 'Suspended' });
    const id = await addUser(server, { login: 'locked' });
    await server.core.store.db.updateTable('users').set({ failed_passwords: 100 }).where('id', '=', id).execute();
  });
  afterAll(() => server.close());

  test.each(logins)(
    '%s: unknown, wrong, disabled and locked are the same bytes and headers',
    async (_, login, expected) => {
      const reference = comparable(await login(server, 'plain', 'wrong password'));
      expect(reference).toMatchObject(expected);
      for (const [cause, name, password] of causes) {
        expect({ cause, ...comparable(await login(server, name, password)) }).toEqual({ cause, ...reference });
      }
    },
  );

  test.each(logins)(
    '%s: the right password of a good user is let in, so that the refusals mean something',
    async (_, login) => {
      expect((await login(server, 'plain', testPassword)).status).toBe(200);
    },
  );

  test('wrong tries at one door are counted at all: past the free ones the right password waits everywhere', async () => {
    await addUser(server, { login: 'shared-count' });
    for (let index = 0; index < 100; index += 1) {
      const [, login] = logins[index % logins.length] ?? logins[0]!;
      expect([400, 401, 500]).toContain((await login(server, 'shared-count', 'wrong password')).status);
    }
    for (const [name, login] of logins) {
      const answer = await login(server, 'shared-count', testPassword);
      const status = name.startsWith('SOAP') ? 500 : 429;
      expect({ name, status: answer.status }).toEqual({ name, status });
      expect(answer.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
    }
  });
});

describe('a credential is worth nothing where it does not belong', () => {
  let server: TestServer;
  let secrets: Record<Kind, string>;
  beforeAll(async () => {
    server = await startTestServer({ settings: allDoors });
    secrets = await openAll(server, { ...demoUsers.john, key: demoKey });
  });
  afterAll(() => server.close());

  const foreign = kinds.flatMap((kind) =>
    placeNames.filter((place) => !accepted[kind].includes(place)).map((place) => [kind, place] as const),
  );
  test.each(foreign)('%s as %s', async (kind, place) => {
    places[place].refuses(await places[place].ask(server, secrets[kind]));
  });

  test.each(kinds)('%s in an address', async (kind) => {
    const query = `?token=${encodeURIComponent(secrets[kind])}&SessionID=${encodeURIComponent(secrets[kind])}`;
    expect((await rest.rest(server, 'POST', `/v2/auth/session${query}`)).status).toBe(401);
    expect((await web.web(server, 'GET', `/auth/session${query}`)).status).toBe(401);
    expect((await appliance(server, 'GET', `/api/admin/v1/sessions${query}`)).status).toBe(401);
    const soap = await call(server, 'SessionInfo', {}, { path: `/v4.1/prod/ECGridOS.asmx${query}` });
    expect(soap.status).toBe(500);
  });
});
