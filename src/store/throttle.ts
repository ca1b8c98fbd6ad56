import { type Selectable, sql } from 'kysely';
import { prepareNamed } from './prepared.ts';
import type { Schema } from './schema.ts';
import type { Db } from './users.ts';

export type ThrottleRow = Selectable<Schema['throttle']>;
export type KnownAddressRow = Selectable<Schema['known_addresses']>;

/** Reads what was counted for a subject so that no other transaction counts before this one ends. */
export async function lockSubject(trx: Db, subject: string, nowMs: number): Promise<ThrottleRow> {
  const { rows } = await trx.executeQuery(lockingSubject(trx, { subject, nowMs }));
  return rows[0] as ThrottleRow;
}

const lockingSubject = prepareNamed<{ subject: string; nowMs: number }, ThrottleRow>((db, value) =>
  db
    .insertInto('throttle')
    .values({ subject: value('subject'), failures: 0, since_ms: value('nowMs'), last_ms: value('nowMs') })
    .onConflict((conflict) => conflict.column('subject').doUpdateSet({ failures: sql`throttle.failures` }))
    .returningAll(),
);

/** How many names and addresses have something counted. */
export async function countSubjects(db: Db): Promise<number> {
  const row = await db
    .selectFrom('throttle')
    .select((select) => select.fn.countAll().as('rows'))
    .executeTakeFirst();
  return Number(row?.rows ?? 0);
}

export async function writeSubject(trx: Db, row: ThrottleRow): Promise<void> {
  await trx.executeQuery(writingSubject(trx, row));
}

const writingSubject = prepareNamed<ThrottleRow>((db, value) =>
  db
    .updateTable('throttle')
    .set({ failures: value('failures'), since_ms: value('since_ms'), last_ms: value('last_ms') })
    .where('subject', '=', value('subject')),
);

export async function forgetSubject(trx: Db, subject: string): Promise<void> {
  await trx.executeQuery(forgettingSubject(trx, { subject }));
}

const forgettingSubject = prepareNamed<{ subject: string }>((db, value) =>
  db.deleteFrom('throttle').where('subject', '=', value('subject')),
);

/** Takes back one counted try that turned out right. */
export async function refundSubject(trx: Db, subject: string): Promise<void> {
  await trx.executeQuery(refundingSubject(trx, { subject }));
}

const refundingSubject = prepareNamed<{ subject: string }>((db, value) =>
  db
    .updateTable('throttle')
    .set((row) => ({ failures: row('failures', '-', 1) }))
    .where('subject', '=', value('subject'))
    .where('failures', '>', 0),
);

export function readKnownAddress(db: Db, userId: number, address: string): Promise<KnownAddressRow | undefined> {
  return db
    .selectFrom('known_addresses')
    .selectAll()
    .where('user_id', '=', userId)
    .where('address', '=', address)
    .executeTakeFirst();
}

export async function recordKnownTry(trx: Db, userId: number, address: string, triedMs: number): Promise<void> {
  await trx
    .updateTable('known_addresses')
    .set({ last_try_ms: triedMs })
    .where('user_id', '=', userId)
    .where('address', '=', address)
    .execute();
}

/** Remembers that the user signed in from here. */
export async function recordKnownLogin(trx: Db, userId: number, address: string, loginAt: number): Promise<void> {
  await trx.executeQuery(recordingKnownLogin(trx, { userId, address, loginAt }));
}

const recordingKnownLogin = prepareNamed<{ userId: number; address: string; loginAt: number }>((db, value) =>
  db
    .insertInto('known_addresses')
    .values({ user_id: value('userId'), address: value('address'), last_try_ms: 0, last_login_at: value('loginAt') })
    .onConflict((conflict) =>
      conflict.columns(['user_id', 'address']).doUpdateSet({ last_login_at: value('loginAt') }),
    ),
);

/** Deletes at most `limit` counters that stood still since `beforeMs`. @returns how many */
export async function sweepThrottle(trx: Db, beforeMs: number, limit: number): Promise<number> {
  const old = trx.selectFrom('throttle as old').select('old.subject').where('old.last_ms', '<', beforeMs).limit(limit);
  const result = await trx.deleteFrom('throttle').where('subject', 'in', old).executeTakeFirst();
  return Number(result.numDeletedRows);
}

/** Forgets at most `limit` addresses from which nobody signed in since `before`. @returns how many */
export async function sweepKnownAddresses(trx: Db, before: number, limit: number): Promise<number> {
  const old = await trx
    .selectFrom('known_addresses')
    .select(['user_id', 'address'])
    .where('last_login_at', '<', before)
    .limit(limit)
    .execute();
  for (const { user_id, address } of old) {
    await trx.deleteFrom('known_addresses').where('user_id', '=', user_id).where('address', '=', address).execute();
  }
  return old.length;
}

/** Deletes counters beyond `keep`, at most `limit`: those with the fewest failures, the longest unmoved first. @returns how many */
export async function boundThrottle(trx: Db, keep: number, limit: number): Promise<number> {
  const { count } = await trx
    .selectFrom('throttle')
    .select(sql<number>`cast(count(*) as integer)`.as('count'))
    .executeTakeFirstOrThrow();
  if (count <= keep) return 0;
  const old = trx
    .selectFrom('throttle as old')
    .select('old.subject')
    .orderBy('old.failures')
    .orderBy('old.last_ms')
    .limit(Math.min(limit, count - keep));
  const result = await trx.deleteFrom('throttle').where('subject', 'in', old).executeTakeFirst();
  return Number(result.numDeletedRows);
}
