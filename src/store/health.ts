/**
 * What has befallen a SQLite file, as its connections see it: whether it may still be written, and whether the disk is full. Each
 * process has its own view of it.
 */
import { closeSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { StoreError } from './errors.ts';

export type HealthEvent =
  /**
   * Something that SQLite cannot recover from happened; nothing is written by this process any more. On a disk that has become
   * read-only a new process could not even start, so this one goes on reading.
   */
  | { readonly kind: 'broken'; readonly error: Error; readonly readOnly: boolean }
  /** The disk is full: the reserve was given up, so that sessions can be ended. */
  | { readonly kind: 'full' }
  /** There is space again, and a new reserve. */
  | { readonly kind: 'space_back' };

export type Health = {
  /** Why nothing is written any more; null while all is well. */
  readonly broken: () => Error | null;
  /** The disk is full: what opens sessions is refused, so that what ends them has room. */
  readonly isFull: () => boolean;
  /** Takes note of what a driver threw. */
  readonly note: (error: unknown) => void;
  /** Takes note of a disk that is full, or has space again. */
  readonly setFull: (full: boolean) => void;
  /** Remembers the file as the one that was opened. */
  readonly adoptFile: () => void;
  /** @throws StoreError when the store is broken, or its file was moved or deleted, which breaks it */
  readonly requireSound: () => void;
  /** The one listener, who is told of what happened before, too. */
  readonly listen: (listener: (event: HealthEvent) => void) => void;
};

/**
 * After a failed write or flush SQLite reports later ones as done although the kernel may have dropped the pages in between; and
 * a file that was moved goes on working for whoever has it open: what is acknowledged would go to nobody.
 */
const breaking = /^SQLITE_(IOERR|CORRUPT|NOTADB|READONLY_DBMOVED)/;

/** The file that is given up when the disk is full: SQLite needs space even to delete. */
export function reservePath(file: string): string {
  return join(dirname(file), 'reserve.bin');
}

export function createHealth(file: string): Health {
  let inode: number | undefined;
  let broken: Extract<HealthEvent, { kind: 'broken' }> | null = null;
  let full = false;
  let tell: (event: HealthEvent) => void = () => undefined;
  const breakDown = (error: Error) => {
    if (broken !== null) return;
    broken = { kind: 'broken', error, readOnly: isReadOnly(dirname(file)) };
    tell(broken);
  };
  const setFull = (now: boolean) => {
    if (now) giveUpReserve(file);
    if (full === now) return;
    full = now;
    tell({ kind: now ? 'full' : 'space_back' });
  };
  return {
    broken: () => broken?.error ?? null,
    isFull: () => full,
    setFull,
    note(error) {
      if (!(error instanceof Error)) return;
      const { code } = error as { code?: unknown };
      if (code === 'SQLITE_FULL') setFull(true);
      else if (breaking.test(String(code))) breakDown(error);
    },
    adoptFile: () => {
      inode = statSync(file).ino;
    },
    requireSound() {
      if (broken === null && statSync(file, { throwIfNoEntry: false })?.ino !== inode) breakDown(moved());
      if (broken !== null) throw new StoreError('unavailable', broken.error);
    },
    listen(listener) {
      tell = listener;
      if (broken !== null) tell(broken);
      if (full) tell({ kind: 'full' });
    },
  };
}

/** After an error the kernel may leave a file system readable only; it says so when a file is made, not when it is asked. */
function isReadOnly(directory: string): boolean {
  const probe = join(directory, 'write-probe');
  try {
    closeSync(openSync(probe, 'w', 0o600));
    rmSync(probe, { force: true });
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS';
  }
}

function giveUpReserve(file: string): void {
  try {
    rmSync(reservePath(file), { force: true });
  } catch {
    // The disk may be read-only as well; the caller has its error already.
  }
}

/** Looks like SQLite's own error, which it does not raise for files with a log. */
function moved(): Error {
  return Object.assign(new Error('the database file was moved or deleted'), { code: 'SQLITE_READONLY_DBMOVED' });
}

/** PostgreSQL looks after its own files. */
export const foreignHealth: Health = {
  broken: () => null,
  isFull: () => false,
  note: () => undefined,
  setFull: () => undefined,
  adoptFile: () => undefined,
  requireSound: () => undefined,
  listen: () => undefined,
};
