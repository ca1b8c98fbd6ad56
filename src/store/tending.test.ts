import { Database } from 'bun:sqlite';
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { HealthEvent } from './health.ts';
import { openStore, type Store } from './open.ts';
import { startTending } from './tending.ts';

const megabyte = 1_048_576;

let directory: string;
let path: string;
let store: Store;
let stopTending: () => Promise<void>;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cardea-tending-'));
  path = join(directory, 'cardea.db');
  store = await openStore({ url: path, create: true });
  await sql`create table probes (id integer primary key, name text not null) strict`.execute(store.db);
  stopTending = startTending(store, path, 20);
});
afterEach(async () => {
  await stopTending();
  await store.close();
  rmSync(directory, { recursive: true });
});

/** Waits for what a round of tending brings, and fails when it does not come. */
async function until(holds: () => boolean): Promise<void> {
  for (let count = 0; count < 200 && !holds(); count += 1) await Bun.sleep(20);
  expect(holds()).toBe(true);
}

test('TS7: a log of more than 8 MB is folded into the file without a further write, and gives its space back', async () => {
  const reader = new Database(path, { readonly: true });
  reader.run('begin');
  reader.query('select count(*) from probes').all();
  for (let id = 1; id <= 12; id += 1) {
    await sql`insert into probes (id, name) values (${id}, ${'x'.repeat(megabyte)})`.execute(store.db);
  }
  expect(statSync(`${path}-wal`).size).toBeGreaterThan(12 * megabyte);
  expect(statSync(path).size).toBeLessThan(megabyte);
  reader.run('commit');
  await until(() => statSync(path).size > 12 * megabyte);
  await sql`insert into probes (id, name) values (13, 'short')`.execute(store.db);
  expect(statSync(`${path}-wal`).size).toBeLessThanOrEqual(8 * megabyte);
  reader.close();
});

test('TS12: the reserve is there from the first moment, private and whole, and is made again when it was given up or cut', async () => {
  const reserve = join(directory, 'reserve.bin');
  expect(statSync(reserve)).toMatchObject({ size: 4 * megabyte });
  expect(statSync(reserve).mode & 0o777).toBe(0o600);
  const events: HealthEvent['kind'][] = [];
  store.health.listen(({ kind }) => events.push(kind));
  truncateSync(reserve, 100);
  await until(() => statSync(reserve).size === 4 * megabyte);
  store.health.note(Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' }));
  expect(store.health.isFull()).toBe(true);
  expect(statSync(reserve, { throwIfNoEntry: false })).toBeUndefined();
  await until(() => !store.health.isFull());
  expect(statSync(reserve)).toMatchObject({ size: 4 * megabyte });
  expect(events).toEqual(['full', 'space_back']);
});

test('TS13: the first error of the disk breaks the store for good; later ones and lesser ones tell nothing new', () => {
  const events: HealthEvent[] = [];
  const coded = (code: string) => Object.assign(new Error(code), { code });
  for (const code of ['SQLITE_BUSY', 'SQLITE_CONSTRAINT_UNIQUE', 'SQLITE_READONLY', 'SQLITE_CANTOPEN']) {
    store.health.note(coded(code));
  }
  expect(store.health.broken()).toBeNull();
  for (const code of ['SQLITE_IOERR_FSYNC', 'SQLITE_CORRUPT', 'SQLITE_NOTADB']) store.health.note(coded(code));
  expect(store.health.broken()?.message).toBe('SQLITE_IOERR_FSYNC');
  store.health.listen((event) => events.push(event));
  store.health.note(coded('SQLITE_IOERR_WRITE'));
  expect(events.map(({ kind }) => kind)).toEqual(['broken']);
  expect(() => store.health.requireSound()).toThrow('unavailable');
});
