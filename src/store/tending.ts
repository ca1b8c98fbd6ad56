/** What a server does for its SQLite file every second: is it still there, has its log grown too long, is there space. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { sql } from 'kysely';
import { reservePath } from './health.ts';
import type { Store } from './open.ts';

/** Enough for some hundred endings of sessions, after which the log is folded into the file and its space used again. */
const reserveBytes = 4 * 1024 * 1024;
/** SQLite folds its log by itself at 4 MB, but not after every kind of statement. */
const longestLogBytes = 8 * 1024 * 1024;

/**
 * Looks after the file every `everyMs`, and makes the reserve at once.
 * @param file the SQLite file; null on PostgreSQL, where there is nothing to do
 * @returns a function that stops it and resolves when nothing of it is under way
 */
export function startTending(store: Store, file: string | null, everyMs: number): () => Promise<void> {
  if (file === null) return async () => undefined;
  keepReserve(store, file);
  let round = Promise.resolve();
  const timer = setInterval(() => {
    round = round.then(() => tend(store, file));
  }, everyMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await round;
  };
}

async function tend(store: Store, file: string): Promise<void> {
  try {
    store.health.requireSound();
    keepReserve(store, file);
    await shortenLog(store, file);
  } catch {
    // A store in trouble has told it itself; the next round looks again.
  }
}

/** A missing reserve means a full disk, whoever gave it up: this server, or a command beside it. */
function keepReserve(store: Store, file: string): void {
  const reserve = reservePath(file);
  if (sizeOf(reserve) === reserveBytes) return store.health.setFull(false);
  const { bavail, bsize } = statfsSync(dirname(file));
  const isMade = bavail * bsize >= 2 * reserveBytes && makeReserve(reserve);
  store.health.setFull(!isMade);
}

/** Filled, since a hole takes no space, and with what no file system compresses. */
function makeReserve(path: string): boolean {
  try {
    const reserve = openSync(path, 'w', 0o600);
    try {
      return writeSync(reserve, randomBytes(reserveBytes)) === reserveBytes;
    } finally {
      closeSync(reserve);
    }
  } catch {
    rmSync(path, { force: true });
    return false;
  }
}

/** Waits for nobody: what a reader still needs stays in the log until the next round. */
async function shortenLog(store: Store, file: string): Promise<void> {
  if (sizeOf(`${file}-wal`) <= longestLogBytes) return;
  await sql`pragma wal_checkpoint(passive)`.execute(store.db);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
