import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { bearer, login, refresh, rest } from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';
import { listAudit, verifyAudit } from '../../core/index.ts';

const newPassword = 'nine herons on a pond';
type Events = Awaited<ReturnType<typeof listAudit>>;

describe.each(engines.map((engine) => [engine]))('[28] the audit on %s', (engine) => {
  let server: TestServer;
  let root: string;
  let count = 0;
  beforeAll(async () => {
    server = await startTestServer({ engine });
    root = (await login(server, demoUsers.admin)).token;
  }, 30_000);
  afterAll(() => server.close());

  /** Everything written so far. */
  async function readAll(): Promise<Events> {
    const events: Events = [];
    for (;;) {
      const page = await listAudit(server.core, events.at(-1)?.id ?? 0, 1000);
      if (page.length === 0) return events;
      events.push(...page);
    }
  }

  /** What `act` had written down. */
  async function during(act: () => Promise<unknown>): Promise<Events> {
    const before = (await readAll()).length;
    await act();
    return (await readAll()).slice(before);
  }

  async function newcomer() {
    count += 1;
    const who = { login: `audited-${count}`, password: testPassword };
    const id = await addUser(server, { ...who, place: { organizationId: 1, mailboxId: null } });
    return { ...who, id };
  }

  const headers = (token: string) => ({
    headers: { ...bearer(token), 'User-Agent': 'auditor', 'X-Request-Id': 'r-1' },
  });
  type Person = Awaited<ReturnType<typeof newcomer>> & { token: string };
  const post = (path: string, body?: unknown, token = root) =>
    rest(server, 'POST', path, body === undefined ? headers(token) : { ...headers(token), body });

  // One record each: event, whether the user itself did it (or the administrator, or nobody known), and to whom.
  const acts: [string, string, 'self' | 'root' | 'nobody', boolean, (who: Person) => Promise<unknown>][] = [
    ['a good login', 'login.succeeded', 'self', false, (who) => login(server, who)],
    [
      'a wrong password',
      'login.failed',
      'nobody',
      true,
      ({ login: name }) => post('/v2/auth/login', { login: name, password: 'wrong' }),
    ],
    [
      'an unknown name',
      'login.failed',
      'nobody',
      false,
      () => post('/v2/auth/login', { login: 'stranger', password: 'wrong' }),
    ],
    ['a refresh', 'session.refreshed', 'self', false, ({ token }) => refresh(server, token)],
    ['a logout', 'session.ended', 'self', true, ({ token }) => post('/v2/auth/logout', undefined, token)],
    [
      'a new key',
      'api_key.generated',
      'self',
      true,
      ({ id, token }) => post(`/v2/users/key-generate/${id}`, undefined, token),
    ],
    [
      'a changed password',
      'password.changed',
      'self',
      true,
      ({ token }) =>
        rest(server, 'PUT', '/v2/auth/password', {
          ...headers(token),
          body: { currentPassword: testPassword, newPassword },
        }),
    ],
    [
      'a wrong current password',
      'password.change_failed',
      'nobody',
      true,
      ({ token }) =>
        rest(server, 'PUT', '/v2/auth/password', {
          ...headers(token),
          body: { currentPassword: 'wrong', newPassword },
        }),
    ],
    [
      'a set password',
      'password.set',
      'root',
      true,
      ({ id }) => post('/v2/users/password', { userId: id, newPassword }),
    ],
    [
      'a new role',
      'user.role_changed',
      'root',
      true,
      ({ id }) => post('/v2/users/role', { userId: id, authLevel: 'General' }),
    ],
    [
      'a move',
      'user.moved',
      'root',
      true,
      ({ id }) => post('/v2/users/set-network-mailbox', { userId: id, networkId: 100 }),
    ],
    [
      'an update',
      'user.updated',
      'root',
      true,
      ({ id }) => rest(server, 'PUT', '/v2/users', { ...headers(root), body: { userId: id } }),
    ],
    ['a reset', 'user.reset', 'root', true, ({ id }) => post(`/v2/users/reset/${id}`)],
    ['a deletion', 'user.deleted', 'root', true, ({ id }) => rest(server, 'DELETE', `/v2/users/${id}`, headers(root))],
  ];

  test.each(acts)(
    '%s is exactly one record, with who, whom, and from where',
    async (_, event, actor, hasTarget, act) => {
      const user = await newcomer();
      const { token } = await login(server, user);
      const events = await during(() => act({ ...user, token }));
      expect(events.map((row) => row.event)).toEqual([event]);
      expect(events[0]).toMatchObject({
        at: 1_778_175_000,
        actor_user_id: { self: user.id, root: 1, nobody: null }[actor],
        ...(hasTarget && { target_user_id: user.id }),
        address: '127.0.0.1',
      });
    },
  );

  test('the creation of a user is one record that names the new id', async () => {
    const body = { login: 'created', email: 'created@users.example.com', password: newPassword };
    let id: unknown;
    const events = await during(async () => {
      id = ((await post('/v2/users', body)).body.data as { userId: number }).userId;
    });
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ event: 'user.created', actor_user_id: 1, target_user_id: id });
    expect(events[0]).toMatchObject({ user_agent: 'auditor', request_id: 'r-1' });
  });

  test('S11: the ending of a session by theft detection is one record', async () => {
    const user = await newcomer();
    const first = (await login(server, user)).token;
    await refresh(server, first);
    server.clock.advance(11);
    const events = await during(() => rest(server, 'POST', '/v2/auth/refresh', { body: { token: first } }));
    server.clock.advance(-11);
    expect(events.map(({ event, target_user_id }) => [event, target_user_id])).toEqual([
      ['session.reuse_detected', user.id],
    ]);
  });

  test('checks, reads and refusals that change nothing write nothing', async () => {
    const { token } = await login(server, demoUsers.john);
    const events = await during(async () => {
      await post('/v2/auth/session', undefined, token);
      await post('/v2/auth/session', undefined, 'bogus');
      await rest(server, 'GET', '/v2/users/me', headers(token));
      await post('/v2/users/reset/12345', undefined, token);
      await post('/v2/users', { login: 'x' });
      await rest(server, 'POST', '/v2/auth/refresh', { body: { token: 'bogus' } });
    });
    expect(events).toEqual([]);
  });

  test('no record holds a secret, and the chain of them is whole', async () => {
    const user = await newcomer();
    const { token } = await login(server, user);
    const key = (await post(`/v2/users/key-generate/${user.id}`, undefined, token)).body.data as string;
    await post('/v2/auth/login', { login: user.login, password: 'a wrong one to look for' });
    const written = JSON.stringify(await readAll());
    for (const secret of [token, token.split('.')[2] ?? '', key, key.replaceAll('-', ''), testPassword, newPassword]) {
      expect(written).not.toContain(secret);
    }
    expect(written).not.toContain('a wrong one to look for');
    expect(written).not.toContain('argon2');
    expect(await verifyAudit(server.core)).toBeNull();
  });
});
