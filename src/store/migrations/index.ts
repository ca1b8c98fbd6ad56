import { type Kysely, sql } from 'kysely';
import type { Store } from '../open.ts';
import { transact } from '../open.ts';
import type { Schema } from '../schema.ts';
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
 * Brings the store to the current schema, all that is missing in one transaction. On SQLite the caller holds `cardea.lock`; on
 * PostgreSQL an advisory lock lets one of several starting instances do the work.
 * @throws Error when the store was written by a newer Cardea
 */
export async function migrate(store: Store): Promise<void> {
  const types: ColumnTypes =
    store.engine === 'sqlite' ? { instant: 'integer', strict: ' strict' } : { instant: 'double precision', strict: '' };
  await transact(store, async (trx) => {
    if (store.engine === 'postgres') await sql`select pg_advisory_xact_lock(620117, 1)`.execute(trx);
    await sql`create table if not exists meta (name text primary key, value text not null)`.execute(trx);
    const from = await readNumber(trx);
    requireKnown(from);
    for (const migration of migrations.slice(from)) {
      for (const statement of migration(types)) await sql.raw(statement).execute(trx);
    }
    await trx
      .insertInto('meta')
      .values({ name: 'schema', value: String(currentSchema) })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: String(currentSchema) }))
      .execute();
  });
}

/**
 * @throws Error with a sentence for the operator when this program cannot work with the store as it is
 */
export async function requireCurrentSchema(store: Store): Promise<void> {
  const schema = await readSchema(store);
  requireKnown(schema);
  if (schema < currentSchema) {
    throw new Error(`The store has schema ${schema}, this program needs ${currentSchema}; start the server once.`);
  }
}

function requireKnown(schema: number): void {
  if (schema <= currentSchema) return;
  throw new Error('The store was written by a newer version of Cardea; start that version, or restore a backup.');
}

/** Number of the last migration applied, 0 for an empty store. */
export async function readSchema(store: Store): Promise<number> {
  return (await hasMeta(store)) ? readNumber(store.lists) : 0;
}

/** Kysely's own introspection of PostgreSQL binds a boolean, which no statement of ours may. */
async function hasMeta({ engine, lists }: Store): Promise<boolean> {
  if (engine === 'sqlite') return (await lists.introspection.getTables()).some(({ name }) => name === 'meta');
  const { rows } = await sql<{ known: boolean }>`select to_regclass('meta') is not null as known`.execute(lists);
  return rows[0]?.known === true;
}

async function readNumber(db: Kysely<Schema>): Promise<number> {
  const row = await db.selectFrom('meta').select('value').where('name', '=', 'schema').executeTakeFirst();
  return Number(row?.value ?? 0);
}
