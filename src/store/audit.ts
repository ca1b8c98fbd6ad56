import { type Selectable } from 'kysely';
import type { Schema } from './schema.ts';
import type { Db } from './users.ts';

export type AuditRow = Selectable<Schema['audit_events']>;

/** Takes the next place in the audit chain; until the transaction ends nobody else can. */
export async function takeAuditPlace(trx: Db): Promise<{ id: number; previousHash: string }> {
  const head = await trx
    .updateTable('audit_head')
    .set((row) => ({ last_id: row('last_id', '+', 1) }))
    .where('id', '=', 1)
    .returning(['last_id', 'last_hash'])
    .executeTakeFirstOrThrow();
  return { id: head.last_id, previousHash: head.last_hash };
}

export async function insertAuditEvent(trx: Db, row: AuditRow): Promise<void> {
  await trx.insertInto('audit_events').values(row).execute();
  await trx.updateTable('audit_head').set({ last_hash: row.hash }).where('id', '=', 1).execute();
}

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
