import { afterEach, beforeAll, beforeEach, expect, test } from 'bun:test';
import { SQL } from 'bun';
import { type Kysely, sql } from 'kysely';
import { testDatabaseUrl } from '../../tests/support/postgres.ts';
import { StoreError } from './errors.ts';
import { openStore, probeStore, type Store, transact } from './open.ts';
import type { Schema } from './schema.ts';

let url: string;
let store: Store;

beforeAll(async () => {
  url = await testDatabaseUrl();
}, 30_000);

beforeEach(async () => {
  store = await openStore({ url, create: false });
  await sql`create table probes (id integer primary key, name text not null unique deferrable initially deferred)`.execute(
    store.db,
  );
});

afterEach(async () => {
  await sql`drop table probes`.execute(store.db);
  await store.close();
});

test('TP12: the server flushes what it acknowledges', async () => {
  for (const name of ['fsync', 'full_page_writes', 'synchronous_commit']) {
    expect(await readSetting(store.checks, name)).toBe('on');
  }
});

test('TP7: the server limits every statement, lock and idle transaction, in and outside of transactions', async () => {
  const limits = { statement_timeout: '900ms', lock_timeout: '500ms', idle_in_transaction_session_timeout: '5s' };
  for (const [name, value] of Object.entries(limits)) {
    expect(await readSetting(store.db, name)).toBe(value);
    expect(await transact(store, (trx) => readSetting(trx, name))).toBe(value);
  }
});

test('TP12: a server that may lose acknowledged changes is refused unless that is wanted', async () => {
  const unsafe = await testDatabaseUrl();
  const name = new URL(unsafe).pathname.slice(1);
  await sql`alter database ${sql.id(name)} set synchronous_commit = off`.execute(store.db);
  expect(String(await errorOf(openStore({ url: unsafe, create: false })))).toContain('synchronous_commit off');
  const wanted = await openStore({ url: unsafe, create: false, allowUnsafeDurability: true });
  await probeStore(wanted);
  await wanted.close();
});

test('the database is the one of the URL, whatever the environment says', async () => {
  process.env['PGDATABASE'] = 'template1';
  const other = await openStore({ url, create: false });
  delete process.env['PGDATABASE'];
  const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(other.db);
  expect(`/${rows[0]?.name}`).toBe(new URL(url).pathname);
  await other.close();
});

test('F16: a server that is not there or accepts and stays mute is unavailable within 1.5 s', async () => {
  const mute = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  const muteUrl = `postgres://nobody@127.0.0.1:${mute.port}/none`;
  expect(await timed(wordOf(openStore({ url: muteUrl, create: false })))).toBe('unavailable');
  mute.stop(true);
  expect(await timed(wordOf(openStore({ url: muteUrl, create: false })))).toBe('unavailable');
});

test('TP7: a frozen backend ends its transaction as unavailable within 1.5 s, and never comes back', async () => {
  let frozen = 0;
  const running = transact(store, async (trx) => {
    await insert(trx, 1, 'one');
    frozen = await readBackend(trx);
    process.kill(frozen, 'SIGSTOP');
    await insert(trx, 2, 'two');
  });
  try {
    expect(await timed(wordOf(running))).toBe('unavailable');
    await transact(store, (trx) => insert(trx, 3, 'three'));
    await (await holdTransactions(6))();
  } finally {
    process.kill(frozen, 'SIGCONT');
  }
  expect(await readNames(store.checks)).toEqual(['three']);
});

test('TP7: a backend frozen before the commit leaves the outcome unknown, never a success', async () => {
  let frozen = 0;
  const running = transact(store, async (trx) => {
    await insert(trx, 1, 'one');
    frozen = await readBackend(trx);
    process.kill(frozen, 'SIGSTOP');
  });
  try {
    expect(await timed(wordOf(running))).toBe('unavailable');
  } finally {
    process.kill(frozen, 'SIGCONT');
  }
});

test('TP8: a frozen backend fails its share of the reads within 1.5 s, and every later read succeeds', async () => {
  const frozen = await readBackend(store.checks);
  process.kill(frozen, 'SIGSTOP');
  try {
    const words = await timed(Promise.all(Array.from({ length: 40 }, () => wordOf(probeStore(store)))));
    expect(words).toContain('unavailable');
    expect(words.filter((word) => word !== 'unavailable' && word !== 'undefined')).toEqual([]);
    await Promise.all(Array.from({ length: 40 }, () => probeStore(store)));
  } finally {
    process.kill(frozen, 'SIGCONT');
  }
});

test('TP8: frozen reads do not touch a transaction under way', async () => {
  const begun = Promise.withResolvers<void>();
  const ending = Promise.withResolvers<void>();
  const writing = transact(store, async (trx) => {
    await insert(trx, 1, 'one');
    begun.resolve();
    await ending.promise;
  });
  await begun.promise;
  const frozen = await readBackend(store.checks);
  process.kill(frozen, 'SIGSTOP');
  try {
    await Promise.all(Array.from({ length: 40 }, () => wordOf(probeStore(store))));
    ending.resolve();
    await writing;
  } finally {
    process.kill(frozen, 'SIGCONT');
  }
  expect(await readNames(store.checks)).toEqual(['one']);
});

