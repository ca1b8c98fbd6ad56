/**
 * A Kysely dialect over Bun.SQL. Single statements go straight onto a pool, where Bun pipelines them; a transaction reserves a
 * connection of another pool, so that a frozen read never ends a transaction. Every step has a limit, since a frozen server
 * answers never.
 */
import { type ReservedSQL, SQL } from 'bun';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely';
import { createBatchReader } from './batch.ts';
import { StoreError, translate } from './errors.ts';
import { createFailoverGuard, type FailoverGuard } from './failover.ts';
import { refuseInsideTransaction, refuseSettings, refuseStream } from './guard.ts';
import { checkParameters } from './parameters.ts';

export type PostgresHandle = {
  readonly dialect: Dialect;
  /** A prepared statement, straight onto the pool, with all that ask for it in the same turn. @throws StoreError */
  readonly read: <Row>(query: CompiledQuery<Row>) => Promise<Row[]>;
  readonly failover: FailoverGuard;
  close(): Promise<void>;
};

const reserveLimitMs = 500;
const queryLimitMs = 1000;
/** Most connections for statements by themselves, and for transactions. */
export type PoolSizes = { readonly singles: number; readonly transactions: number };

/** Together ten connections; a look at another server takes up to two more. */
const usualSizes: PoolSizes = { singles: 4, transactions: 6 };

/**
 * @throws StoreError('unavailable') when the server does not answer within about a second
 * @throws Error when the server is a standby, or may lose what it acknowledged and `allowUnsafeDurability` is not set
 */
export async function openPostgres(
  url: string,
  allowUnsafeDurability: boolean,
  sizes = usualSizes,
): Promise<PostgresHandle> {
  const failover = createFailoverGuard();
  const openSingles = () => connect(url, sizes.singles, failover);
  const transactions = connect(url, sizes.transactions, failover);
  const pools: Pools = { failover, openSingles, singles: openSingles(), transactions };
  try {
    await refuseUnfitServer(pools, allowUnsafeDurability);
  } catch (error) {
    await closePools(pools, 0);
    throw error;
  }
  const readTogether = createBatchReader(
    async <Row>(text: string, parameters: readonly unknown[]) => (await runSingle<Row>(pools, text, parameters)).rows,
  );
  return {
    dialect: createDialect(createDriver(pools)),
    read(query) {
      refuseInsideTransaction();
      return readTogether(query);
    },
    failover,
    close: () => closePools(pools, 1),
  };
}

type Pools = {
  readonly failover: FailoverGuard;
  readonly openSingles: () => SQL;
  singles: SQL;
  readonly transactions: SQL;
};

function connect(url: string, max: number, { suspect }: FailoverGuard): SQL {
  return new SQL(url, {
    max,
    connectionTimeout: 1,
    // Runs before anything is sent on the new connection.
    onconnect: suspect,
    ...readExplicitSettings(new URL(url)),
    // The server gives up a little before we do, so that a slow statement costs no connection.
    connection: {
      application_name: 'cardea',
      statement_timeout: 900,
      lock_timeout: 500,
      idle_in_transaction_session_timeout: 5000,
    },
  });
}

