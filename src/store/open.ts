import { type CompiledQuery, type Dialect, Kysely, sql, type Transaction } from 'kysely';
import type { Soon } from '../soon.ts';
import { isBusy, isDiskFull } from './errors.ts';
import { guardTransaction } from './guard.ts';
import { createHealth, foreignHealth, type Health } from './health.ts';
import { openPostgres, type PoolSizes } from './postgres.ts';
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
  /**
   * Once called, no answer of a PostgreSQL server counts that `recognise` has not looked at: it is given a store of its own, at the
   * start and whenever a connection was opened, and names the server. Null where no other server can take over (SQLite).
   * @throws what `recognise` throws at the start; later its error makes the store unavailable
   */
  readonly guardFailover: ((recognise: (fresh: Store) => Promise<string>) => Promise<void>) | null;
  /** Reads for lists: on SQLite another read-only connection. */
  readonly lists: Kysely<Schema>;
  /** Whether the SQLite file may still be written, and has room. */
  readonly health: Health;
  /**
   * `keepLog` leaves SQLite's log beside the file, emptied. Only a server that comes to its clean end may remove it: a command
   * that was the last to leave after a kill would, and the next start would miss it.
   */
  close(options?: { readonly keepLog?: boolean }): Promise<void>;
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

async function openPostgresStore(options: StoreOptions, poolSizes?: PoolSizes): Promise<Store> {
  const handle = await openPostgres(options.url, options.allowUnsafeDurability === true, poolSizes);
  const db = connect(handle);
  return {
    engine: 'postgres',
    db,
    checks: db,
    read: handle.read,
    foreignChanges: null,
    guardFailover: (recognise) => handle.failover.begin(() => lookAfresh(options, recognise)),
    lists: db,
    health: foreignHealth,
    close: closeOnce([db], [handle]),
  };
}

/** Not by a connection that is there already, which may lead to the server of before; and by few, since the role may have no more. */
async function lookAfresh(options: StoreOptions, recognise: (fresh: Store) => Promise<string>): Promise<string> {
  const fresh = await openPostgresStore(options, { singles: 1, transactions: 1 });
  try {
    return await recognise(fresh);
  } finally {
    await fresh.close();
  }
}

function openSqliteStore(path: string, create: boolean): Store {
  const health = createHealth(path);
  const writer = openSqliteWriter(path, create, health);
  try {
    health.adoptFile();
    const checking = openSqliteReader(path, health);
    const listing = openSqliteReader(path, health);
    const [db, checks, lists] = [connect(writer), connect(checking), connect(listing)];
    // The writer goes last: the last connection to leave folds the write-ahead log into the file.
    const close = closeOnce([db, checks, lists], [checking, listing, writer]);
    const { read } = checking;
    const { foreignChanges } = writer;
    return { engine: 'sqlite', db, checks, read, foreignChanges, guardFailover: null, lists, health, close };
  } catch (error) {
    void writer.close(true);
    throw error;
  }
}

function connect({ dialect }: { readonly dialect: Dialect }): Kysely<Schema> {
  return new Kysely<Schema>({ dialect });
}

/** Also `destroy`s Kysely's side, so that a use after the end is told apart from a broken store. */
function closeOnce(
  clients: Kysely<Schema>[],
  handles: { close(keepLog: boolean): Promise<void> }[],
): (options?: { readonly keepLog?: boolean }) => Promise<void> {
  let closing: Promise<void> | undefined;
  const close = async (keepLog: boolean): Promise<void> => {
    await Promise.all(clients.map((client) => client.destroy()));
    for (const handle of handles) await handle.close(keepLog);
  };
  return ({ keepLog = false } = {}) => (closing ??= close(keepLog));
}

/** Who was refused later than this has waited for a lock already; another wait would outlast the request. */
const retryWithinMs = 200;

/**
 * Runs `work` in one transaction: it commits when the promise fulfils and rolls back when it rejects. Await nothing but queries of
 * `trx` in it, since on SQLite every other write waits; `store` itself throws inside. A try that is refused as busy at once (a
 * lost race, not a long wait), or that found the disk full and so freed the reserve, is made once more: `work` may run twice.
 * @throws StoreError 'busy' or 'unavailable'; after the latter it is unknown whether the changes were made
 */
export async function transact<T>(store: Store, work: (trx: Transaction<Schema>) => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  try {
    return await tryOnce(store, work);
  } catch (error) {
    if (!mayTryAgain(error) || performance.now() - startedMs > retryWithinMs) throw error;
    return await tryOnce(store, work);
  }
}

function mayTryAgain(error: unknown): boolean {
  return isDiskFull(error) || isBusy(error);
}

function tryOnce<T>(store: Store, work: (trx: Transaction<Schema>) => Promise<T>): Promise<T> {
  return store.db.transaction().execute((trx) => guardTransaction(() => work(trx)));
}

/** Asks the store for one row. @throws StoreError when it does not answer, is broken, or its file was moved or deleted */
export async function probeStore(store: Store): Promise<void> {
  store.health.requireSound();
  await sql`select 1 as alive`.execute(store.checks);
}
