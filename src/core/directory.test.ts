import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { check, callerFrom, openTestCore, outcomeOf, signIn, type TestCore } from '../../tests/support/core.ts';
import { engines } from '../../tests/support/server.ts';
import { addUser } from '../../tests/support/users.ts';
import {
  createOrganization,
  removeMembership,
  rename,
  type SessionContext,
  setMembership,
  setRolePermissions,
  setUserPermissions,
  setUserRoles,
} from './index.ts';

const facts = { actorId: null, caller: callerFrom() };

describe.each(engines.map((engine) => [engine]))('directory facts on %s', (engine) => {
  let at: TestCore;
  let id: number;
  let token: string;
  beforeEach(async () => {
    at = await openTestCore({ engine });
    const organizations = [
      { id: 30, key: 'Z', name: 'Alder' },
      { id: 20, key: 'Y', name: 'alder' },
      { id: 10, key: 'X', name: 'Zelkova' },
      { id: 5, key: 'W', name: 'Alder' },
      { id: 7, key: 'V', name: 'Ébène' },
      // Above and below the surrogates: UTF-16 would put the second before the first.
      { id: 8, key: 'U', name: '\uFF21cer' },
      { id: 9, key: 'T', name: '\u{1D400}cer' },
    ];
    for (const organization of organizations) {
      await createOrganization(at.core, { ...organization, enterprise: 'Trees' }, facts);
    }
    id = await addUser(at, { login: 'ada', place: { organizationId: 10, mailboxId: null } });
    token = (await signIn(at.core, 'ada')).credential;
  }, 30_000);
  afterEach(() => at.close());

  const now = (): Promise<SessionContext> => check(at.core, { kind: 'bearer', token });

  test('organizations come with the primary first, then by name in code-point order, then by id', async () => {
    for (const organizationId of [20, 7, 30, 9, 5, 8]) {
      await setMembership(at.core, id, { organizationId, isAdmin: organizationId === 7 }, facts);
    }
    const { memberships } = await now();
    expect(memberships.map((one) => one.organizationId)).toEqual([10, 5, 30, 20, 7, 8, 9]);
    expect(memberships.map((one) => one.isPrimary)).toEqual([true, false, false, false, false, false, false]);
    expect(memberships.filter((one) => one.isAdmin).map((one) => one.organizationName)).toEqual(['Ébène']);
    expect(new Set(memberships.map((one) => one.enterpriseName))).toEqual(new Set(['Trees']));
  });

  test('roles come once each as they were given, permissions once each in code-point order, whichever way they are held', async () => {
    await setRolePermissions(at.core, 'writer', ['write', 'read', 'Zap'], facts);
    await setRolePermissions(at.core, 'reader', ['read', 'list'], facts);
    await setUserRoles(at.core, id, ['writer', 'reader', 'Chief', 'writer'], facts);
    await setUserPermissions(at.core, id, ['read', 'audit', 'audit'], facts);
    const context = await now();
    expect(context.roles).toEqual(['writer', 'reader', 'Chief']);
    expect(context.permissions).toEqual(['Zap', 'audit', 'list', 'read', 'write']);
  });

  test('a user of nothing has empty lists', async () => {
    await addUser(at, { login: 'bea' });
    const { context } = await signIn(at.core, 'bea');
    expect([context.memberships, context.roles, context.permissions]).toEqual([[], [], []]);
    expect([context.user.organizationId, context.user.mailboxId]).toEqual([null, null]);
  });

  test('SES-10: every change binds the next check of a session that is open', async () => {
    await setRolePermissions(at.core, 'reader', ['read'], facts);
    await setUserRoles(at.core, id, ['reader'], facts);
    expect((await now()).permissions).toEqual(['read']);
    await setRolePermissions(at.core, 'reader', ['read', 'list'], facts);
    expect((await now()).permissions).toEqual(['list', 'read']);
    await rename(at.core, 'permission', 'list', 'enumerate', facts);
    await rename(at.core, 'role', 'reader', 'Leser', facts);
    expect([(await now()).roles, (await now()).permissions]).toEqual([['Leser'], ['enumerate', 'read']]);
    await setUserRoles(at.core, id, [], facts);
    expect([(await now()).roles, (await now()).permissions]).toEqual([[], []]);
    await setMembership(at.core, id, { organizationId: 5, isAdmin: false }, facts);
    expect((await now()).memberships).toHaveLength(2);
    await removeMembership(at.core, id, 5, facts);
    expect((await now()).memberships.map((one) => one.organizationId)).toEqual([10]);
  });

  test('another user’s facts never show', async () => {
    const bea = await addUser(at, { login: 'bea', place: { organizationId: 20, mailboxId: null } });
    await setUserRoles(at.core, bea, ['chief'], facts);
    await setUserPermissions(at.core, bea, ['everything'], facts);
    const context = await now();
    expect(JSON.stringify(context)).not.toMatch(/chief|everything|bea@/);
  });

  test('the primary organization is not left by the way of the others, and a taken key is refused', async () => {
    await removeMembership(at.core, id, 10, facts);
    expect((await now()).memberships.map((one) => one.organizationId)).toEqual([10]);
    const twice = createOrganization(at.core, { key: 'X', name: 'Other', enterprise: 'Trees' }, facts);
    expect(await outcomeOf(twice)).toBe('input_invalid');
  });
});
