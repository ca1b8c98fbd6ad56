import { type Answer, appliance, places } from './four-doors.ts';
import * as rest from './ecgrid.ts';
import type { TestServer } from './server.ts';
import { call, send } from './soap.ts';
import { faultText } from './soap-answer.ts';
import * as web from './user-session.ts';

export type Login = (server: TestServer, name: string, password: string) => Promise<Answer>;
type Expected = { readonly status: number; readonly text: string };

const applianceLogin =
  (path: string, headers = {}): Login =>
  (server, username, password) =>
    appliance(server, 'POST', path, headers, { username, password });
const wrongAppliance = {
  status: 401,
  text: '{"success":false,"completed":false,"version":"1.0","errorCode":"INVALID_CREDENTIALS","error":"Invalid username or password."}',
};
const formLogin: Login = (server, name, password) => {
  // A form carries UTF-8, which has no half of a surrogate pair.
  const [UserName, Password] = [name, password].map((text) => encodeURIComponent(text.toWellFormed()));
  const body = `UserName=${UserName}&Password=${Password}`;
  const type = 'Content-Type: application/x-www-form-urlencoded';
  return send(server, ['POST /v4.1/prod/ECGridOS.asmx/Login HTTP/1.1', type, `Content-Length: ${body.length}`], body);
};
const f2 = { message: 'The user name or password is not valid.' };

/** Each way to sign in by name and password, and its one refusal; the instant is left out. */
export const logins: readonly (readonly [name: string, login: Login, expected: Expected])[] = [
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
  ['form Login', formLogin, { status: 500, text: 'Invalid login: The user name or password is not valid.\n' }],
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

/** Instants and ids of requests differ from one answer to the next; nothing else may. */
export function timeless({ status, headers, text }: Answer) {
  const named = Object.fromEntries(headers);
  for (const name of ['date', 'x-request-id', 'x-transaction-id']) delete named[name];
  const undated = text
    .replace(/"time":\d{13},/, '')
    .replace(/<entry><string>time<\/string><string>\d{13}<\/string><\/entry>/, '');
  return { status, text: undated, length: text.length, headers: named };
}
