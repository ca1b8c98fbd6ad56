/**
 * Whether the database that is found is the one that this directory last used. A server that finds an older one, however it came
 * there, must end every session: it cannot know which of them were ended since.
 */
import { closeSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { readAuditHead } from './audit.ts';
import { readInstallation } from './installation.ts';
import { type Mark, type MarkState, markPath, readMark, writeMark } from './mark.ts';
import { type Store, transact } from './open.ts';
import type { Patience } from './soundness.ts';
import type { Db } from './users.ts';

/** Why the sessions of a database cannot be believed. */
export type Doubt =
  /** A file that `cardea backup`, or another tool that copies databases, has written. */
  | 'backup_copied'
  /** The directory has seen more starts or more audit events than the database has. */
  | 'older_database'
  /** The file of another installation. */
  | 'other_database'
  /** What the directory remembered cannot be read. */
  | 'mark_damaged'
  /** Another server of PostgreSQL was promoted: what the former one acknowledged last may be missing. */
  | 'failed_over';

const startsName = 'starts';
export const backupName = 'backup_made_at';

/** Where a server and its database are. */
export type Place = {
  /** The data directory. */
  readonly directory: string;
  /** The SQLite file in it; null on PostgreSQL. */
  readonly file: string | null;
};

/**
 * Looks at the files before SQLite does, which would take a missing database or log for a new one. On PostgreSQL there is nothing
 * to look at.
 * @throws Error with a sentence for the operator
 */
export function requireWholeFiles({ directory, file }: Place): void {
  if (file === null) return;
  const mark = readMark(directory);
  const known = mark !== null && mark !== 'damaged' && mark.engine === 'sqlite' ? mark : null;
  const form = readForm(file);
  if (form === 'missing') return refuseMissing(known, directory, file);
  refuseForeignLog(file);
  if (form === 'live' && known !== null && known.state !== 'stopped' && statLog(file) === undefined) {
    throw new Error(
      `${file}-wal is missing, although Cardea did not stop cleanly: acknowledged changes may be lost. Put it back, restore a backup with "cardea restore <file>", or accept the database as it is, and end every session, with "cardea restore --in-place".`,
    );
  }
}

/**
 * SQLite would play a log that is there onto whatever file is there.
 * @throws Error when a copy lies beside the log of another database
 */
export function refuseForeignLog(file: string): void {
  if (readForm(file) !== 'copy' || (statLog(file)?.size ?? 0) === 0) return;
  throw new Error(
    `${file} was exchanged, but the log of the former database still lies beside it; move the new file elsewhere and bring it in with "cardea restore <file>".`,
  );
}

function statLog(file: string) {
  return statSync(`${file}-wal`, { throwIfNoEntry: false });
}

function refuseMissing(known: Mark | null, directory: string, file: string): void {
  if (known === null) return;
  throw new Error(
    `${file} is missing, although this directory had a database: restore a backup with "cardea restore <file>", or delete ${markPath(directory)} to begin anew.`,
  );
}

/**
 * Removes the empty file that a first start leaves when it is killed just after making it: a directory that remembers no database
 * has lost none. Only for who holds the directory.
 */
export function removeUnbornFile({ directory, file }: Place): void {
  if (file === null || readMark(directory) !== null || (statLog(file)?.size ?? 0) > 0) return;
  if (statSync(file, { throwIfNoEntry: false })?.size === 0) rmSync(file);
}

/** Cardea keeps its file in the form with a log (WAL, `live`); SQLite's tools write their copies in the form without. */
export type Form = 'missing' | 'live' | 'copy';

export function readForm(file: string): Form {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return 'missing';
  const header = Buffer.alloc(20);
  const opened = openSync(file, 'r');
  try {
    readSync(opened, header, 0, 20, 0);
  } finally {
    closeSync(opened);
  }
  // Bytes 18 and 19: the file format's write and read version, 1 without and 2 with a log.
  return header[18] === 1 && header[19] === 1 ? 'copy' : 'live';
}

/**
 * Compares the database with what the directory remembers; `form` is that of the file before it was opened.
 * @returns why its sessions must end, or null
 */
export async function findDoubt(store: Store, { directory }: Place, form: Form | null): Promise<Doubt | null> {
  if ((await readBackupTime(store.lists)) !== null) return 'backup_copied';
  const mark = readMark(directory);
  if (mark === 'damaged') return 'mark_damaged';
  if (mark === null || mark.engine !== store.engine) return null;
  if (form === 'copy') return 'backup_copied';
  const found = await describe(store);
  if (found.installation !== mark.installation) {
    // Several servers share a PostgreSQL database: one that comes from elsewhere must not end the sessions of all.
    return store.engine === 'sqlite' ? 'other_database' : null;
  }
  return found.starts < mark.starts || found.events < mark.events ? 'older_database' : null;
}

/**
 * Counts the start, in the database first: what stands beside it may never be ahead of what was committed.
 * @throws StoreError when the store is out of reach, and on SQLite an error of the file system
 */
export async function beginRun(store: Store, place: Place, reportFailure: (error: unknown) => void): Promise<void> {
  await transact(store, async (trx) => {
    await trx
      .insertInto('counters')
      .values({ name: startsName, value: 1 })
      .onConflict((conflict) =>
        conflict.column('name').doUpdateSet((row) => ({ value: row('counters.value', '+', 1) })),
      )
      .execute();
  });
  try {
    await noteState(store, place, 'running');
  } catch (error) {
    if (store.engine === 'sqlite') {
      // A full disk: the reserve has room for this, too.
      store.health.setFull(true);
      return noteState(store, place, 'running');
    }
    // A server of PostgreSQL may have nothing of its own but its keys, on a disk that is read-only.
    reportFailure(error);
  }
}

/**
 * Writes down how far the database is.
 * @param state `stopped` as the last thing before the store is closed, so that a log which is gone later is no surprise
 */
export async function noteState(store: Store, { directory }: Place, state: MarkState): Promise<void> {
  const next: Mark = { ...(await describe(store)), state };
  const mark = readMark(directory);
  if (JSON.stringify(mark) !== JSON.stringify(next)) writeMark(directory, next);
}

/**
 * How long a start waits for the look at a large file. To the end, after a server that found it, or its disk, broken. Not at all, when
 * nobody has touched the file since a server left it whole: the look then goes on beside the first answers.
 */
export function patienceFor({ directory, file }: Place, usual: Patience): Patience {
  const mark = readMark(directory);
  if (file === null || mark === null || mark === 'damaged') return usual;
  if (mark.state === 'broken') return { ...usual, waitMs: Number.POSITIVE_INFINITY };
  return mark.state === 'stopped' && mark.file === stampOf(file) ? { ...usual, waitMs: 0 } : usual;
}

/** Tells the next start that the file was left whole; after the store was closed, which is the last that changes it. */
export function noteWhole({ directory, file }: Place, reportFailure: (error: unknown) => void): void {
  try {
    const mark = readMark(directory);
    if (file === null || mark === null || mark === 'damaged' || mark.state !== 'stopped') return;
    writeMark(directory, { ...mark, file: stampOf(file) });
  } catch (error) {
    reportFailure(error);
  }
}

/** Changes with every write to the file, and with every exchange of it for another. */
function stampOf(file: string): string {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? 'missing' : `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
}

/** Tells the next start that the file is to be looked at as a whole; the store itself cannot be asked any more. */
function noteBroken({ directory }: Place): void {
  const mark = readMark(directory);
  if (mark !== null && mark !== 'damaged') writeMark(directory, { ...mark, state: 'broken' });
}

async function describe(store: Store): Promise<Omit<Mark, 'state'>> {
  const { id } = await readInstallation(store.lists);
  const starts = await store.lists
    .selectFrom('counters')
    .select('value')
    .where('name', '=', startsName)
    .executeTakeFirst();
  const { last_id: events } = await readAuditHead(store.lists);
  return { engine: store.engine, installation: id, starts: starts?.value ?? 0, events };
}

/** When the file was made by `cardea backup`: seconds since 1970; null for a database in use. */
export async function readBackupTime(db: Db): Promise<number | null> {
  const row = await db.selectFrom('meta').select('value').where('name', '=', backupName).executeTakeFirst();
  return row === undefined ? null : Number(row.value);
}

/** From now on the database is one in use, whether or not it was a backup. */
export async function forgetBackup(trx: Db): Promise<void> {
  await trx.deleteFrom('meta').where('name', '=', backupName).execute();
}

/**
 * Writes down the state every `everyMs`, so that also a copy that was made since the start is known as old.
 * @returns a function that stops it and writes down the end, before the store is closed; it resolves to whether the directory knows of a
 *   clean end
 */
export function startNoting(
  store: Store,
  place: Place,
  everyMs: number,
  reportFailure: (error: unknown) => void,
): () => Promise<boolean> {
  let round = Promise.resolve();
  const timer = setInterval(() => {
    round = round.then(() => noteState(store, place, 'running')).catch(reportFailure);
  }, everyMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await round;
    try {
      if (store.health.broken() !== null) {
        noteBroken(place);
        return false;
      }
      await noteState(store, place, 'stopped');
      return true;
    } catch (error) {
      reportFailure(error);
      return false;
    }
  };
}
