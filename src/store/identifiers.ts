import { type Kysely, sql } from 'kysely';
import type { Schema } from './schema.ts';

type NumberedTable = 'enterprises' | 'organizations' | 'mailboxes' | 'users' | 'roles' | 'permissions' | 'api_keys';

/** The next identifier of a table, from 1; one that was given out never comes again, also after the row is gone. */
export async function nextIdentifier(trx: Kysely<Schema>, table: NumberedTable): Promise<number> {
  const row = await trx
    .insertInto('counters')
    .values({ name: table, value: 1 })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: sql`counters.value + 1` }))
    .returning('value')
    .executeTakeFirstOrThrow();
  return row.value;
}

/** Marks an identifier that was chosen from outside as given out. */
export async function claimIdentifier(trx: Kysely<Schema>, table: NumberedTable, id: number): Promise<void> {
  await trx
    .insertInto('counters')
    .values({ name: table, value: id })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: id }).where('counters.value', '<', id))
    .execute();
}
