import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  callerFrom,
  openTestCore,
  outcomeOf,
  restPolicy,
  signIn,
  tally,
  type TestCore,
} from '../../tests/support/core.ts';
import { engines } from '../../tests/support/server.ts';
import { addUser, testPassword } from '../../tests/support/users.ts';
import {
  type Actor,
  changePassword,
  changeRole,
  createOrganization,
  createUser,
  deleteUser,
  endAll,
  endOne,
  endOwnSession,
  generateApiKey,
  listAudit,
  refreshSession,
  resetUser,
  revokeApiKey,
  setMembership,
  setPassword,
  setStatus,
  setUserRoles,
  updateProfile,
  verifyAudit,
} from './index.ts';

const caller = { address: '198.51.100.7', userAgent: 'an agent', requestId: 'request-1' };
const system: Actor = 'system';
const grace = { tokenSeconds: 3600, graceSeconds: 10 };

describe.each(engines.map((engine) => [engine]))('the audit on %s', (engine) => {
  let at: TestCore;
  beforeEach(async () => {
    at = await openTestCore({ engine });
  }, 30_000);
  afterEach(() => at.close());

  /** The events that the work leaves behind. */
  async function eventsOf(work: () => Promise<unknown>) {
    const before = (await listAudit(at.core, 0, 1000)).length;
    await work();
    return (await listAudit(at.core, 0, 1000)).slice(before);
  }

  test('I7, LOG-01: one event for each change, with who, whom, when, where and the request', async () => {
    const { core } = at;
    const root = await addUser(at, { login: 'root', authLevel: 'Root' });
    const id = await addUser(at, { login: 'ada' });
    await createOrganization(core, { key: 'X', name: 'X', enterprise: 'X' }, { actorId: null, caller });
    const { context: rootContext } = await signIn(core, 'root', { caller });
    let session = await signIn(core, 'ada', { caller });
    const own = { currentPassword: testPassword, newPassword: 'nine white swans', keepSessions: false };
    const [place, noPlace] = [
      { organizationId: 1, isAdmin: true },
      { organizationId: null, mailboxId: null },
    ];
    const names = { email: 'new@example.com', firstName: '', lastName: '' };
    const bea = {
      ...names,
      login: 'bea',
      authLevel: 'General' as const,
      place: noPlace,
      password: 'eight black swans',
    };
    const changes: [event: string, actor: number | null, work: () => Promise<unknown>][] = [
      ['login.succeeded', id, async () => (session = await signIn(core, 'ada', { caller }))],
      ['login.failed', null, () => outcomeOf(signIn(core, 'ada', { caller, password: 'wrong wrong wrong' }))],
      ['login.failed', null, () => outcomeOf(signIn(core, 'nobody', { caller }))],
      ['session.refreshed', id, async () => (session = await refreshSession(core, session.credential, grace, caller))],
      ['password.changed', id, () => changePassword(core, session.context, own, caller)],
      ['session.ended', id, () => endOwnSession(core, session.context, caller)],
      ['password.set', root, () => setPassword(core, rootContext, id, 'seven grey swans', caller)],
      ['api_key.generated', root, () => generateApiKey(core, rootContext, id, caller)],
      ['api_key.revoked', root, () => revokeApiKey(core, rootContext, id, caller)],
      ['sessions.ended_all', null, () => endAll(core, system, id, caller)],
      ['user.reset', root, () => resetUser(core, rootContext, id, caller)],
      ['user.updated', root, () => updateProfile(core, rootContext, id, { firstName: 'Ada' }, caller)],
      ['user.role_changed', root, () => changeRole(core, rootContext, id, { authLevel: 'TPUser' }, caller)],
      ['user.status_changed', root, () => setStatus(core, rootContext, id, 'Suspended', caller)],
      ['user.created', root, () => createUser(core, rootContext, bea, caller)],
      ['directory.changed', root, () => setMembership(core, id, place, { actorId: root, caller })],
      ['directory.changed', null, () => setUserRoles(core, id, ['agent'], { actorId: null, caller })],
      ['user.deleted', root, () => deleteUser(core, rootContext, id, caller)],
    ];
    for (const [event, actor, work] of changes) {
      at.clock.advance(1);
      const events = await eventsOf(work);
      expect(events.map((row) => row.event)).toEqual([event]);
      expect(events[0]).toMatchObject({
        at: at.clock.nowMs / 1000,
        actor_user_id: actor,
        address: '198.51.100.7',
        user_agent: 'an agent',
        request_id: 'request-1',
      });
    }
    expect(await verifyAudit(core)).toBeNull();
  });

  test('TOK-05: a token used again after the grace leaves one alarm', async () => {
    const id = await addUser(at, { login: 'ada' });
    const { credential } = await signIn(at.core, 'ada', { policy: restPolicy });
    await refreshSession(at.core, credential, grace, caller);
    at.clock.advance(11);
    const events = await eventsOf(() => outcomeOf(refreshSession(at.core, credential, grace, caller)));
    expect(events.map((row) => [row.event, row.target_user_id])).toEqual([['session.reuse_detected', id]]);
  });

  test('what changes nothing leaves no event', async () => {
    const id = await addUser(at, { login: 'ada' });
    const { context } = await signIn(at.core, 'ada');
    expect(await eventsOf(() => revokeApiKey(at.core, system, id, caller))).toEqual([]);
    expect(await eventsOf(() => endOne(at.core, 'no-such-session', { actorId: null, caller }))).toEqual([]);
    await endOwnSession(at.core, context, caller);
    expect(await eventsOf(() => outcomeOf(endOwnSession(at.core, context, caller)))).toEqual([]);
    expect(await eventsOf(() => outcomeOf(setStatus(at.core, context, 99, 'Suspended', caller)))).toEqual([]);
  });

  test('LOG-02, I03: no secret in it, and what a caller sends is cut at 256 characters', async () => {
    const id = await addUser(at, { login: 'ada' });
    const long = { ...callerFrom(), userAgent: 'x'.repeat(15_000) };
    const { credential } = await signIn(at.core, 'ada', { caller: long });
    const key = await generateApiKey(at.core, system, id, long);
    await outcomeOf(signIn(at.core, 'somebody-secret', { password: 'a typed password' }));
    const rows = await listAudit(at.core, 0, 1000);
    for (const row of rows) expect(row.user_agent.length).toBeLessThanOrEqual(256);
    const text = JSON.stringify(rows);
    for (const secret of [testPassword, 'a typed password', 'somebody-secret', key, credential.split('.')[2] ?? '']) {
      expect(text).not.toContain(secret);
    }
  });

  test('I06, LOG-05: verification names the first event that was edited, removed or slipped in, in any column', async () => {
    const id = await addUser(at, { login: 'ada' });
    for (let count = 0; count < 8; count += 1)
      await setUserRoles(at.core, id, [`role-${count}`], { actorId: 1, caller });
    const { db } = at.core.store;
    const rows = await listAudit(at.core, 0, 1000);
    const [fifth] = rows.slice(4);
    if (fifth === undefined) throw new Error('no fifth event');
    const restore = async () => {
      await db.deleteFrom('audit_events').execute();
      for (const row of rows) await db.insertInto('audit_events').values(row).execute();
      expect(await verifyAudit(at.core)).toBeNull();
    };
    const edits = {
      at: fifth.at + 1,
      event: 'user.deleted',
      actor_user_id: 2,
      target_user_id: null,
      session_mark: '00000000',
      address: '203.0.113.1',
      user_agent: 'another',
      request_id: 'another',
      detail: '{}',
      previous_hash: 'f'.repeat(64),
      hash: 'f'.repeat(64),
    };
    for (const [column, value] of Object.entries(edits)) {
      await db
        .updateTable('audit_events')
        .set({ [column]: value })
        .where('id', '=', 5)
        .execute();
      expect([column, await verifyAudit(at.core)]).toEqual([column, 5]);
      await restore();
    }
    await db.deleteFrom('audit_events').where('id', '=', 5).execute();
    expect(await verifyAudit(at.core)).toBe(5);
    await restore();
    await db.deleteFrom('audit_events').where('id', '=', rows.length).execute();
    expect(await verifyAudit(at.core)).toBe(rows.length);
    await restore();
    await db.deleteFrom('audit_events').execute();
    expect(await verifyAudit(at.core)).toBe(1);
    await restore();
    // Two events change places.
    await db.updateTable('audit_events').set({ id: 1000 }).where('id', '=', 5).execute();
    await db.updateTable('audit_events').set({ id: 5 }).where('id', '=', 6).execute();
    await db.updateTable('audit_events').set({ id: 6 }).where('id', '=', 1000).execute();
    expect(await verifyAudit(at.core)).toBe(5);
    await restore();
    await db
      .insertInto('audit_events')
      .values({ ...fifth, id: rows.length + 1 })
      .execute();
    expect(await verifyAudit(at.core)).toBe(rows.length + 1);
  });

  test('LOG-05: 40 changes in parallel make one whole chain without a gap', async () => {
    const id = await addUser(at, { login: 'ada' });
    const work = (_: unknown, index: number) =>
      setUserRoles(at.core, id, [`role-${index % 3}`], { actorId: 1, caller });
    let made = 0;
    const events = await eventsOf(async () => {
      made = (await tally(Array.from({ length: 40 }, work)))['ok'] ?? 0;
    });
    expect(made).toBeGreaterThan(5);
    expect(events).toHaveLength(made);
    const ids = (await listAudit(at.core, 0, 1000)).map((row) => row.id);
    expect(ids).toEqual(ids.map((_, index) => index + 1));
    expect(await verifyAudit(at.core)).toBeNull();
  });
});
