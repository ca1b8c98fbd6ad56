import { sql } from 'kysely';
import type { Store } from '../open.ts';
import { transact } from '../open.ts';
import { firstSchema } from './0001-first-schema.ts';

/** The few words in which the two databases' table definitions differ. */
export type ColumnTypes = {
  /** A whole number of seconds or milliseconds, too large for 32 bits, read back as a plain number. */
  readonly instant: string;
  /** SQLite checks column types only in STRICT tables. */
  readonly strict: string;
};

/** In order; a migration that was published is never changed, only followed. */
const migrations: readonly ((types: ColumnTypes) => string[])[] = [firstSchema];

/** The schema this program was written for. */
export const currentSchema = migrations.length;

/**
 * Brings the store to the current schema, each migration in a transaction of its own. On SQLite the caller holds `cardea.lock`;
 * on PostgreSQL an advisory lock lets one of several starting instances do the work.
 * @throws Error when the store was written by a newer Cardea
 */
export async function migrate(store: Store): Promise<void> {
  await sql`create table if not exists meta (name text primary key, value text not null)`.execute(store.db);
  for (let number = await readSchema(store); number < currentSchema; number = await readSchema(store)) {
    await applyOne(store, number);
  }
  if ((await readSchema(store)) > currentSchema) {
    throw new Error('The store was written by a newer version of Cardea; start that version, or restore a backup.');
  }
}

/** Number of the last migration applied, 0 for an empty store. */
export async function readSchema(store: Store): Promise<number> {
  const row = await store.db.selectFrom('meta').select('value').where('name', '=', 'schema').executeTakeFirst();
  return Number(row?.value ?? 0);
}

async function applyOne(store: Store, from: number): Promise<void> {
  const types: ColumnTypes =
    store.engine === 'sqlite' ? { instant: 'integer', strict: ' strict' } : { instant: 'double precision', strict: '' };
  await transact(store, async (trx) => {
    if (store.engine === 'postgres') await sql`select pg_advisory_xact_lock(620117, 1)`.execute(trx);
    const row = await trx.selectFrom('meta').select('value').where('name', '=', 'schema').executeTakeFirst();
    if (Number(row?.value ?? 0) !== from) return;
    for (const statement of migrations[from]?.(types) ?? []) await sql.raw(statement).execute(trx);
    await trx
      .insertInto('meta')
      .values({ name: 'schema', value: String(from + 1) })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: String(from + 1) }))
      .execute();
  });
}
