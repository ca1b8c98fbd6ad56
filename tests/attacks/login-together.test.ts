import { describe, expect, test } from 'bun:test';
import { demoKey, demoUsers } from '../../src/cli/demo-data.ts';
import { createFirstAdministrator } from '../../src/core/index.ts';
import { useAttackGround } from '../support/attack.ts';
import * as rest from '../support/ecgrid.ts';
import { fingerprint } from '../support/fingerprint.ts';
import {
  addKeyHolder,
  allDoors,
  type Answer,
  appliance,
  caller,
  expectEverywhere,
  kinds,
  openAll,
} from '../support/four-doors.ts';
import { type Login, logins } from '../support/login-ways.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { call, soapLogin } from '../support/soap.ts';
import * as web from '../support/user-session.ts';
import { addUser, testPassword } from '../support/users.ts';

const ground = useAttackGround();
const ways = logins.map(([name, login]) => [name, login] as const);
const isSoap = (way: string) => /SOAP|form/.test(way);

/** What a throttled login is at each door. */
function expectThrottled(way: string, { status, headers }: Answer): void {
  expect({ way, status }).toEqual({ way, status: way.startsWith('SOAP') ? 500 : 429 });
  expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
}

describe('attacks L at all doors together', () => {
  /** A server with the throttle as it is by default. */
  async function withThrottle(act: (server: TestServer) => Promise<void>): Promise<void> {
    const { CARDEA_HCX_ENABLED, CARDEA_USER_SESSION_COOKIE } = allDoors;
    const server = await startTestServer({ settings: { CARDEA_HCX_ENABLED, CARDEA_USER_SESSION_COOKIE } });
    try {
      await act(server);
    } finally {
      await server.close();
    }
  }
  const inTurn = (at: number): Login => (ways[at % ways.length] as (typeof ways)[0])[1];

  test('L08 L09 100 wrong ones in parallel, spread over every way in: five are looked at, the rest R429', () =>
    withThrottle(async (server) => {
      await addUser(server, { login: 'crowded' });
      const before = server.core.hasher.evaluated();
      await Promise.all(Array.from({ length: 100 }, (_, at) => inTurn(at)(server, 'crowded', 'wrong')));
      expect(server.core.hasher.evaluated() - before).toBeLessThanOrEqual(5);
      for (let at = 0; at < 6; at += 1) await inTurn(at)(server, 'crowded', 'wrong');
      expect(server.core.hasher.evaluated() - before).toBe(5);
      for (const [way, login] of ways) expectThrottled(way, await login(server, 'crowded', testPassword));
    }));

  test('L11 L12 one password on 20 names from one address, by every way: then R429, whatever forwarded headers say', () =>
    withThrottle(async (server) => {
      await addUser(server, { login: 'bystander' });
      for (let at = 0; at < 20; at += 1) await inTurn(at)(server, `sprayed-${at}`, 'Password1!');
      for (const [way, login] of ways) expectThrottled(way, await login(server, 'bystander', testPassword));
      for (let at = 0; at < 5; at += 1) {
        const headers = {
          'X-Forwarded-For': `203.0.113.${at}`,
          Forwarded: `for=203.0.113.${at}`,
          'X-Real-IP': `203.0.113.${at}`,
        };
        const body = { login: 'bystander', password: testPassword };
        expect((await rest.rest(server, 'POST', '/v2/auth/login', { headers, body })).status).toBe(429);
        expect((await web.postLogin(server, { email: body.login, password: body.password }, headers)).status).toBe(429);
        const asked = { username: body.login, password: body.password };
        expect((await appliance(server, 'POST', '/api/admin/v1/sessions', headers, asked)).status).toBe(429);
      }
    }));

  test('L13 locking out as a weapon: sessions and keys of the victim go on at every door', async () => {
    const { server } = ground;
    const victim = await addKeyHolder(server, 'l13-victim');
    const secrets = await openAll(server, victim);
    await server.core.store.db.updateTable('users').set({ failed_passwords: 99 }).where('id', '=', victim.id).execute();
    for (const [, login] of ways) await login(server, victim.login, 'wrong password');
    for (const kind of kinds) {
      await expectEverywhere(server, kind, secrets[kind], kind === 'password' ? 'refused' : 'let in');
    }
  });

  test('L18 members that ask for more than a login: ignored, and the user is what it was', async () => {
    const { server } = ground;
    const before = await fingerprint(server);
    const more = {
      authLevel: 'Root',
      userId: 1,
      id: 1,
      isAdmin: true,
      roles: ['System Administrator'],
      status: 'Active',
      networkId: 7,
    };
    const { login, password } = demoUsers.soap;
    const answers = [
      await rest.rest(server, 'POST', '/v2/auth/login', { body: { login, password, ...more } }),
      await web.postLogin(server, { email: login, password, ...more }),
      await appliance(server, 'POST', '/api/admin/v1/sessions', {}, { username: login, password, ...more }),
      await appliance(server, 'POST', '/hybridity/api/sessions', {}, { username: login, password, ...more }),
    ];
    for (const { status, text } of answers) {
      expect(status).toBe(200);
      expect(text).not.toMatch(/Root|System Administrator|"(userId|id)":1[,}]/);
    }
    expect(await fingerprint(server)).toBe(before);
  });

  test('L26 a Basic header, good or bad, is nothing to a login', async () => {
    const { server } = ground;
    const { login, password } = demoUsers.soap;
    const good = {
      Authorization: `Basic ${Buffer.from(`${login}:${password}`).toString('base64')}`,
      'X-API-Key': demoKey,
    };
    const wrong = 'wrong password';
    expect(
      (await rest.rest(server, 'POST', '/v2/auth/login', { headers: good, body: { login, password: wrong } })).status,
    ).toBe(401);
    expect((await web.postLogin(server, { email: login, password: wrong }, good)).status).toBe(401);
    const asked = { username: login, password: wrong };
    expect((await appliance(server, 'POST', '/api/admin/v1/sessions', good, asked)).status).toBe(401);
    expect((await appliance(server, 'POST', '/hybridity/api/sessions', good, asked)).status).toBe(401);
    expect(
      (
        await appliance(
          server,
          'POST',
          '/hybridity/api/sessions',
          { Authorization: 'Basic eDp5' },
          { ...asked, password },
        )
      ).status,
    ).toBe(200);
  });

  test('L22 the usual names and passwords on a fresh store: C401 by every way', async () => {
    const server = await startTestServer({ settings: allDoors, prepare: async () => undefined });
    try {
      const usual = [
        ['admin', 'admin'],
        ['admin', ''],
        ['root', 'root'],
        ['admin', 'VMware1!'],
        ['jsmith@example.com', 'Sup3r$ecret!'],
      ] as const;
      for (const [way, login] of ways) {
        for (const [name, password] of usual) {
          const { status } = await login(server, name, password);
          expect({ way, name, ok: status === 401 || status === 400 || (isSoap(way) && status === 500) }).toEqual({
            way,
            name,
            ok: true,
          });
        }
      }
    } finally {
      await server.close();
    }
  });

  test('L14 a new password that is common, has the login in it, is the current one or only blanks: refused with a reason, at both doors', async () => {
    const { server } = ground;
    const holder = await addKeyHolder(server, 'l14-holder');
    const { token } = await rest.login(server, holder);
    const SessionID = await soapLogin(server, holder);
    for (const newPassword of [
      'password1234',
      'l14-holder',
      holder.password,
      ' '.repeat(12),
      'short',
      'x'.repeat(1_025),
    ]) {
      const body = { currentPassword: holder.password, newPassword };
      const answer = await rest.rest(server, 'PUT', '/v2/auth/password', { headers: rest.bearer(token), body });
      rest.expectRefusal(answer, 400, 'InvalidParameter', /^newPassword /);
      const change = { SessionID, OldPassword: holder.password, NewPassword: newPassword };
      const soap = await call(server, 'ChangePassword', change);
      expect(soap.text).toMatch(/<faultstring>Invalid parameter: NewPassword<\/faultstring>/);
      for (const { text } of [answer, soap]) expect(text).not.toContain(`>${newPassword}`);
    }
    expect((await rest.login(server, holder)).userId).toBe(holder.id);
  });

  test('L23 the first administrator’s secret after its change, and after 24 hours: C401 by every way', async () => {
    for (const how of ['changed', 'late'] as const) {
      let first = '';
      const settings = { ...allDoors, CARDEA_THROTTLE_FREE_TRIES: '100' };
      const server = await startTestServer({
        settings,
        prepare: async (core) => {
          first = (await createFirstAdministrator(core, caller)) ?? '';
        },
      });
      try {
        const { token } = await rest.login(server, { login: 'admin', password: first });
        const body = { currentPassword: first, newPassword: 'nine herons on a pond' };
        if (how === 'late') server.clock.advance(24 * 3_600);
        else
          expect(
            (await rest.rest(server, 'PUT', '/v2/auth/password', { headers: rest.bearer(token), body })).status,
          ).toBe(200);
        for (const [way, login] of ways) {
          const { status } = await login(server, 'admin', first);
          expect({ way, status }).toEqual({ way, status: isSoap(way) ? (way.includes('1.2') ? 400 : 500) : 401 });
        }
      } finally {
        await server.close();
      }
    }
  });
});
