import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { rest } from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { bearer, session, sessionOf, signIn, type UserSession } from '../../../tests/support/user-session.ts';
import { demoUsers } from '../../cli/demo-data.ts';
import {
  createOrganization,
  removeMembership,
  rename,
  setMembership,
  setRolePermissions,
  setUserPermissions,
  setUserRoles,
} from '../../core/index.ts';

const facts = { actorId: null, caller: { address: 'local', userAgent: 'test', requestId: 'test' } };
const place = { organizationId: 1, mailboxId: null };

describe.each(engines.map((engine) => [engine]))('[6] the directory of this very moment on %s', (engine) => {
  let server: TestServer;
  let id: number;
  let token: string;
  beforeAll(async () => {
    server = await startTestServer({ engine });
    id = await addUser(server, { login: 'reader', place });
    token = (await signIn(server, { login: 'reader', password: testPassword })).token;
  }, 30_000);
  afterAll(() => server.close());

  const ask = async (): Promise<UserSession> => sessionOf(await session(server, bearer(token)));

  test('a permission held directly and granted by two roles appears once', async () => {
    await setRolePermissions(server.core, 'one', ['read', 'write'], facts);
    await setRolePermissions(server.core, 'two', ['read', 'delete'], facts);
    await setUserRoles(server.core, id, ['two', 'one'], facts);
    await setUserPermissions(server.core, id, ['read', 'audit'], facts);
    const { flatRolesList, flatPermissionsList } = await ask();
    expect(flatRolesList).toEqual(['one', 'two']);
    expect(flatPermissionsList).toEqual(['audit', 'delete', 'read', 'write']);
  });

  test('the lists ascend by code point, not by alphabet nor by UTF-16', async () => {
    const ascending = ['10', '9', 'Zebra', '_x', 'apple', 'zoo', 'äpfel', '\uff5e', '\u{1f600}'];
    await setUserRoles(server.core, id, [...ascending].reverse(), facts);
    await setUserPermissions(server.core, id, [...ascending].reverse(), facts);
    const { flatRolesList, flatPermissionsList } = await ask();
    expect(flatRolesList).toEqual(ascending);
    expect(flatPermissionsList).toEqual(ascending);
  });

  test('grant, withdrawal and new names show in the next GET of a live session', async () => {
    await setUserPermissions(server.core, id, [], facts);
    await setUserRoles(server.core, id, ['clerk'], facts);
    expect(await ask()).toMatchObject({ flatRolesList: ['clerk'], flatPermissionsList: [] });
    await setRolePermissions(server.core, 'clerk', ['stamp', 'file'], facts);
    expect((await ask()).flatPermissionsList).toEqual(['file', 'stamp']);
    await setRolePermissions(server.core, 'clerk', ['stamp'], facts);
    expect((await ask()).flatPermissionsList).toEqual(['stamp']);
    await rename(server.core, 'permission', 'stamp', 'seal', facts);
    await rename(server.core, 'role', 'clerk', 'notary', facts);
    expect(await ask()).toMatchObject({ flatRolesList: ['notary'], flatPermissionsList: ['seal'] });
    await setUserRoles(server.core, id, [], facts);
    expect(await ask()).toMatchObject({ flatRolesList: [], flatPermissionsList: [] });
  });

  test('accounts come primary first, then by name, then by id, and follow every change', async () => {
    await createOrganization(server.core, { id: 41, key: 'TWIN1', name: 'Twins', enterprise: 'E' }, facts);
    await createOrganization(server.core, { id: 40, key: 'TWIN2', name: 'Twins', enterprise: 'E' }, facts);
    await createOrganization(server.core, { id: 39, key: 'AARD', name: 'Aardvark', enterprise: 'E' }, facts);
    for (const organizationId of [41, 39, 40]) {
      await setMembership(server.core, id, { organizationId, isAdmin: false }, facts);
    }
    const before = await ask();
    expect(before.accounts.map(({ accountId }) => accountId)).toEqual(['1', '39', '40', '41']);
    expect(before.primaryAccount?.accountId).toBe('1');
    await setMembership(server.core, id, { organizationId: 40, isAdmin: true }, facts);
    expect((await ask()).accounts.map(({ accountAdmin }) => accountAdmin)).toEqual([false, false, true, false]);
    await removeMembership(server.core, id, 39, facts);
    expect((await ask()).accounts.map(({ accountId }) => accountId)).toEqual(['1', '40', '41']);
  });

  test('a change of e-mail by an administrator shows at once, with who did it and when', async () => {
    const before = await ask();
    const root = (await signIn(server, demoUsers.admin)).token;
    server.clock.advance(7);
    const body = { userId: id, email: 'New.Address@example.com' };
    const changed = await rest(server, 'PUT', '/v2/users', { headers: bearer(root), body });
    expect(changed.status).toBe(200);
    const after = await ask();
    expect(after).toMatchObject({ email: 'New.Address@example.com', updatedBy: 'admin@example.com' });
    expect(after.createdAt).toBe(before.createdAt);
    expect(after.updatedAt).toBe('2026-05-07T17:30:07.000Z');
    // The name of who changed it is the address of today, too.
    const ownBody = { userId: demoUsers.admin.id, email: 'root@example.com' };
    const own = await rest(server, 'PUT', '/v2/users', { headers: bearer(root), body: ownBody });
    expect(own.status).toBe(200);
    expect((await ask()).updatedBy).toBe('root@example.com');
  });
});
