/**
 * What a data directory remembers of its database, in a file beside it: how often it was started and how far its audit had come.
 * A database that knows less than this comes from the past: somebody copied an old file back, and sessions that were ended since
 * would live again.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

const markStates = ['running', 'stopped', 'broken'] as const;
export type MarkState = (typeof markStates)[number];

export type Mark = {
  readonly engine: 'sqlite' | 'postgres';
  /** Identity of the database. */
  readonly installation: string;
  /** Servers started on it so far. */
  readonly starts: number;
  /** Number of the last audit event that was certainly committed. */
  readonly events: number;
  /**
   * `running`: a server uses the database, or did not come to its clean end. `broken`: the last one ended because of an error of the
   * disk or of the file.
   */
  readonly state: MarkState;
  /** What the system said of the SQLite file when it was left, by a server that had found it whole: `stampOf`. */
  readonly file?: string;
};

export function markPath(directory: string): string {
  return join(directory, 'database-mark.json');
}

/** @returns null when there is none, `damaged` when it says nothing that can be trusted */
export function readMark(directory: string): Mark | 'damaged' | null {
  let text: string;
  try {
    text = readFileSync(markPath(directory), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return parseMark(text) ?? 'damaged';
}

function parseMark(text: string): Mark | undefined {
  try {
    const { engine, installation, starts, events, ...rest } = JSON.parse(text) as Record<string, unknown>;
    const state = markStates.find((known) => known === rest['state']);
    if (engine !== 'sqlite' && engine !== 'postgres') return undefined;
    if (typeof installation !== 'string' || state === undefined) return undefined;
    if (!isCount(starts) || !isCount(events)) return undefined;
    const file = rest['file'];
    return { engine, installation, starts, events, state, ...(typeof file === 'string' && { file }) };
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** Complete or not at all, and on the disk when it returns. */
export function writeMark(directory: string, mark: Mark): void {
  const draft = `${markPath(directory)}.${randomBytes(4).toString('hex')}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, `${JSON.stringify(mark)}\n`);
    fsyncSync(file);
    renameSync(draft, markPath(directory));
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  syncFolderOf(markPath(directory));
}

/** Puts a name that was made, changed or removed on the disk. */
export function syncFolderOf(path: string): void {
  // Windows has no such call; its file systems keep names in order themselves.
  if (process.platform === 'win32') return;
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
