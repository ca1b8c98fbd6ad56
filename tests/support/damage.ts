import { Database } from 'bun:sqlite';
import { readFileSync, writeFileSync } from 'node:fs';

const pageBytes = 4096;

/** Overwrites the first page of a table that neither a start nor a restore reads. */
export function damageFile(file: string): void {
  const copy = new Database(file, { readonly: true });
  const found = copy.query<[number], []>("select rootpage from sqlite_schema where name = 'permissions'").values();
  copy.close();
  const page = Number(found[0]?.[0]);
  const bytes = readFileSync(file);
  bytes.fill(0, (page - 1) * pageBytes, page * pageBytes);
  writeFileSync(file, bytes);
}
