import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { demoKey, demoUsers } from '../src/cli/demo-data.ts';
import { accepted, allDoors, appliance, type Kind, kinds, openAll, placeNames, places } from './support/four-doors.ts';
import { startTestServer, type TestServer } from './support/server.ts';
import * as rest from './support/ecgrid.ts';
import { logins, timeless } from './support/login-ways.ts';
import { call } from './support/soap.ts';
import * as web from './support/user-session.ts';
import { addUser, testPassword } from './support/users.ts';

const causes = [
  ['an unknown name', 'nobody-at-all', testPassword],
  ['a wrong password', 'plain', 'wrong password'],
  ['a disabled user, right password', 'suspended', testPassword],
  ['a disabled user, wrong password', 'suspended', 'wrong password'],
  ['a locked user, right password', 'locked', testPassword],
  ['a locked user, wrong password', 'locked', 'wrong password'],
] as const;

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
    'L01 %s: unknown, wrong, disabled and locked are the same bytes and headers',
    async (_, login, expected) => {
      const reference = timeless(await login(server, 'plain', 'wrong password'));
      expect(reference).toMatchObject(expected);
      for (const [cause, name, password] of causes) {
        expect({ cause, ...timeless(await login(server, name, password)) }).toEqual({ cause, ...reference });
      }
    },
  );

  test.each(logins)(
    '%s: the right password of a good user is let in, so that the refusals mean something',
    async (_, login) => {
      expect((await login(server, 'plain', testPassword)).status).toBe(200);
    },
  );

  test('L09: wrong tries at one door are counted at all: past the free ones the right password waits everywhere', async () => {
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

describe('J26, K13: a credential is worth nothing where it does not belong', () => {
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

  test.each(kinds)('J24, K07: %s in an address', async (kind) => {
    const query = `?token=${encodeURIComponent(secrets[kind])}&SessionID=${encodeURIComponent(secrets[kind])}`;
    expect((await rest.rest(server, 'POST', `/v2/auth/session${query}`)).status).toBe(401);
    expect((await web.web(server, 'GET', `/auth/session${query}`)).status).toBe(401);
    expect((await appliance(server, 'GET', `/api/admin/v1/sessions${query}`)).status).toBe(401);
    const soap = await call(server, 'SessionInfo', {}, { path: `/v4.1/prod/ECGridOS.asmx${query}` });
    expect(soap.status).toBe(500);
  });
});
