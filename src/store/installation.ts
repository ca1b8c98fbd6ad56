import type { Db } from './users.ts';

/** What a store says of itself for as long as it lives. */
export type InstallationRow = { readonly id: string; readonly startedMs: number };

const idName = 'installation_id';
const startName = 'installation_started_ms';

/** Gives a new store its identity; one that has it keeps it. */
export async function ensureInstallation(trx: Db, made: InstallationRow): Promise<void> {
  const rows = [
    { name: idName, value: made.id },
    { name: startName, value: String(made.startedMs) },
  ];
  await trx
    .insertInto('meta')
    .values(rows)
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
}

export async function readInstallation(db: Db): Promise<InstallationRow> {
  const rows = await db.selectFrom('meta').selectAll().where('name', 'in', [idName, startName]).execute();
  const value = (name: string) => rows.find((row) => row.name === name)?.value ?? '';
  return { id: value(idName), startedMs: Number(value(startName)) };
}
