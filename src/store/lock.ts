import { Database } from 'bun:sqlite';
import { join } from 'node:path';

/** Held here because an unreferenced handle is collected, and its lock is lost with it. */
const held = new Set<Database>();

/**
 * Takes the data directory for this process, so that two servers never write one file: an exclusive transaction on the side file
 * `cardea.lock`, which also ends with kill -9. The file must never be deleted, for then two processes lock two files of its name.
 * @returns null when another process, or this one, holds it
 * @throws Error when the file cannot be made
 */
export function holdLock(directory: string): { release(): void } | null {
  const db = openLockFile(join(directory, 'cardea.lock'));
  try {
    // Somebody may be asking `isLocked` right now.
    db.run('pragma busy_timeout = 100');
    db.run('begin exclusive');
  } catch (error) {
    db.close();
    if ((error as { code?: unknown }).code === 'SQLITE_BUSY') return null;
    throw error;
  }
  held.add(db);
  return {
    release() {
      held.delete(db);
      db.close();
    },
  };
}

/** Whether a server holds the data directory at this moment. */
export function isLocked(directory: string): boolean {
  const lock = holdLock(directory);
  lock?.release();
  return lock === null;
}

function openLockFile(path: string): Database {
  const umask = process.umask(0o077);
  try {
    return new Database(path, { readwrite: true, create: true });
  } finally {
    process.umask(umask);
  }
}
