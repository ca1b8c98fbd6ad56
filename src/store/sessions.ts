import { type RawBuilder, type Selectable, sql } from 'kysely';
import { prepare, prepareNamed } from './prepared.ts';
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

/** Writes a session of the store's present epoch. */
export async function insertSession(trx: Db, session: Omit<SessionsTable, 'epoch'>): Promise<void> {
  await trx.executeQuery(insertingSession(trx, session));
}

const insertingSession = prepareNamed<Omit<SessionsTable, 'epoch'>>((db, value) =>
  db.insertInto('sessions').values((row) => ({
    id: value('id'),
    user_id: value('user_id'),
    generation: value('generation'),
    entry: value('entry'),
    secret_digest: value('secret_digest'),
    live_jti: value('live_jti'),
    live_issued_at: value('live_issued_at'),
    live_expires_at: value('live_expires_at'),
    live_key_id: value('live_key_id'),
    previous_jti: value('previous_jti'),
    rotated_ms: value('rotated_ms'),
    api_key_id: value('api_key_id'),
    epoch: row.selectFrom('counters').select('value').where('name', '=', 'session_epoch'),
    idle_seconds: value('idle_seconds'),
    created_at: value('created_at'),
    last_used_at: value('last_used_at'),
    absolute_expires_at: value('absolute_expires_at'),
    ended_at: value('ended_at'),
    end_reason: value('end_reason'),
    address: value('address'),
    user_agent: value('user_agent'),
    sender: value('sender'),
  })),
);

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

/** Ends every session there is, logins in flight included, whatever their rows say: they are of an epoch before. */
export async function raiseEpoch(trx: Db): Promise<void> {
  await trx
    .updateTable('counters')
    .set((row) => ({ value: sql<number>`${row.ref('value')} + 1` }))
    .where('name', '=', 'session_epoch')
    .execute();
}

/** The second at which the last token of all sessions that have not ended expires; 0 when there is none. */
export async function readLastTokenEnd(db: Db): Promise<number> {
  const row = await db
    .selectFrom('sessions')
    .select((select) => select.fn.max('live_expires_at').as('end'))
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return row?.end ?? 0;
}

/** Ends the sessions that were opened with one of these API keys. @returns how many */
export async function endSessionsOfKeys(trx: Db, keyIds: readonly number[], end: SessionEnd): Promise<number> {
  if (keyIds.length === 0) return 0;
  const result = await trx
    .updateTable('sessions')
    .set({ ended_at: end.endedAt, end_reason: end.reason })
    .where('api_key_id', 'in', keyIds)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}

/**
 * In SQL what of a session's life its own row tells: not ended, and before each of its limits. Generation, epoch and the user's
 * status are for `isSessionLive` to judge.
 */
function mayLiveAt(table: string, at: number | RawBuilder<number>) {
  const column = (name: keyof SessionsTable) => sql.ref(`${table}.${name}`);
  return sql<boolean>`(${column('ended_at')} is null and ${column('absolute_expires_at')} > ${at}
    and (${column('live_expires_at')} is null or ${column('live_expires_at')} > ${at})
    and (${column('idle_seconds')} is null or ${column('last_used_at')} + ${column('idle_seconds')} > ${at}))`;
}

/**
 * Ends the user's oldest sessions until at most `keep` that may still live are left.
 * Sessions past a limit of theirs do not count, though their rows are not ended yet.
 * @returns how many
 */
export async function endOldestSessions(trx: Db, userId: number, keep: number, end: SessionEnd): Promise<number> {
  const { numAffectedRows } = await trx.executeQuery(endingOldest(trx, { userId, keep, ...end }));
  return Number(numAffectedRows ?? 0n);
}

const endingOldest = prepareNamed<{ userId: number; keep: number } & SessionEnd>((db, value) => {
  const surplus = db
    .selectFrom('sessions as old')
    .select('old.id')
    .where('old.user_id', '=', value('userId'))
    .where(mayLiveAt('old', value('endedAt')))
    .orderBy('old.created_at', 'desc')
    .orderBy('old.id', 'desc')
    .offset(value('keep'))
    .limit(10_000);
  return db
    .updateTable('sessions')
    .set({ ended_at: value('endedAt'), end_reason: value('reason') })
    .where('id', 'in', surplus);
});

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
