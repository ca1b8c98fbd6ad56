import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A data directory that cannot be used; the message is a sentence for the operator. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
}

/** Where the embedded database lies in a data directory. */
export function databasePath(directory: string): string {
  return join(directory, 'cardea.db');
}

/**
 * Makes the directory if it is missing, for this user alone. @throws DataDirectoryError when others can enter it
 */
export function prepareDirectory(directory: string): void {
  process.umask(0o077);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  requirePrivate(directory, 'chmod 700');
}

/** @throws DataDirectoryError for a file or directory that is open to other users */
export function requirePrivate(path: string, remedy: string): void {
  if (process.platform === 'win32' || (statSync(path).mode & 0o077) === 0) return;
  throw new DataDirectoryError(`${path} is open to other users of this machine; close it with: ${remedy} ${path}`);
}
