import * as rest from './ecgrid.ts';
import { type Answer, appliance, type SessionKind } from './four-doors.ts';
import type { TestServer } from './server.ts';
import { call } from './soap.ts';
import * as web from './user-session.ts';

type Logout = (server: TestServer, secret: string) => Promise<Answer>;

const atAppliance =
  (headers: (secret: string) => Record<string, string>): Logout =>
  (server, secret) =>
    appliance(server, 'DELETE', '/api/admin/v1/sessions', headers(secret));
const atRest: Logout = (server, secret) =>
  rest.rest(server, 'POST', '/v2/auth/logout', { headers: rest.bearer(secret) });

/** How a session of each kind is ended by who holds it. */
export const logouts: Readonly<Record<SessionKind, Logout>> = {
  'REST token': atRest,
  'web token': (server, secret) => web.logout(server, web.bearer(secret)),
  'web token by key': atRest,
  cookie: (server, secret) =>
    web.logout(server, { Cookie: `__Host-cardea=${secret}`, 'Sec-Fetch-Site': 'same-origin' }),
  SessionID: (server, secret) => call(server, 'Logout', { SessionID: secret }),
  'appliance token': atAppliance((secret) => ({ 'x-hm-authorization': secret })),
  'web port token': atAppliance((secret) => ({ Authorization: secret })),
};
