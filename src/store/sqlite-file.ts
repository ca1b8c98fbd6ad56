import { Database, type Statement } from 'bun:sqlite';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { CompiledQuery, QueryResult } from 'kysely';
import { translate } from './errors.ts';
import { checkParameters, type StoreValue } from './parameters.ts';

const statementCacheSize = 500;

/** One connection with its prepared statements. */
export type SqliteFile = {
  readonly db: Database;
  /** Throws the driver's own errors. */
  run<R>(query: CompiledQuery): QueryResult<R>;
  close(): void;
};

type OpenMode = { readonly: true } | { readwrite: true; create?: true };

/**
 * Opens a file with the settings of `pragmas`; one that is created, and its directory, are the owner's alone.
 * @throws StoreError when SQLite cannot open it
 * @throws Error when a setting cannot be made
 */
export function openFile(path: string, mode: OpenMode): SqliteFile {
  // SQLite gives the log files the mode of the database file, which it makes at the first pragma.
  const umask = process.umask(0o077);
  let db: Database | undefined;
  try {
    if ('create' in mode) mkdirSync(dirname(path), { recursive: true });
    db = new Database(path, { ...mode, strict: true });
    configure(db);
    return createFile(db);
  } catch (error) {
    db?.close();
    throw translate(error);
  } finally {
    process.umask(umask);
  }
}

/** Pragma, value, and what it must read back as. `busy_timeout` comes first: the others may meet a lock. */
const pragmas = [
  ['busy_timeout', '250', 250],
  ['journal_mode', 'wal', 'wal'],
  ['synchronous', 'full', 2],
  ['foreign_keys', 'on', 1],
  ['trusted_schema', 'off', 0],
  ['cell_size_check', 'on', 1],
  ['mmap_size', '0', 0],
  // The log's file does not stay as long as it once was.
  ['journal_size_limit', '8388608', 8_388_608],
] as const;

function configure(db: Database): void {
  refuseOldSqlite(String(readValue(db, 'select sqlite_version()')));
  for (const [name, value, expected] of pragmas) {
    readValue(db, `pragma ${name} = ${value}`);
    const actual = readValue(db, `pragma ${name}`);
    if (actual !== expected) throw new Error(`SQLite keeps ${name} at ${String(actual)}; Cardea needs ${expected}.`);
  }
}

function readValue(db: Database, sql: string): unknown {
  // A statement that is not finalized would keep the file open after `close`.
  using statement = db.prepare(sql);
  return statement.values()[0]?.[0];
}

function createFile(db: Database): SqliteFile {
  const statements = new Map<string, PreparedStatement>();
  return {
    db,
    run: <R>(query: CompiledQuery) => runStatement<R>(prepare(db, statements, query.sql), query.parameters),
    close() {
      for (const { statement } of statements.values()) statement.finalize();
      db.close();
    },
  };
}

type PreparedStatement = { readonly statement: Statement<unknown, StoreValue[]>; readonly returnsRows: boolean };

/** Bun's own cache ends at 20 statements. */
function prepare(db: Database, statements: Map<string, PreparedStatement>, sql: string): PreparedStatement {
  const known = statements.get(sql);
  if (known !== undefined) return known;
  const statement = db.prepare<unknown, StoreValue[]>(sql);
  const prepared = { statement, returnsRows: statement.columnNames.length > 0 };
  statements.set(sql, prepared);
  if (statements.size > statementCacheSize) dropOldest(statements);
  return prepared;
}

function dropOldest(statements: Map<string, PreparedStatement>): void {
  for (const [sql, { statement }] of statements) {
    statement.finalize();
    statements.delete(sql);
    return;
  }
}

/** `all` also for one row: `get` leaves the statement unfinished, which pins the snapshot and holds back checkpoints. */
function runStatement<R>(prepared: PreparedStatement, parameters: readonly unknown[]): QueryResult<R> {
  const { statement, returnsRows } = prepared;
  const values = checkParameters(parameters);
  if (returnsRows) return { rows: statement.all(...values) as R[] };
  const { changes } = statement.run(...values);
  return { numAffectedRows: BigInt(changes), rows: [] };
}

/** @throws Error for a version that can damage a write-ahead log when it starts it anew (fixed in 3.51.3) */
export function refuseOldSqlite(version: string): void {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  // `!(…)` also refuses a version that is not three numbers.
  if (!((major * 1000 + minor) * 1000 + patch >= 3_051_003)) {
    throw new Error(`SQLite ${version} is too old: Cardea needs 3.51.3 or later.`);
  }
}
