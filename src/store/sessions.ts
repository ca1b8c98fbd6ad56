import { type Selectable, sql } from 'kysely';
import { prepare } from './prepared.ts';
import type { SessionsTable } from './schema.ts';
import { type Db, selectUser, type UserRow } from './users.ts';

/** A session with its user's present facts and the store's present epoch: all that a check judges. */
export type SessionRow = Selectable<SessionsTable> & UserRow & { current_epoch: number };

function selectSession(db: Db) {
  return selectUser(db)
    .innerJoin('sessions', 'sessions.user_id', 'users.id')
    .innerJoin('counters as epoch_counter', (join) => join.on('epoch_counter.name', '=', sql.lit('session_epoch')))
    .selectAll('sessions')
    .select('epoch_counter.value as current_epoch');
}

/** By the public id, which a JWT names as `sid`. */
export const sessionById = prepare('text', (db, id) => selectSession(db).where('sessions.id', '=', id));

/** By the digest of an opaque secret. */
export const sessionBySecret = prepare('text', (db, digest) =>
  selectSession(db).where('sessions.secret_digest', '=', digest),
);

/** Reads a session so that no other transaction changes it before this one ends. */
export async function lockSession(trx: Db, id: string): Promise<SessionRow | undefined> {
  await trx
    .updateTable('sessions')
    .set((row) => ({ created_at: row.ref('created_at') }))
    .where('id', '=', id)
    .execute();
  return (await trx.executeQuery(sessionById(trx, id))).rows[0];
}

export async function insertSession(trx: Db, session: Omit<SessionsTable, 'epoch'>): Promise<void> {
  const epoch = await trx
    .selectFrom('counters')
    .select('value')
    .where('name', '=', 'session_epoch')
    .executeTakeFirstOrThrow();
  await trx
    .insertInto('sessions')
    .values({ ...session, epoch: epoch.value })
    .execute();
}

/** The token that lives from now on, and the one it takes the place of. */
export type Rotation = Pick<
  SessionsTable,
  'live_jti' | 'live_issued_at' | 'live_expires_at' | 'live_key_id' | 'previous_jti' | 'rotated_ms' | 'last_used_at'
>;

export async function rotateToken(trx: Db, id: string, rotation: Rotation): Promise<void> {
  await trx.updateTable('sessions').set(rotation).where('id', '=', id).execute();
}

/** Records a use; never backwards, never on an ended session. */
export async function recordUse(db: Db, id: string, usedAt: number): Promise<void> {
  await db
    .updateTable('sessions')
    .set({ last_used_at: usedAt })
    .where('id', '=', id)
    .where('last_used_at', '<', usedAt)
    .where('ended_at', 'is', null)
    .execute();
}

export type SessionEnd = { readonly endedAt: number; readonly reason: string };

/** @returns whether the session was there and not ended yet */
export async function endSession(trx: Db, id: string, end: SessionEnd): Promise<boolean> {
  const result = await trx
    .updateTable('sessions')
    .set({ ended_at: end.endedAt, end_reason: end.reason })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Ends all sessions of a user, but for one if named. @returns how many */
export async function endUserSessions(trx: Db, userId: number, end: SessionEnd, exceptId?: string): Promise<number> {
  let query = trx
    .updateTable('sessions')
    .set({ ended_at: end.endedAt, end_reason: end.reason })
    .where('user_id', '=', userId)
    .where('ended_at', 'is', null);
  if (exceptId !== undefined) query = query.where('id', '<>', exceptId);
  return Number((await query.executeTakeFirst()).numUpdatedRows);
}

/** Carries the user's sessions of the generation before, or one of them, over into a new one. */
export async function renewGeneration(trx: Db, userId: number, generation: number, id?: string): Promise<void> {
  let query = trx
    .updateTable('sessions')
    .set({ generation })
    .where('user_id', '=', userId)
    .where('generation', '=', generation - 1);
  if (id !== undefined) query = query.where('id', '=', id);
  await query.execute();
}

/** Ends the sessions that were opened with one of these API keys. */
export async function endSessionsOfKeys(trx: Db, keyIds: readonly number[], end: SessionEnd): Promise<void> {
  if (keyIds.length === 0) return;
  await trx
    .updateTable('sessions')
    .set({ ended_at: end.endedAt, end_reason: end.reason })
    .where('api_key_id', 'in', keyIds)
    .where('ended_at', 'is', null)
    .execute();
}

/**
 * In SQL what of a session's life its own row tells: not ended, and before each of its limits. Generation, epoch and the user's
 * status are for `isSessionLive` to judge.
 */
function mayLiveAt(table: string, at: number) {
  const column = (name: keyof SessionsTable) => sql.ref(`${table}.${name}`);
  return sql<boolean>`(${column('ended_at')} is null and ${column('absolute_expires_at')} > ${at}
    and (${column('live_expires_at')} is null or ${column('live_expires_at')} > ${at})
    and (${column('idle_seconds')} is null or ${column('last_used_at')} + ${column('idle_seconds')} > ${at}))`;
}

/**
 * Ends the user's oldest sessions until at most `keep` that may still live are left.
 * Sessions past a limit of theirs do not count, though their rows are not ended yet.
 */
export async function endOldestSessions(trx: Db, userId: number, keep: number, end: SessionEnd): Promise<void> {
  const surplus = trx
    .selectFrom('sessions as old')
    .select('old.id')
    .where('old.user_id', '=', userId)
    .where(mayLiveAt('old', end.endedAt))
    .orderBy('old.created_at', 'desc')
    .orderBy('old.id', 'desc')
    .offset(keep)
    .limit(10_000);
  await trx
    .updateTable('sessions')
    .set({ ended_at: end.endedAt, end_reason: end.reason })
    .where('id', 'in', surplus)
    .execute();
}

export type SessionListing = {
  readonly userId: number | undefined;
  /** Leaves out what ended or reached a limit by then. */
  readonly liveAt: number | undefined;
  readonly limit: number;
};

/** Sessions of a user (or of everybody), newest first, ended ones included while their rows are kept. */
export function listSessions(db: Db, { userId, liveAt, limit }: SessionListing): Promise<SessionRow[]> {
  let query = selectSession(db).orderBy('sessions.created_at', 'desc').orderBy('sessions.id').limit(limit);
  if (userId !== undefined) query = query.where('sessions.user_id', '=', userId);
  if (liveAt !== undefined) query = query.where(mayLiveAt('sessions', liveAt));
  return query.execute();
}

/** Deletes at most `limit` rows whose session ended or ran out before `before`. @returns how many */
export async function sweepSessions(trx: Db, before: number, limit: number): Promise<number> {
  const dead = trx
    .selectFrom('sessions as dead')
    .select('dead.id')
    .where((where) => where.or([where('dead.ended_at', '<', before), where('dead.absolute_expires_at', '<', before)]))
    .limit(limit);
  const result = await trx.deleteFrom('sessions').where('id', 'in', dead).executeTakeFirst();
  return Number(result.numDeletedRows);
}