test('F14: a killed backend ends its transaction as unavailable, nothing of it stays, and the next one works', async () => {
  const running = transact(store, async (trx) => {
    await insert(trx, 1, 'one');
    await killBackend(await readBackend(trx));
    await insert(trx, 2, 'two');
  });
  expect(await timed(wordOf(running))).toBe('unavailable');
  await transact(store, (trx) => insert(trx, 3, 'three'));
  expect(await readNames(store.checks)).toEqual(['three']);
});

test('F14: a backend killed before the commit makes the commit unavailable', async () => {
  const running = transact(store, async (trx) => {
    await insert(trx, 1, 'one');
    await killBackend(await readBackend(trx));
  });
  expect(await wordOf(running)).toBe('unavailable');
  expect(await readNames(store.checks)).toEqual([]);
});

test('F14: a killed reading backend fails at most one read', async () => {
  await killBackend(await readBackend(store.checks));
  await wordOf(probeStore(store));
  await probeStore(store);
});

test('TP5: a commit that the server refuses is the error it names', async () => {
  const running = transact(store, async (trx) => {
    await insert(trx, 1, 'same');
    await insert(trx, 2, 'same');
  });
  expect(await wordOf(running)).toBe('duplicate');
  expect(await readNames(store.checks)).toEqual([]);
});

test('TP7: a statement over the server’s limit is unavailable within 1.5 s and costs no connection', async () => {
  let backend = 0;
  const running = transact(store, async (trx) => {
    backend = await readBackend(trx);
    await sql`select pg_sleep(5)`.execute(trx);
  });
  expect(await timed(wordOf(running))).toBe('unavailable');
  const { rows } = await sql`select pid from pg_stat_activity where pid = ${backend}`.execute(store.db);
  expect(rows).toEqual([{ pid: backend }]);
});

test('AVL-03: with every transaction connection taken the next is unavailable within 600 ms, checks go on, and it recovers', async () => {
  const end = await holdTransactions(6);
  const startedMs = performance.now();
  expect(await wordOf(transact(store, readBackend))).toBe('unavailable');
  expect(performance.now() - startedMs).toBeLessThan(600);
  await probeStore(store);
  await end();
  await transact(store, readBackend);
});

test('TP6: the states of a live server become the store’s words', async () => {
  await sql`create function raise_state(state text) returns void language plpgsql as
    'begin raise exception using errcode = state; end'`.execute(store.db);
  const words = {
    23505: 'duplicate',
    40001: 'busy',
    '40P01': 'busy',
    '55P03': 'busy',
    25006: 'unavailable',
    53300: 'unavailable',
  };
  for (const [state, word] of Object.entries(words)) {
    expect(await wordOf(sql`select raise_state(${state})`.execute(store.db))).toBe(word);
  }
  expect(await wordOf(sql`select raise_state('22023')`.execute(store.db))).toStartWith('PostgresError');
});

async function insert(db: Kysely<Schema>, id: number, name: string): Promise<void> {
  await sql`insert into probes (id, name) values (${id}, ${name})`.execute(db);
}

async function readNames(db: Kysely<Schema>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select name from probes order by name`.execute(db);
  return rows.map((row) => row.name);
}

async function readSetting(db: Kysely<Schema>, name: string): Promise<string | undefined> {
  return (await sql<{ value: string }>`select current_setting(${name}) as value`.execute(db)).rows[0]?.value;
}

async function readBackend(db: Kysely<Schema>): Promise<number> {
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db);
  return rows[0]?.pid ?? 0;
}

/** Opens so many transactions side by side. @returns what ends them */
async function holdTransactions(count: number): Promise<() => Promise<void>> {
  const ending = Promise.withResolvers<void>();
  const begun = Array.from({ length: count }, () => Promise.withResolvers<void>());
  const holders = begun.map(({ resolve }) =>
    transact(store, async (trx) => {
      await readBackend(trx);
      resolve();
      await ending.promise;
    }),
  );
  await Promise.race([Promise.all(begun.map(({ promise }) => promise)), Promise.all(holders)]);
  return async () => {
    ending.resolve();
    await Promise.all(holders);
  };
}

/** By a client of its own: inside a transaction the store's handles throw. Waits until the backend is gone. */
async function killBackend(pid: number): Promise<void> {
  const killer = new SQL(url, { max: 1 });
  await killer`select pg_terminate_backend(${pid}::integer, 1000)`;
  await killer.close();
}

/** Fails when it takes 1.5 s or more: the store's share of one request. */
async function timed<T>(running: Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await running;
  expect(performance.now() - startedMs).toBeLessThan(1500);
  return result;
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
