/** Copies of the SQLite file: written beside a running server, and judged before one takes the place of the database. */
import { Database } from 'bun:sqlite';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { translate } from './errors.ts';
import { backupName, readForm } from './lineage.ts';
import { syncFolderOf } from './mark.ts';
import { currentSchema } from './migrations/index.ts';
import { openFile } from './sqlite-file.ts';

/** What a copy says of itself. */
export type CopyFacts = {
  /** Seconds since 1970; null for a file that no backup command wrote. */
  readonly madeAt: number | null;
  readonly schema: number;
  readonly users: number;
  /** When its last audit event happened, seconds since 1970; null for none. */
  readonly lastEventAt: number | null;
  readonly bytes: number;
};

export type BackupOptions = {
  /** The database. */
  readonly file: string;
  readonly target: string;
  /** Whether a file at `target` is replaced. */
  readonly replace: boolean;
  /** Seconds since 1970. */
  readonly madeAt: number;
  /** Told before each long step. */
  readonly report: (step: string) => void;
};

/**
 * Writes a whole, checked copy, or nothing: it gets its name when it is on the disk. The server's own work goes on meanwhile; the
 * copy is the state of one moment.
 * @throws Error with a sentence for the operator, StoreError when the database cannot be read
 */
export function writeBackup({ file, target, replace, madeAt, report }: BackupOptions): CopyFacts {
  const draft = `${target}.${randomBytes(4).toString('hex')}.partial`;
  try {
    report(`Copying ${file} (${inMegabytes(sizeOf(file) + sizeOf(`${file}-wal`))})`);
    copyInto(file, draft);
    stamp(draft, madeAt);
    report('Checking the copy');
    requireIntegrity(draft);
    const facts = readCopy(draft);
    syncFile(draft);
    giveName(draft, target, replace);
    return facts;
  } finally {
    rmSync(draft, { force: true });
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function copyInto(file: string, draft: string): void {
  const source = openFile(file, { readonly: true });
  try {
    source.db.run('vacuum into ?', [draft]);
  } catch (error) {
    throw isFull(error) ? new Error(`there is not enough space for the backup at ${draft}.`) : translate(error);
  } finally {
    source.close();
  }
}

function isFull(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'SQLITE_FULL';
}

/** A server that finds the copy in the place of its database knows by this that it is one. */
function stamp(draft: string, madeAt: number): void {
  const copy = new Database(draft, { readwrite: true, strict: true });
  try {
    copy.run('insert into meta (name, value) values (?, ?)', [backupName, String(madeAt)]);
  } finally {
    copy.close();
  }
}

/** @throws Error naming the first flaw */
export function requireIntegrity(path: string): void {
  const found = withCopy(path, (copy) => copy.query('pragma integrity_check(1)').values()[0]?.[0]);
  if (found !== 'ok') throw new Error(`${path} is damaged (${String(found).replace(/\s+/g, ' ')}).`);
}

/** @throws Error when the file is no database of Cardea's, or one of a newer version */
export function readCopy(path: string): CopyFacts {
  const facts = withCopy(path, (copy): CopyFacts => {
    const value = (sql: string) => copy.query(sql).values()[0]?.[0] ?? null;
    const meta = (name: string) => value(`select value from meta where name = '${name}'`);
    const madeAt = meta(backupName);
    const lastEventAt = value('select at from audit_events order by id desc limit 1');
    return {
      madeAt: madeAt === null ? null : Number(madeAt),
      schema: Number(meta('schema')),
      users: Number(value('select count(*) from users')),
      lastEventAt: lastEventAt === null ? null : Number(lastEventAt),
      bytes: statSync(path).size,
    };
  });
  if (facts.schema > currentSchema) throw new Error(`${path} was written by a newer version of Cardea.`);
  return facts;
}

function withCopy<T>(path: string, read: (copy: Database) => T): T {
  let copy: Database | undefined;
  try {
    copy = new Database(path, { readonly: true, strict: true });
    return read(copy);
  } catch (error) {
    throw new Error(`${path} is not a sound database of Cardea (${(error as Error).message}).`, { cause: error });
  } finally {
    copy?.close();
  }
}

/**
 * Copies a file that is at rest, for this user alone, and puts it on the disk.
 * @throws Error when the file is in use, or was when its machine stopped: what it knows is in its log then
 */
export function copyAtRest(source: string, draft: string): void {
  const log = statSync(`${source}-wal`, { throwIfNoEntry: false });
  if (log !== undefined && log.size > 0) {
    throw new Error(`${source} is in use, or was not left cleanly; make a copy of it with "cardea backup".`);
  }
  copyFileSync(source, draft);
  chmodSync(draft, 0o600);
  syncFile(draft);
}

function syncFile(path: string): void {
  const file = openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function giveName(draft: string, target: string, replace: boolean): void {
  // A link never replaces a file that came there meanwhile.
  if (replace) renameSync(draft, target);
  else linkSync(draft, target);
  syncFolderOf(target);
}

/**
 * Puts `draft` in the place of the database. At every moment in between the database is there, the former one or the new one.
 * @returns where the former one is now, or null when there was none
 */
export function exchangeFile(file: string, draft: string, suffix: string): string | null {
  const free = freeName(`${file}.${suffix}`);
  const aside = existsSync(file) ? free : null;
  foldLog(file);
  if (aside !== null) linkSync(file, aside);
  // The log belongs to the former database; SQLite would play it onto the new one.
  if (existsSync(`${file}-wal`)) renameSync(`${file}-wal`, `${free}-wal`);
  rmSync(`${file}-shm`, { force: true });
  renameSync(draft, file);
  syncFolderOf(file);
  return aside;
}

/** Two restores may come within one second. */
function freeName(name: string): string {
  let free = name;
  for (let count = 2; existsSync(free) || existsSync(`${free}-wal`); count += 1) free = `${name}-${count}`;
  return free;
}

/** So that the former database is one whole file again; one that is damaged keeps its log beside it. */
function foldLog(file: string): void {
  if (readForm(file) !== 'live') return;
  try {
    const former = new Database(file, { readwrite: true });
    former.run('pragma wal_checkpoint(truncate)');
    former.close();
  } catch {
    // It goes aside as it is.
  }
}

export function inMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
