import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Kysely, sql } from 'kysely';
import { testDatabaseUrl } from '../../tests/support/postgres.ts';
import { isDuplicate, StoreError } from './errors.ts';
import { currentSchema, migrate, readSchema, requireCurrentSchema } from './migrations/index.ts';
import { type Engine, openStore, probeStore, type Store, transact } from './open.ts';
import type { Schema } from './schema.ts';

const startLimitMs = 30_000;

const directory = mkdtempSync(join(tmpdir(), 'cardea-store-'));
afterAll(() => rmSync(directory, { recursive: true }));

const urls: Record<Engine, () => Promise<string>> = {
  sqlite: async () => join(directory, 'cardea.db'),
  postgres: testDatabaseUrl,
};

for (const engine of ['sqlite', 'postgres'] as const) describe(engine, () => suite(engine));

/** What the rest of the product relies on, whichever database is below. */
function suite(engine: Engine): void {
  let store: Store;

  beforeAll(async () => {
    store = await openStore({ url: await urls[engine](), create: true });
  }, startLimitMs);
  afterAll(() => store.close());
  beforeEach(async () => {
    const instant = engine === 'sqlite' ? 'integer' : 'double precision';
    await sql`create table probes (id integer primary key, name text not null unique, at ${sql.raw(instant)})`.execute(
      store.db,
    );
  });
  afterEach(() => sql`drop table probes`.execute(store.db));

  test('tells the schema of a store, new or migrated, to a command that only reads', async () => {
    expect(await readSchema(store)).toBe(0);
    await migrate(store);
    expect(await readSchema(store)).toBe(currentSchema);
    await requireCurrentSchema(store);
  });

  test('keeps what a transaction wrote once it has ended well', async () => {
    await transact(store, async (trx) => {
      await insert(trx, 1, 'one');
      await insert(trx, 2, 'two');
    });
    expect(await readNames(store.checks)).toEqual(['one', 'two']);
  });

  test('keeps nothing of a transaction that throws, and throws its error on', async () => {
    const failure = new Error('on purpose');
    const running = transact(store, async (trx) => {
      await insert(trx, 1, 'one');
      throw failure;
    });
    expect(await errorOf(running)).toBe(failure);
    expect(await readNames(store.checks)).toEqual([]);
  });

  test('TP1: a write beside an open transaction survives the rollback of that transaction', async () => {
    const begun = Promise.withResolvers<void>();
    const ending = Promise.withResolvers<void>();
    const rolledBack = errorOf(
      transact(store, async (trx) => {
        await insert(trx, 1, 'inside');
        begun.resolve();
        await ending.promise;
        throw new Error('on purpose');
      }),
    );
    await begun.promise;
    const beside = insert(store.db, 2, 'beside');
    ending.resolve();
    await Promise.all([rolledBack, beside]);
    expect(await readNames(store.checks)).toEqual(['beside']);
  });

  test('TS6: checks and lists never see rows that are not committed, and at once those that are', async () => {
    const begun = Promise.withResolvers<void>();
    const ending = Promise.withResolvers<void>();
    const committed = transact(store, async (trx) => {
      await insert(trx, 1, 'one');
      begun.resolve();
      await ending.promise;
    });
    await begun.promise;
    expect(await readNames(store.checks)).toEqual([]);
    expect(await readNames(store.lists)).toEqual([]);
    ending.resolve();
    await committed;
    expect(await readNames(store.checks)).toEqual(['one']);
    expect(await readNames(store.lists)).toEqual(['one']);
  });

  test('TP3: every outer handle throws inside a transaction, also after an await', async () => {
    const messages = await transact(store, async (trx) => {
      await insert(trx, 1, 'one');
      const uses = [store.db, store.checks, store.lists].map((handle) => errorOf(readNames(handle)));
      const nested = errorOf(transact(store, async () => {}));
      return (await Promise.all([...uses, nested])).map(String);
    });
    expect(messages).toHaveLength(4);
    for (const message of messages) expect(message).toContain('beside the transaction');
    expect(await readNames(store.checks)).toEqual(['one']);
  });

  test('TP3: work that a transaction left running may use the store after it', async () => {
    const over = Promise.withResolvers<void>();
    let later: Promise<string[]> | undefined;
    await transact(store, async (trx) => {
      await insert(trx, 1, 'one');
      later = over.promise.then(() => readNames(store.checks));
    });
    over.resolve();
    expect(await later).toEqual(['one']);
  });

  test('TP5: a swallowed statement error never ends in success', async () => {
    await insert(store.db, 1, 'one');
    const running = transact(store, async (trx) => {
      await insert(trx, 2, 'two');
      await insert(trx, 1, 'again').catch(() => {});
    });
    expect(String(await errorOf(running))).toContain('nothing of it is kept');
    expect(await readNames(store.checks)).toEqual(['one']);
  });

  test('TP2: nothing can be written after a swallowed statement error', async () => {
    await insert(store.db, 1, 'one');
    const running = transact(store, async (trx) => {
      await insert(trx, 1, 'again').catch(() => {});
      await insert(trx, 2, 'two').catch(() => {});
      await insert(trx, 3, 'three');
    });
    expect(await errorOf(running)).toBeInstanceOf(Error);
    expect(await readNames(store.checks)).toEqual(['one']);
    await insert(store.db, 4, 'four');
    expect(await readNames(store.checks)).toEqual(['four', 'one']);
  });

  test('calls a row that exists already a duplicate, by primary key and by unique column', async () => {
    await insert(store.db, 1, 'one');
    expect(isDuplicate(await errorOf(insert(store.db, 1, 'other')))).toBe(true);
    const error = await errorOf(transact(store, (trx) => insert(trx, 2, 'one')));
    expect(isDuplicate(error)).toBe(true);
    expect((error as Error).cause).toBeInstanceOf(Error);
  });

  test('leaves a mistake in a statement what it is', async () => {
    const error = await errorOf(sql`select nothing from nowhere`.execute(store.db));
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(StoreError);
  });

  test('AVL-03: a writer that cannot get its turn is refused as busy within 600 ms, and the holder goes on', async () => {
    await insert(store.db, 1, 'one');
    const begun = Promise.withResolvers<void>();
    const ending = Promise.withResolvers<void>();
    const holder = transact(store, async (trx) => {
      await rename(trx, 1, 'held');
      begun.resolve();
      await ending.promise;
    });
    await begun.promise;
    const startedMs = performance.now();
    expect(await wordOf(transact(store, (trx) => rename(trx, 1, 'other')))).toBe('busy');
    expect(performance.now() - startedMs).toBeLessThan(600);
    ending.resolve();
    await holder;
    await transact(store, (trx) => rename(trx, 1, 'after'));
    expect(await readNames(store.checks)).toEqual(['after']);
  });

  test('makes a try that was refused as busy at once a second time, and no third', async () => {
    let tries = 0;
    const lose = async (): Promise<string> => {
      tries += 1;
      if (tries !== 2) throw new StoreError('busy');
      return 'done';
    };
    expect(await transact(store, lose)).toBe('done');
    expect(tries).toBe(2);
    tries = 2;
    expect(await wordOf(transact(store, lose))).toBe('busy');
    expect(tries).toBe(4);
  });

  test('TP11: whole numbers, instants in milliseconds, text and null come back as they were', async () => {
    const atMs = 1_790_000_000_123;
    await sql`insert into probes (id, name, at) values (${2_147_483_647}, ${'Zoë 🚪'}, ${atMs}), (${2}, ${''}, ${null})`.execute(
      store.db,
    );
    const { rows } = await sql`select id, name, at from probes order by id`.execute(store.checks);
    expect(rows).toEqual([
      { id: 2, name: '', at: null },
      { id: 2_147_483_647, name: 'Zoë 🚪', at: atMs },
    ]);
    const { rows: later } = await sql`select id from probes where at > ${atMs - 1} limit ${5} offset ${0}`.execute(
      store.lists,
    );
    expect(later).toEqual([{ id: 2_147_483_647 }]);
  });

  test.each([
    ['undefined', undefined],
    ['a lone surrogate', 'a\ud800'],
    ['a NUL character', 'a\0b'],
    ['an integer that is not safe', 2 ** 53],
    ['a fraction', 1.5],
    ['not a number', Number.NaN],
    ['a flag', true],
    ['a large integer', 1n],
    ['an object', {}],
  ])('TS10: refuses %s as a parameter, and does not repeat it', async (_, value) => {
    const error = await errorOf(sql`insert into probes (id, name) values (1, ${value})`.execute(store.db));
    expect(String(error)).toMatch(/^Error: Parameter 1 of a statement is [^\d]+\.$/);
    expect(await readNames(store.checks)).toEqual([]);
  });

  test('TS5: no handle streams', async () => {
    const probes = sql<{ name: string }>`select name from probes`;
    for (const handle of [store.db, store.checks, store.lists]) {
      const stream = handle.getExecutor().stream(probes.compile(handle), 1);
      expect(String(await errorOf(Promise.resolve(stream[Symbol.asyncIterator]().next())))).toContain(
        'does not stream',
      );
    }
  });

  test('refuses a transaction that asks for another form', async () => {
    const running = store.db
      .transaction()
      .setIsolationLevel('serializable')
      .execute(async () => {});
    expect(String(await errorOf(running))).toContain('one form');
    await probeStore(store);
  });

  test('many transactions at once each count', async () => {
    await sql`insert into probes (id, name, at) values (1, 'sum', 0)`.execute(store.db);
    await Promise.all(
      Array.from({ length: 50 }, () =>
        transact(store, (trx) => sql`update probes set at = at + 1 where id = 1`.execute(trx)),
      ),
    );
    expect((await sql`select at from probes`.execute(store.checks)).rows).toEqual([{ at: 50 }]);
  });
}

async function insert(db: Kysely<Schema>, id: number, name: string): Promise<void> {
  await sql`insert into probes (id, name) values (${id}, ${name})`.execute(db);
}

async function rename(db: Kysely<Schema>, id: number, name: string): Promise<void> {
  await sql`update probes set name = ${name} where id = ${id}`.execute(db);
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
