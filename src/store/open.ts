import { statSync } from 'node:fs';
import { type CompiledQuery, type Dialect, Kysely, sql, type Transaction } from 'kysely';
import type { Soon } from '../soon.ts';
import { isBusy, StoreError } from './errors.ts';
import { guardTransaction } from './guard.ts';
import { openPostgres } from './postgres.ts';
import type { Schema } from './schema.ts';
import { openSqliteReader, openSqliteWriter } from './sqlite.ts';

export type Engine = 'sqlite' | 'postgres';

/** Keep it for as long as it is used. */
export type Store = {
  readonly engine: Engine;
  /** Reads and writes. */
  readonly db: Kysely<Schema>;
  /** Reads for session checks: on SQLite a read-only connection of its own. */
  readonly checks: Kysely<Schema>;
  /**
   * Runs a prepared statement for a check, without Kysely's own way through: on SQLite at once, on the connection of `checks`.
   * @throws StoreError, also by the promise
   */
  readonly read: <Row>(query: CompiledQuery<Row>) => Soon<Row[]>;
  /**
   * A number that moves when another process changed the SQLite file; null where other processes are no exception (PostgreSQL).
   * @throws StoreError
   */
  readonly foreignChanges: (() => number) | null;
  /** Reads for lists: on SQLite another read-only connection. */
  readonly lists: Kysely<Schema>;
  /** Throws when the SQLite file is not the one that was opened any more; `probeStore` asks. */
  readonly requireOwnFile: () => void;
  close(): Promise<void>;
};

export type StoreOptions = {
  /** `postgres://…`, or the path of a SQLite file. */
  readonly url: string;
  /** Whether a missing SQLite file, and its directory, is made. */
  readonly create: boolean;
  /** Takes a PostgreSQL server that may lose what it acknowledged. */
  readonly allowUnsafeDurability?: boolean;
};

/**
 * Opens the store as it is; migrating is the caller's next step.
 * @throws StoreError when it cannot be reached
 * @throws Error when it is missing or unfit, with a sentence for the operator
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  if (/^postgres(ql)?:\/\//.test(options.url)) return openPostgresStore(options);
  return openSqliteStore(options.url, options.create);
}

async function openPostgresStore(options: StoreOptions): Promise<Store> {
  const handle = await openPostgres(options.url, options.allowUnsafeDurability === true);
  const db = connect(handle);
  return {
    engine: 'postgres',
    db,
    checks: db,
    read: handle.read,
    foreignChanges: null,
    lists: db,
    requireOwnFile: () => undefined,
    close: closeOnce([db], [handle]),
  };
}

function openSqliteStore(path: string, create: boolean): Store {
  const writer = openSqliteWriter(path, create);
  try {
    const checking = openSqliteReader(path);
    const listing = openSqliteReader(path);
    const [db, checks, lists] = [connect(writer), connect(checking), connect(listing)];
    // The writer goes last: the last connection to leave folds the write-ahead log into the file.
    const close = closeOnce([db, checks, lists], [checking, listing, writer]);
    const { read } = checking;
    const { foreignChanges } = writer;
    return { engine: 'sqlite', db, checks, read, foreignChanges, lists, requireOwnFile: watchFile(path), close };
  } catch (error) {
    void writer.close();
    throw error;
  }
}

/** A file that was renamed or deleted goes on working for whoever has it open: acknowledged changes would go to nobody. */
function watchFile(path: string): () => void {
  const opened = statSync(path).ino;
  return () => {
    if (statSync(path, { throwIfNoEntry: false })?.ino !== opened) throw new StoreError('unavailable');
  };
}

function connect({ dialect }: { readonly dialect: Dialect }): Kysely<Schema> {
  return new Kysely<Schema>({ dialect });
}

/** Also `destroy`s Kysely's side, so that a use after the end is told apart from a broken store. */
function closeOnce(clients: Kysely<Schema>[], handles: { close(): Promise<void> }[]): () => Promise<void> {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await Promise.all(clients.map((client) => client.destroy()));
    for (const handle of handles) await handle.close();
  };
  return () => (closing ??= close());
}

/** Who was refused later than this has waited for a lock already; another wait would outlast the request. */
const retryWithinMs = 200;

/**
 * Runs `work` in one transaction: it commits when the promise fulfils and rolls back when it rejects. Await nothing but queries of
 * `trx` in it, since on SQLite every other write waits; `store` itself throws inside. A try that is refused as busy at once (a
 * lost race, not a long wait) is made once more, so `work` may run twice.
 * @throws StoreError 'busy' or 'unavailable'; after the latter it is unknown whether the changes were made
 */
export async function transact<T>(store: Store, work: (trx: Transaction<Schema>) => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  try {
    return await tryOnce(store, work);
  } catch (error) {
    if (!isBusy(error) || performance.now() - startedMs > retryWithinMs) throw error;
    return await tryOnce(store, work);
  }
}

function tryOnce<T>(store: Store, work: (trx: Transaction<Schema>) => Promise<T>): Promise<T> {
  return store.db.transaction().execute((trx) => guardTransaction(() => work(trx)));
}

/**
 * Reads through a whole SQLite file (a fifth of a second for a million sessions), so that a damaged one is noticed before it
 * answers anything. PostgreSQL looks after its own files.
 * @throws StoreError 'unavailable' with what was found
 */
export async function requireSoundFile(store: Store): Promise<void> {
  if (store.engine === 'postgres') return;
  const { rows } = await sql<{ quick_check: string }>`pragma quick_check(1)`.execute(store.lists);
  const found = rows[0]?.quick_check;
  if (found !== 'ok') throw new StoreError('unavailable', damaged(found));
}

/** Looks like the driver's own error for a damaged file. */
function damaged(found: string | undefined): Error {
  return Object.assign(new Error(found?.replace(/\s+/g, ' ') ?? 'no answer'), { code: 'SQLITE_CORRUPT' });
}

/** Asks the store for one row. @throws StoreError when it does not answer, or its file was moved or deleted */
export async function probeStore(store: Store): Promise<void> {
  store.requireOwnFile();
  await sql`select 1 as alive`.execute(store.checks);
}
