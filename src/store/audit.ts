import { type Selectable } from 'kysely';
import { prepareNamed } from './prepared.ts';
import type { Schema } from './schema.ts';
import type { Db } from './users.ts';

export type AuditRow = Selectable<Schema['audit_events']>;

/** Takes the next place in the audit chain; until the transaction ends nobody else can. */
export async function takeAuditPlace(trx: Db): Promise<{ id: number; previousHash: string }> {
  const [head] = (await trx.executeQuery(takingPlace(trx, {}))).rows;
  if (head === undefined) throw new Error('The store has no head of the audit chain.');
  return { id: head.last_id, previousHash: head.last_hash };
}

const takingPlace = prepareNamed<object, { last_id: number; last_hash: string }>((db) =>
  db
    .updateTable('audit_head')
    .set((row) => ({ last_id: row('last_id', '+', 1) }))
    .where('id', '=', 1)
    .returning(['last_id', 'last_hash']),
);

export async function insertAuditEvent(trx: Db, row: AuditRow): Promise<void> {
  await trx.executeQuery(insertingEvent(trx, row));
  await trx.executeQuery(movingHead(trx, row));
}

const insertingEvent = prepareNamed<AuditRow>((db, value) =>
  db.insertInto('audit_events').values({
    id: value('id'),
    at: value('at'),
    event: value('event'),
    actor_user_id: value('actor_user_id'),
    target_user_id: value('target_user_id'),
    session_mark: value('session_mark'),
    address: value('address'),
    user_agent: value('user_agent'),
    request_id: value('request_id'),
    detail: value('detail'),
    previous_hash: value('previous_hash'),
    hash: value('hash'),
  }),
);

const movingHead = prepareNamed<Pick<AuditRow, 'hash'>>((db, value) =>
  db
    .updateTable('audit_head')
    .set({ last_hash: value('hash') })
    .where('id', '=', 1),
);

/** Events after `afterId` in their order, at most `limit`. */
export function listAuditEvents(db: Db, afterId: number, limit: number): Promise<AuditRow[]> {
  return db.selectFrom('audit_events').selectAll().where('id', '>', afterId).orderBy('id').limit(limit).execute();
}

/** The highest id of all events, 0 for none. */
export async function readLastAuditId(db: Db): Promise<number> {
  const row = await db.selectFrom('audit_events').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst();
  return row?.id ?? 0;
}

export async function readAuditHead(db: Db): Promise<{ last_id: number; last_hash: string }> {
  return db.selectFrom('audit_head').select(['last_id', 'last_hash']).where('id', '=', 1).executeTakeFirstOrThrow();
}
