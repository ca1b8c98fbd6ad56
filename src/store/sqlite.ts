/**
 * A Kysely dialect over `bun:sqlite`. Kysely's own says plain `begin` and goes on after SQLite has rolled a transaction back by
 * itself, so that later statements commit outside of it.
 */
import { constants, type Database } from 'bun:sqlite';
import { existsSync, statSync } from 'node:fs';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { isStoreTrouble, translate } from './errors.ts';
import type { Health } from './health.ts';
import { refuseInsideTransaction, refuseSettings, refuseStream } from './guard.ts';
import { createMutex, type Mutex } from './mutex.ts';
import { openFile, type SqliteFile } from './sqlite-file.ts';

/** An open connection. Whoever opened it keeps it: one that nobody refers to is collected, and its locks are lost. */
type SqliteHandle = { readonly dialect: Dialect; close(keepLog: boolean): Promise<void> };

export type SqliteWriter = SqliteHandle & {
  /** Moves when another connection than this one, so another process, committed a change. @throws StoreError */
  readonly foreignChanges: () => number;
};

export type SqliteReader = SqliteHandle & {
  /** Runs a statement at once. @throws StoreError */
  readonly read: <Row>(query: CompiledQuery<Row>) => Row[];
};

const turnLimitMs = 500;

/**
 * The one connection that writes.
 * @throws Error when the file is empty, when it is missing and `create` is false, or when a setting cannot be made
 * @throws StoreError when SQLite cannot open the file
 */
export function openSqliteWriter(path: string, create: boolean, health: Health): SqliteWriter {
  if (!create && !isFilled(path)) throw new Error(`There is no store at ${path}.`);
  if (existsSync(path) && !isFilled(path))
    throw new Error(`${path} is empty; restore a backup with "cardea restore <file>".`);
  const file = openFile(path, create ? { readwrite: true, create: true } : { readwrite: true });
  const mutex = createMutex(turnLimitMs);
  return {
    dialect: createDialect(createWriterDriver(file, mutex, health)),
    foreignChanges: () => runOn(file, dataVersion, health)[0]?.data_version ?? 0,
    async close(keepLog) {
      // Who holds it for longer than that loses its transaction, which is what a closed file means.
      await mutex.acquire().catch(() => {});
      if (keepLog) keepEmptyLog(file.db);
      file.close();
    },
  };
}

/**
 * A connection that only reads. It never holds a snapshot over two statements, so a read sees all that was committed before it.
 * @throws StoreError when SQLite cannot open the file
 */
export function openSqliteReader(path: string, health: Health): SqliteReader {
  const file = openFile(path, { readonly: true });
  return {
    dialect: createDialect(createReaderDriver(file, health)),
    read(query) {
      refuseInsideTransaction();
      return runOn(file, query, health);
    },
    async close() {
      file.close();
    },
  };
}

const dataVersion = CompiledQuery.raw('pragma data_version') as CompiledQuery<{ data_version: number }>;

/** A statement outside any transaction. */
function runOn<Row>(file: SqliteFile, query: CompiledQuery<Row>, health: Health): Row[] {
  try {
    return file.run<Row>(query).rows;
  } catch (error) {
    health.note(error);
    throw translate(error);
  }
}

/** Emptied, since a log with content would be played onto any file that is copied to the place of this one. */
function keepEmptyLog(db: Database): void {
  db.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
  db.run('pragma journal_size_limit = 0');
}

/** An empty file is not a store: it may be what a full disk left of one. */
function isFilled(path: string): boolean {
  return existsSync(path) && statSync(path).size > 0;
}

/** The writer as one caller holds it. */
type Lease = DatabaseConnection & {
  stage: 'single' | 'transaction' | 'released';
  /** What the first failed statement of the transaction threw. */
  failure: unknown;
};

function createWriterDriver(file: SqliteFile, mutex: Mutex, health: Health): Driver {
  const control = (sql: Control) => runControl(file.db, sql, health);
  return {
    async init() {},
    async acquireConnection() {
      refuseInsideTransaction();
      await mutex.acquire();
      try {
        health.requireSound();
        return createLease(file, health);
      } catch (error) {
        mutex.release();
        throw error;
      }
    },
    async beginTransaction(connection, settings) {
      refuseSettings(settings);
      control('begin immediate');
      (connection as Lease).stage = 'transaction';
    },
    async commitTransaction(connection) {
      requireSound(file.db, connection as Lease);
      control('commit');
      (connection as Lease).stage = 'single';
    },
    async rollbackTransaction(connection) {
      (connection as Lease).stage = 'single';
      // SQLite may have rolled back by itself, as it does when the disk is full.
      if (file.db.inTransaction) control('rollback');
    },
    async releaseConnection(connection) {
      (connection as Lease).stage = 'released';
      try {
        endStrayTransaction(file.db, health);
      } finally {
        mutex.release();
      }
    },
    async destroy() {},
  };
}

function createLease(file: SqliteFile, health: Health): Lease {
  const lease: Lease = {
    stage: 'single',
    failure: undefined,
    async executeQuery<R>(query: CompiledQuery) {
      requireSound(file.db, lease);
      try {
        return file.run<R>(query);
      } catch (error) {
        health.note(error);
        lease.failure = translate(error);
        throw lease.failure;
      }
    },
    streamQuery: refuseStream,
  };
  return lease;
}

/**
 * As on PostgreSQL, a transaction in which a statement failed can only be rolled back, also when its code swallowed the error.
 * @throws StoreError when that error was one of a busy or unavailable store, Error otherwise
 */
function requireSound(db: Database, lease: Lease): void {
  if (lease.stage === 'released') throw new Error('A connection of the store was used after its release.');
  if (lease.stage === 'single') return;
  if (isStoreTrouble(lease.failure)) throw lease.failure;
  if (lease.failure !== undefined) {
    throw new Error('A statement of this transaction failed before; nothing of it is kept.', { cause: lease.failure });
  }
  if (!db.inTransaction) throw new Error('The transaction was ended by one of its own statements.');
}

function createReaderDriver(file: SqliteFile, health: Health): Driver {
  const connection: DatabaseConnection = {
    async executeQuery<R>(query: CompiledQuery) {
      try {
        return file.run<R>(query);
      } catch (error) {
        health.note(error);
        throw translate(error);
      } finally {
        endStrayTransaction(file.db, health);
      }
    },
    streamQuery: refuseStream,
  };
  return {
    async init() {},
    async acquireConnection() {
      refuseInsideTransaction();
      return connection;
    },
    beginTransaction: refuseOnReader,
    commitTransaction: refuseOnReader,
    rollbackTransaction: refuseOnReader,
    async releaseConnection() {},
    async destroy() {},
  };
}

function endStrayTransaction(db: Database, health: Health): void {
  if (!db.inTransaction) return;
  runControl(db, 'rollback', health);
  throw new Error('A transaction was left open on a connection of the store.');
}

type Control = 'begin immediate' | 'commit' | 'rollback';

function runControl(db: Database, sql: Control, health: Health): void {
  try {
    db.run(sql);
  } catch (error) {
    health.note(error);
    throw translate(error);
  }
}

async function refuseOnReader(): Promise<void> {
  throw new Error('A reading connection has no transactions.');
}

function createDialect(driver: Driver): Dialect {
  return {
    createAdapter: () => new LimitedAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/** Keeps Kysely from putting its own mutex, which waits without a limit, in front of ours. */
class LimitedAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}
