import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { link, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type SigningKeys, toSigningKey } from './core/index.ts';

/** A data directory that cannot be used; the message is a sentence for the operator. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
}

const keyFile = 'signing-keys.json';

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
function requirePrivate(path: string, remedy: string): void {
  if (process.platform === 'win32' || (statSync(path).mode & 0o077) === 0) return;
  throw new DataDirectoryError(`${path} is open to other users of this machine; close it with: ${remedy} ${path}`);
}

/**
 * The signing keys of the directory, made from 256 random bits at the first start.
 * @throws DataDirectoryError when they are missing and `create` is off, open to others, damaged, short or known
 */
export async function loadSigningKeys(directory: string, create: boolean): Promise<SigningKeys> {
  const path = join(directory, keyFile);
  if (!existsSync(path)) {
    if (!create) throw new DataDirectoryError(`There are no signing keys in ${directory}; "cardea serve" makes them.`);
    await writeNewKeys(path);
  }
  requirePrivate(path, 'chmod 600');
  return readKeys(path);
}

/** Complete or not at all, and never over a file that is there: whoever comes second uses the first one's keys. */
async function writeNewKeys(path: string): Promise<void> {
  const secret = () => randomBytes(32).toString('base64url');
  const text = JSON.stringify({ current: secret(), previous: null, mask: secret() });
  const draft = `${path}.${randomBytes(4).toString('hex')}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(`${text}\n`);
    await file.sync();
    await link(draft, path).catch(ignoreExisting);
  } finally {
    await file.close();
    await unlink(draft);
  }
}

function ignoreExisting(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
}

function readKeys(path: string): SigningKeys {
  try {
    const { current, previous, mask } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    return {
      current: readKey(current),
      previous: previous === null ? null : readKey(previous),
      mask: readKey(mask).bytes,
    };
  } catch (error) {
    // A parser's own message would quote the file, which holds the keys.
    const reason =
      error instanceof SyntaxError || error instanceof TypeError ? 'it is damaged' : (error as Error).message;
    throw new DataDirectoryError(`The signing keys in ${path} cannot be used: ${reason}.`);
  }
}

function readKey(text: unknown) {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]+$/.test(text)) throw new TypeError('no base64url text');
  return toSigningKey(Buffer.from(text, 'base64url'));
}
