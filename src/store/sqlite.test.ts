import { Database } from 'bun:sqlite';
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Kysely, sql } from 'kysely';
import { StoreError } from './errors.ts';
import { openStore, type Store, transact } from './open.ts';
import type { Schema } from './schema.ts';
import { refuseOldSqlite } from './sqlite-file.ts';

let directory: string;
let path: string;
let store: Store;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cardea-sqlite-'));
  path = join(directory, 'data', 'cardea.db');
  store = await openStore({ url: path, create: true });
  await sql`create table probes (id integer primary key, name text not null) strict`.execute(store.db);
});

afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

test('TS1, TS2: every connection flushes each commit and has the safe settings', async () => {
  // The writer waits for locks by itself, since SQLite's wait stops everybody.
  for (const [handle, timeout] of [
    [store.db, 0],
    [store.checks, 250],
    [store.lists, 250],
  ] as const) {
    expect(await readPragmas(handle)).toEqual({
      journal_mode: 'wal',
      synchronous: 2,
      foreign_keys: 1,
      timeout,
      trusted_schema: 0,
      cell_size_check: 1,
      mmap_size: 0,
    });
  }
});

test('TS2: the directory and all files are the owner’s alone', async () => {
  await insert(store.db, 1, 'one');
  expect(modeOf(join(directory, 'data'))).toBe(0o700);
  for (const suffix of ['', '-wal', '-shm']) expect(modeOf(path + suffix)).toBe(0o600);
});

test('TS2: a missing or empty file is refused, and stays as it is, unless it may be created', async () => {
  const missing = join(directory, 'other', 'cardea.db');
  expect(String(await errorOf(openStore({ url: missing, create: false })))).toContain(`no store at ${missing}`);
  expect(existsSync(join(directory, 'other'))).toBe(false);
  const empty = join(directory, 'empty.db');
  writeFileSync(empty, '');
  expect(String(await errorOf(openStore({ url: empty, create: false })))).toContain(`no store at ${empty}`);
  expect(statSync(empty).size).toBe(0);
});

test('a file that is no database is unavailable and stays as it is', async () => {
  const strange = join(directory, 'strange.db');
  writeFileSync(strange, 'x'.repeat(8192));
  expect(await wordOf(openStore({ url: strange, create: true }))).toBe('unavailable');
  expect(await Bun.file(strange).text()).toBe('x'.repeat(8192));
});

test('TS1: versions of SQLite that can damage the log are refused', () => {
  for (const version of ['3.51.3', '3.51.10', '3.54.1', '4.0.0']) expect(() => refuseOldSqlite(version)).not.toThrow();
  for (const version of ['3.51.2', '3.50.9', '2.99.99', '', 'x'])
    expect(() => refuseOldSqlite(version)).toThrow('too old');
});

test('TS5: a reading connection refuses changes, transactions and an open snapshot', async () => {
  await insert(store.db, 1, 'live');
  for (const handle of [store.checks, store.lists]) {
    expect(await wordOf(insert(handle, 2, 'two'))).toBe('unavailable');
    expect(String(await errorOf(handle.transaction().execute(async () => {})))).toContain('no transactions');
    expect(String(await errorOf(sql`begin`.execute(handle)))).toContain('left open');
  }
  await sql`delete from probes where id = 1`.execute(store.db);
  expect(await readNames(store.checks)).toEqual([]);
  expect(await readNames(store.lists)).toEqual([]);
});

test('TS5: a reader elsewhere that holds an old snapshot does not keep it alive for checks', async () => {
  await insert(store.db, 1, 'live');
  await insert(store.db, 2, 'live too');
  const other = new Database(path, { readonly: true });
  const rows = other.query('select id from probes').iterate();
  rows.next();
  await sql`delete from probes`.execute(store.db);
  expect(other.query('select count(*) from probes').values()).toEqual([[2]]);
  expect(await readNames(store.checks)).toEqual([]);
  rows.return?.();
  other.close();
});

test('F05: a full disk is unavailable, keeps nothing of the transaction, and the connection works on', async () => {
  await fillUp(store.db);
  const long = 'x'.repeat(100_000);
  expect(await wordOf(transact(store, (trx) => insert(trx, 1, long)))).toBe('unavailable');
  await sql`pragma max_page_count = 1000000`.execute(store.db);
  await transact(store, (trx) => insert(trx, 2, long));
  expect(await readNames(store.checks)).toEqual([long]);
});

test('TP2: code that swallows a full disk writes nothing outside of its transaction', async () => {
  await fillUp(store.db);
  const running = transact(store, async (trx) => {
    await insert(trx, 1, 'x'.repeat(100_000)).catch(() => {});
    await insert(trx, 2, 'two').catch(() => {});
  });
  expect(await wordOf(running)).toBe('unavailable');
  expect(await readNames(store.checks)).toEqual([]);
});

test('F08: a lock of another process makes changes busy within 300 ms while reads go on', async () => {
  await insert(store.db, 1, 'one');
  const other = new Database(path);
  other.run('begin immediate');
  const startedMs = performance.now();
  expect(await wordOf(transact(store, (trx) => insert(trx, 2, 'two')))).toBe('busy');
  expect(performance.now() - startedMs).toBeLessThan(300);
  expect(await readNames(store.checks)).toEqual(['one']);
  other.run('rollback');
  other.close();
  await transact(store, (trx) => insert(trx, 2, 'two'));
});