/** What Bun would otherwise take from the environment (`PGDATABASE`) or leave open (a plain-text connection over the network). */
function readExplicitSettings(url: URL): { database?: string; tls?: 'verify-full' } {
  const database = decodeURIComponent(url.pathname.slice(1));
  const isLocal = ['', 'localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  const hasMode = url.searchParams.has('sslmode');
  return { ...(database !== '' && { database }), ...(!isLocal && !hasMode && { tls: 'verify-full' as const }) };
}

type ServerFacts = { standby: boolean; fsync: string; full_page_writes: string; synchronous_commit: string };

const factsQuery = `select pg_is_in_recovery() as standby, current_setting('fsync') as fsync,
  current_setting('full_page_writes') as full_page_writes, current_setting('synchronous_commit') as synchronous_commit`;

async function refuseUnfitServer(pools: Pools, allowUnsafeDurability: boolean): Promise<void> {
  const [facts] = (await runSingle<ServerFacts>(pools, factsQuery, [])).rows;
  if (facts === undefined || facts.standby) throw new Error('The PostgreSQL server is a standby; name the primary.');
  if (allowUnsafeDurability) return;
  for (const name of ['fsync', 'full_page_writes', 'synchronous_commit'] as const) {
    if (facts[name] === 'off') {
      throw new Error(
        `PostgreSQL has ${name} off: a power cut would lose acknowledged changes and revive ended sessions.`,
      );
    }
  }
}

/** One caller's use of the store: single statements, or a transaction while `reserved` is there. */
type Lease = DatabaseConnection & { reserved: ReservedSQL | undefined; broken: unknown };

function createDriver(pools: Pools): Driver {
  return {
    async init() {},
    async acquireConnection() {
      refuseInsideTransaction();
      return createLease(pools);
    },
    async beginTransaction(connection, settings) {
      refuseSettings(settings);
      await begin(pools, connection as Lease);
    },
    commitTransaction: (connection) => commit(connection as Lease),
    rollbackTransaction: (connection) => rollback(connection as Lease),
    releaseConnection: (connection) => release(connection as Lease),
    async destroy() {},
  };
}

function createLease(pools: Pools): Lease {
  const lease: Lease = {
    reserved: undefined,
    broken: undefined,
    executeQuery<R>(query: CompiledQuery) {
      if (lease.broken !== undefined) return Promise.reject(lease.broken);
      if (lease.reserved !== undefined) return runReserved<R>(lease, lease.reserved, query.sql, query.parameters);
      return runSingle<R>(pools, query.sql, query.parameters);
    },
    streamQuery: refuseStream,
  };
  return lease;
}

async function begin(pools: Pools, lease: Lease): Promise<void> {
  const reserved = await reserve(pools.transactions);
  lease.reserved = reserved;
  try {
    await pools.failover.recognised();
    await runReserved(lease, reserved, 'begin', []);
  } catch (error) {
    drop(lease, error);
    throw error;
  }
}

async function reserve(pool: SQL): Promise<ReservedSQL> {
  const signal = AbortSignal.timeout(reserveLimitMs);
  try {
    return await pool.reserve({ signal });
  } catch (error) {
    throw signal.aborted ? new StoreError('unavailable', error) : translate(error);
  }
}

/** @throws Error when the server rolled back instead, which it reports as a success of another name */
async function commit(lease: Lease): Promise<void> {
  if (lease.reserved === undefined) throw lease.broken ?? new Error('There is no transaction to commit.');
  const { command } = await runReserved(lease, lease.reserved, 'commit', []);
  if (command === 'COMMIT') return giveBack(lease);
  throw new Error('A statement of this transaction failed before; nothing of it is kept.');
}

/** Never throws: the caller has an error of its own to report, and a dropped connection is rolled back by the server. */
async function rollback(lease: Lease): Promise<void> {
  if (lease.reserved === undefined) return;
  try {
    await runReserved(lease, lease.reserved, 'rollback', []);
    await giveBack(lease);
  } catch (error) {
    drop(lease, error);
  }
}

async function giveBack(lease: Lease): Promise<void> {
  const reserved = lease.reserved;
  lease.reserved = undefined;
  await reserved?.release();
}

async function release(lease: Lease): Promise<void> {
  const isOpen = lease.reserved !== undefined;
  drop(lease, new Error('A connection of the store was used after its release.'));
  if (isOpen) throw new Error('A transaction was left open on a connection of the store.');
}

/** Ends the lease; a connection that it still holds is closed for good and never returns to the pool. */
function drop(lease: Lease, cause: unknown): void {
  lease.broken ??= cause;
  const reserved = lease.reserved;
  lease.reserved = undefined;
  if (reserved !== undefined) closeQuietly(reserved);
}

type Tagged<R> = QueryResult<R> & { readonly command: string | null };

function runReserved<R>(
  lease: Lease,
  reserved: ReservedSQL,
  text: string,
  parameters: readonly unknown[],
): Promise<Tagged<R>> {
  return runLimited<R>(reserved, text, parameters, (cause) => drop(lease, cause));
}

/** After a time-out the whole pool is replaced: what Bun had pipelined onto the frozen connection would wait in vain too. */
async function runSingle<R>(pools: Pools, text: string, parameters: readonly unknown[]): Promise<Tagged<R>> {
  const { failover, singles: pool } = pools;
  const era = failover.era();
  const result = await runLimited<R>(pool, text, parameters, () => {
    if (pools.singles !== pool) return;
    pools.singles = pools.openSingles();
    closeQuietly(pool);
  });
  if (!failover.counts(era)) await failover.admit(era);
  return result;
}

/**
 * One statement, at most a second. `giveUp` runs when it took longer; whether the statement happened is then unknown.
 * @throws StoreError by what the server said, or 'unavailable' when it said nothing
 */
async function runLimited<R>(
  sql: SQL,
  text: string,
  parameters: readonly unknown[],
  giveUp: (cause: StoreError) => void,
): Promise<Tagged<R>> {
  const values = checkParameters(parameters);
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const cause = new StoreError('unavailable', new Error(`PostgreSQL did not answer within ${queryLimitMs} ms`));
    limit.reject(cause);
    giveUp(cause);
  }, queryLimitMs);
  try {
    const result = await Promise.race([sql.unsafe<R[]>(text, values), limit.promise]);
    const written = /^(INSERT|UPDATE|DELETE|MERGE)$/.test(result.command ?? '');
    const affected = written ? { numAffectedRows: BigInt(result.affectedRows) } : {};
    return { command: result.command, rows: Array.from(result), ...affected };
  } catch (error) {
    throw translate(error);
  } finally {
    clearTimeout(timer);
  }
}

/** A connection that is thrown away may fail to say goodbye. */
function closeQuietly(sql: SQL): void {
  sql.close({ timeout: 0 }).catch(() => {});
}

async function closePools(pools: Pools, timeoutSeconds: number): Promise<void> {
  await Promise.all([
    pools.singles.close({ timeout: timeoutSeconds }),
    pools.transactions.close({ timeout: timeoutSeconds }),
  ]);
}

function createDialect(driver: Driver): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}
