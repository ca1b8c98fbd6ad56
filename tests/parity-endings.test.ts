import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { demoUsers } from '../src/cli/demo-data.ts';
import { authenticate, type Credential, endAll, endOne } from '../src/core/index.ts';
import * as rest from './support/ecgrid.ts';
import {
  addKeyHolder,
  allDoors,
  appliance,
  caller,
  cookieLogin,
  expectEverywhere,
  type Kind,
  kinds,
  openAll,
  sessionKinds,
  type Who,
} from './support/four-doors.ts';
import { engines, startTestServer, type TestServer } from './support/server.ts';
import { call, resultOf, soapLogin } from './support/soap.ts';
import * as web from './support/user-session.ts';
import { setUserStatus } from './support/users.ts';

const { admin } = demoUsers;
const newPassword = 'quite another phrase';
const minute = 60;

type Scene = { readonly server: TestServer; readonly who: Who; readonly secrets: Readonly<Record<Kind, string>> };

/** A way to end sessions, and all that it ends of what one user has; everything else must go on. */
type Way = {
  readonly name: string;
  readonly act: (scene: Scene) => Promise<unknown>;
  readonly ends: readonly Kind[];
};

async function done(answer: Promise<{ readonly status: number }>): Promise<void> {
  expect((await answer).status).toBe(200);
}

const restCall = (server: TestServer, token: string, method: string, path: string, body?: unknown) =>
  done(rest.rest(server, method, path, { headers: rest.bearer(token), body }));

const asAdmin = async ({ server }: Scene, method: string, path: string, body?: unknown) =>
  restCall(server, (await rest.login(server, admin)).token, method, path, body);

const soapDone = async (server: TestServer, operation: string, parameters: Record<string, string | number>) =>
  expect(resultOf(await call(server, operation, parameters), operation)).toBe('true');

const restLogout = (kind: Kind) => (scene: Scene) =>
  restCall(scene.server, scene.secrets[kind], 'POST', '/v2/auth/logout');
const webLogout = (kind: Kind) => (scene: Scene) => done(web.logout(scene.server, web.bearer(scene.secrets[kind])));
const applianceLogout = (headers: (secrets: Scene['secrets']) => Record<string, string>) => (scene: Scene) =>
  done(appliance(scene.server, 'DELETE', '/api/admin/v1/sessions', headers(scene.secrets)));
const renew = (kind: Kind) => (scene: Scene) => rest.refresh(scene.server, scene.secrets[kind]);
const wait =
  (seconds: number) =>
  async ({ server }: Scene) =>
    server.clock.advance(seconds);

const logouts: Way[] = [
  { name: 'REST logout by a REST token', act: restLogout('REST token'), ends: ['REST token'] },
  { name: 'REST logout by a web token', act: restLogout('web token'), ends: ['web token'] },
  { name: 'web logout by a REST token', act: webLogout('REST token'), ends: ['REST token'] },
  { name: 'web logout by a web token', act: webLogout('web token'), ends: ['web token'] },
  {
    name: 'web logout by cookie',
    act: ({ server, secrets }) =>
      done(web.logout(server, { Cookie: `__Host-cardea=${secrets.cookie}`, 'Sec-Fetch-Site': 'same-origin' })),
    ends: ['cookie'],
  },
  {
    name: 'a cookie login beside the cookie of before',
    act: ({ server, who, secrets }) => cookieLogin(server, who, secrets.cookie),
    ends: ['cookie'],
  },
  {
    name: 'SOAP Logout',
    act: ({ server, secrets }) => soapDone(server, 'Logout', { SessionID: secrets.SessionID }),
    ends: ['SessionID'],
  },
  {
    name: 'appliance DELETE by its token',
    act: applianceLogout((secrets) => ({ 'x-hm-authorization': secrets['appliance token'] })),
    ends: ['appliance token'],
  },
  {
    name: 'appliance DELETE by the token of the web port',
    act: applianceLogout((secrets) => ({ Authorization: secrets['web port token'] })),
    ends: ['web port token'],
  },
  {
    name: 'appliance DELETE by a REST token',
    act: applianceLogout((secrets) => rest.bearer(secrets['REST token'])),
    ends: ['REST token'],
  },
  {
    name: 'appliance DELETE by a web token',
    act: applianceLogout((secrets) => rest.bearer(secrets['web token'])),
    ends: ['web token'],
  },
  {
    name: 'REST logout by an API key, which has no session',
    act: ({ server, secrets }) =>
      done(rest.rest(server, 'POST', '/v2/auth/logout', { headers: rest.apiKey(secrets['API key']) })),
    ends: [],
  },
  {
    name: 'SOAP Logout by an API key, which has no session',
    act: ({ server, secrets }) => soapDone(server, 'Logout', { SessionID: secrets['API key'] }),
    ends: [],
  },
];