test('F08: a crowd of writers at a lock of another process is refused in time, and nobody who only reads waits for it', async () => {
  await insert(store.db, 1, 'one');
  const other = new Database(path);
  other.run('begin immediate');
  const startedMs = performance.now();
  const crowd = Promise.all(
    Array.from({ length: 20 }, (_, id) => wordOf(transact(store, (trx) => insert(trx, id + 2, 'late')))),
  );
  let longestReadMs = 0;
  for (let isOver = false; !isOver; ) {
    const readMs = performance.now();
    expect(await readNames(store.checks)).toEqual(['one']);
    isOver = await Promise.race([crowd.then(() => true), Bun.sleep(5).then(() => false)]);
    longestReadMs = Math.max(longestReadMs, performance.now() - readMs);
  }
  expect(new Set(await crowd)).toEqual(new Set(['busy']));
  // About 0.75 s and 6 ms; a wait that stops the process takes 5 s for both.
  expect(performance.now() - startedMs).toBeLessThan(2_000);
  expect(longestReadMs).toBeLessThan(1_000);
  other.run('rollback');
  other.close();
  await transact(store, (trx) => insert(trx, 2, 'two'));
});

test('TS3: a transaction keeps other writers out from its first read, so that its own write cannot lose a race', async () => {
  const other = new Database(path);
  await transact(store, async (trx) => {
    expect(await readNames(trx)).toEqual([]);
    expect(() => other.run("insert into probes (id, name) values (1, 'other')")).toThrow('locked');
    await insert(trx, 2, 'two');
  });
  other.close();
  expect(await readNames(store.checks)).toEqual(['two']);
});

test('TP2: a transaction that ends itself is an error, and no later statement runs outside of it', async () => {
  const running = transact(store, async (trx) => {
    await insert(trx, 1, 'one');
    await sql`rollback`.execute(trx);
    await insert(trx, 2, 'two');
  });
  expect(String(await errorOf(running))).toContain('ended by one of its own');
  expect(await readNames(store.checks)).toEqual([]);
});

test('TP2: a connection released inside an open transaction is an error, and nothing of that transaction stays', async () => {
  const leaving = store.db.connection().execute(async (connection) => {
    await sql`begin`.execute(connection);
    await insert(connection, 1, 'one');
  });
  expect(String(await errorOf(leaving))).toContain('left open');
  await insert(store.db, 2, 'two');
  expect(await readNames(store.checks)).toEqual(['two']);
});

test('TP2: waiting writers get their turn in the order in which they came', async () => {
  const order: number[] = [];
  const writers = Array.from({ length: 20 }, (_, index) =>
    transact(store, async (trx) => {
      order.push(index);
      await insert(trx, index, 'turn');
    }),
  );
  await Promise.all(writers);
  expect(order).toEqual(writers.map((_, index) => index));
});

test('more different statements than are kept still run', async () => {
  for (let count = 0; count < 1200; count += 1) await sql`select ${sql.lit(count)}`.execute(store.checks);
  expect((await sql`select ${sql.lit(0)} as zero`.execute(store.checks)).rows).toEqual([{ zero: 0 }]);
});

test('closing twice is one closing, and leaves the file alone without a log', async () => {
  await insert(store.db, 1, 'one');
  await Promise.all([store.close(), store.close()]);
  expect(existsSync(`${path}-wal`)).toBe(false);
  expect(await errorOf(readNames(store.checks))).toBeInstanceOf(Error);
  store = await openStore({ url: path, create: false });
  expect(await readNames(store.checks)).toEqual(['one']);
});

async function readPragmas(db: Kysely<Schema>): Promise<object> {
  const names = [
    'journal_mode',
    'synchronous',
    'foreign_keys',
    'busy_timeout',
    'trusted_schema',
    'cell_size_check',
    'mmap_size',
  ];
  const results = await Promise.all(names.map((name) => sql<object>`pragma ${sql.raw(name)}`.execute(db)));
  return Object.assign({}, ...results.flatMap((result) => result.rows));
}

/** Lets the file grow by a few pages only, as on a full disk. */
async function fillUp(db: Kysely<Schema>): Promise<void> {
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(db);
  await sql`pragma max_page_count = ${sql.lit((rows[0]?.page_count ?? 0) + 3)}`.execute(db);
}

function modeOf(file: string): number {
  return statSync(file).mode & 0o777;
}

async function insert(db: Kysely<Schema>, id: number, name: string): Promise<void> {
  await sql`insert into probes (id, name) values (${id}, ${name})`.execute(db);
}

async function readNames(db: Kysely<Schema>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select name from probes order by name`.execute(db);
  return rows.map((row) => row.name);
}

async function errorOf(running: Promise<unknown>): Promise<unknown> {
  return running.then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function wordOf(running: Promise<unknown>): Promise<string> {
  const error = await errorOf(running);
  return error instanceof StoreError ? error.word : String(error);
}
