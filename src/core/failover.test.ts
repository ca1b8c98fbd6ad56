import { afterEach, beforeEach, expect, test } from 'bun:test';
import { sql } from 'kysely';
import { isLive, openTestCore, signIn, type TestCore, webPolicy } from '../../tests/support/core.ts';
import { addUser } from '../../tests/support/users.ts';
import { transact } from '../store/open.ts';
import { type Core, listAudit } from './index.ts';

let first: TestCore;
beforeEach(async () => {
  first = await openTestCore({ engine: 'postgres' });
  await addUser(first, { login: 'anna' });
}, 30_000);
afterEach(() => first.close());

/** As on a server promoted from a standby: what the database remembers is the timeline of the one before. */
async function changeTimeline({ store }: Core): Promise<void> {
  await store.db.updateTable('meta').set({ value: '0000ABCD' }).where('name', '=', 'timeline').execute();
}

/** Every connection on which checks are read is lost; the next ones are new. */
async function loseConnections({ store }: Core): Promise<void> {
  await transact(store, async (trx) => {
    const { rows } = await sql<{ pid: number }>`select pid from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`.execute(trx);
    for (const { pid } of rows) await sql`select pg_terminate_backend(${pid}::integer, 800)`.execute(trx);
  });
}

async function whenAnswered(core: Core, token: string): Promise<boolean> {
  for (;;) {
    const live = await isLive(core, token).catch(() => undefined);
    if (live !== undefined) return live;
    await Bun.sleep(20);
  }
}

async function endings(core: Core): Promise<(string | null)[]> {
  const events = await listAudit(core, 0, 1000);
  return events.filter(({ event }) => event === 'store.restored').map(({ detail }) => detail);
}

test('P7: after a failover that happened between two starts every session of before is dead, once', async () => {
  const { credential } = await signIn(first.core, 'anna');
  await changeTimeline(first.core);
  const [next, another] = await Promise.all([first.openAnother(), first.openAnother()]);
  next.keys.replace(first.core.keys);
  expect(await isLive(next, credential)).toBe(false);
  expect(await endings(next)).toEqual(['{"cause":"failed_over"}']);
  expect(first.log.filter((line) => line.includes('"cause":"failed_over"')).length).toBe(1);
  another.keys.replace(next.keys);
  const { credential: later } = await signIn(next, 'anna', { policy: webPolicy });
  expect(await isLive(another, later)).toBe(true);
});

test('P7: over connections made after a failover no session of before is live, and new ones are', async () => {
  const { credential } = await signIn(first.core, 'anna');
  expect(await isLive(first.core, credential)).toBe(true);
  await changeTimeline(first.core);
  await loseConnections(first.core);
  expect(await whenAnswered(first.core, credential)).toBe(false);
  expect(await endings(first.core)).toEqual(['{"cause":"failed_over"}']);
  const { credential: later } = await signIn(first.core, 'anna');
  expect(await isLive(first.core, later)).toBe(true);
});

test('P4, P7: connections that are lost without a failover end nothing', async () => {
  const { credential } = await signIn(first.core, 'anna');
  await loseConnections(first.core);
  expect(await whenAnswered(first.core, credential)).toBe(true);
  expect(await endings(first.core)).toEqual([]);
});