const replacements: Way[] = [
  { name: 'refresh of a REST token', act: renew('REST token'), ends: ['REST token'] },
  { name: 'refresh of a web token', act: renew('web token'), ends: ['web token'] },
  {
    name: 'a new API key at REST',
    act: (scene) =>
      restCall(scene.server, scene.secrets['REST token'], 'POST', `/v2/users/key-generate/${scene.who.id}`),
    ends: ['API key', 'web token by key'],
  },
  {
    name: 'a new API key over SOAP',
    act: async ({ server, secrets }) =>
      resultOf(await call(server, 'GenerateAPIKey', { SessionID: secrets.SessionID, UserID: 0 }), 'GenerateAPIKey'),
    ends: ['API key', 'web token by key'],
  },
  {
    name: 'an own password change at REST',
    act: ({ server, who, secrets }) =>
      restCall(server, secrets['REST token'], 'PUT', '/v2/auth/password', {
        currentPassword: who.password,
        newPassword,
      }),
    ends: [...sessionKinds.filter((kind) => kind !== 'REST token'), 'password'],
  },
  {
    name: 'an own password change over SOAP',
    act: ({ server, who, secrets }) =>
      soapDone(server, 'ChangePassword', {
        SessionID: secrets.SessionID,
        OldPassword: who.password,
        NewPassword: newPassword,
      }),
    ends: [...sessionKinds.filter((kind) => kind !== 'SessionID'), 'password'],
  },
];

const byOthers: Way[] = [
  {
    name: 'a password set by an administrator',
    act: (scene) => asAdmin(scene, 'POST', '/v2/users/password', { userId: scene.who.id, newPassword }),
    ends: [...sessionKinds, 'password'],
  },
  {
    name: 'REST reset by an administrator',
    act: (scene) => asAdmin(scene, 'POST', `/v2/users/reset/${scene.who.id}`),
    ends: sessionKinds,
  },
  {
    name: 'SOAP UserReset by an administrator',
    act: async ({ server, who }) =>
      soapDone(server, 'UserReset', { SessionID: await soapLogin(server, admin), UserID: who.id }),
    ends: sessionKinds,
  },
  {
    name: 'the end of all sessions at the machine',
    act: ({ server, who }) => endAll(server.core, 'system', who.id, caller),
    ends: sessionKinds,
  },
  { name: 'suspension', act: ({ server, who }) => setUserStatus(server, who.id, 'Suspended'), ends: kinds },
  {
    name: 'suspension, though activated again',
    act: async ({ server, who }) => {
      await setUserStatus(server, who.id, 'Suspended');
      await setUserStatus(server, who.id, 'Active');
    },
    ends: sessionKinds,
  },
  { name: 'termination', act: ({ server, who }) => setUserStatus(server, who.id, 'Terminated'), ends: kinds },
  { name: 'deletion', act: (scene) => asAdmin(scene, 'DELETE', `/v2/users/${scene.who.id}`), ends: kinds },
];

const byTheClock: Way[] = [
  { name: '14 min 59 s without use', act: wait(15 * minute - 1), ends: [] },
  { name: '15 min without use', act: wait(15 * minute), ends: ['web port token'] },
  { name: '59 min 59 s without use', act: wait(60 * minute - 1), ends: ['web port token'] },
  { name: '60 min without use', act: wait(60 * minute), ends: sessionKinds },
];

const credentials: Record<(typeof sessionKinds)[number], (secret: string) => Credential> = {
  'REST token': (token) => ({ kind: 'bearer', token }),
  'web token': (token) => ({ kind: 'bearer', token }),
  'web token by key': (token) => ({ kind: 'bearer', token }),
  cookie: (secret) => ({ kind: 'cookie', secret }),
  SessionID: (secret) => ({ kind: 'session_guid', secret }),
  'appliance token': (secret) => ({ kind: 'appliance_token', secret }),
  'web port token': (secret) => ({ kind: 'appliance_token', secret }),
};
const oneByOne = sessionKinds.map((kind): Way => {
  const act = async ({ server, secrets }: Scene) => {
    const { session } = await authenticate(server.core, credentials[kind](secrets[kind]));
    expect(await endOne(server.core, session?.id ?? '', { actorId: null, caller })).toBe(true);
  };
  return { name: `the end of one session at the machine, that of the ${kind}`, act, ends: [kind] };
});

describe.each(engines.map((engine) => [engine]))(
  'S01 S03 S04 S07 S08 J27: what is ended is refused at every door at once, on %s',
  (engine) => {
    let server: TestServer;
    beforeAll(async () => {
      server = await startTestServer({ engine, settings: allDoors });
    }, 30_000);
    afterAll(() => server.close());

    test.each(
      [...logouts, ...replacements, ...byOthers, ...byTheClock, ...oneByOne].map((way) => [way.name, way] as const),
    )('%s', async (name, { act, ends }) => {
      const who = await addKeyHolder(server, name.toLowerCase().replace(/[^a-z0-9]+/g, '-'));
      const secrets = await openAll(server, who);
      for (const kind of kinds) await expectEverywhere(server, kind, secrets[kind], 'let in');
      await act({ server, who, secrets });
      for (const kind of kinds) {
        await expectEverywhere(server, kind, secrets[kind], ends.includes(kind) ? 'refused' : 'let in');
      }
    });

    test('S09 S10: 12 h after the login every session ends in spite of use and refresh, and not a second earlier', async () => {
      const who = await addKeyHolder(server, 'twelve-hours');
      const secrets = { ...(await openAll(server, who)) };
      const useAll = async (expected: 'let in' | 'refused') => {
        for (const kind of sessionKinds) await expectEverywhere(server, kind, secrets[kind], expected);
      };
      const steps = 60;
      for (let step = 1; step <= steps; step += 1) {
        await useAll('let in');
        secrets['REST token'] = (await rest.refresh(server, secrets['REST token'])).token;
        server.clock.advance(12 * minute - (step === steps ? 1 : 0));
      }
      await useAll('let in');
      server.clock.advance(1);
      await useAll('refused');
      await expectEverywhere(server, 'API key', secrets['API key'], 'let in');
      await expectEverywhere(server, 'password', secrets.password, 'let in');
    });
  },
);
