import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type FormerKey, type KeyRing, type SigningKey, type SigningKeys, toSigningKey } from './core/index.ts';
import { DataDirectoryError, requirePrivate } from './data-directory.ts';
import type { Log } from './log.ts';

/** How often a running server looks for other keys, and after how long every one has surely seen them. */
const lookEveryMs = 100;
export const seenWithinMs = 250;

/** Each costs a refused token one HMAC; rotating every second for a minute and a half is still possible. */
const mostFormerKeys = 100;

/** A draft that is older was left behind by a process that died. */
const staleDraftMs = 10_000;

function keyPath(directory: string): string {
  return join(directory, 'signing-keys.json');
}

/**
 * The signing keys of the directory, made from 256 random bits at the first start.
 * @throws DataDirectoryError when they are missing and `create` is off, open to others, damaged, short or known
 */
export async function loadSigningKeys(directory: string, create: boolean): Promise<SigningKeys> {
  const path = keyPath(directory);
  if (!existsSync(path)) {
    if (!create) throw new DataDirectoryError(`There are no signing keys in ${directory}; "cardea serve" makes them.`);
    await writeFirstKeys(path);
  }
  return readKeys(path);
}

/** Complete or not at all, and never over a file that is there: whoever comes second uses the first one's keys. */
async function writeFirstKeys(path: string): Promise<void> {
  const draft = `${path}.${randomBytes(4).toString('hex')}`;
  await fillDraft(await open(draft, 'wx', 0o600), newKeys);
  try {
    await link(draft, path).catch(ignoreExisting);
    await syncDirectory(path);
  } finally {
    await unlink(draft);
  }
}

function ignoreExisting(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
}

function newKey(): SigningKey {
  return toSigningKey(randomBytes(32));
}

function newKeys(): SigningKeys {
  return { current: newKey(), next: null, previous: [], mask: randomBytes(32) };
}

/**
 * First step of a rotation: the key that will sign next is made, and verifies from now on. One that is there already is kept.
 * @returns its id
 * @throws DataDirectoryError
 */
export async function prepareNextKey(directory: string, nowSeconds: number): Promise<string> {
  const { next } = await changeKeys(directory, (keys) => {
    const counting = keys.previous.filter((key) => isCounting(key, nowSeconds));
    if (counting.length >= mostFormerKeys) throw new DataDirectoryError(describeCrowd(counting));
    return { ...keys, next: keys.next ?? newKey() };
  });
  return next?.id ?? '';
}

/**
 * Second step: the prepared key signs, and the one that did so far goes on verifying until its last token has expired.
 * Former keys that are past their end go.
 * @throws DataDirectoryError, also when another rotation used the prepared key a moment before
 */
export async function promoteNextKey(directory: string, nowSeconds: number, until: number): Promise<SigningKeys> {
  return changeKeys(directory, ({ current, next, previous, mask }) => {
    if (next === null)
      throw new DataDirectoryError('Another rotation was made at the same moment; this one did nothing.');
    const dated = previous.map((key) => ({ ...key, until: key.until ?? until }));
    const former = [{ ...current, until }, ...dated.filter((key) => isCounting(key, nowSeconds))];
    return { current: next, next: null, previous: former, mask };
  });
}

/** Emergency: everything new, and nothing of before verifies any more. @throws DataDirectoryError */
export async function replaceAllKeys(directory: string): Promise<SigningKeys> {
  return changeKeys(directory, newKeys);
}

function isCounting({ until }: FormerKey, nowSeconds: number): boolean {
  return until === null || until > nowSeconds;
}

function describeCrowd(former: readonly FormerKey[]): string {
  const first = Math.min(...former.map(({ until }) => until ?? Number.POSITIVE_INFINITY));
  const when = Number.isFinite(first) ? `, the first of them until ${new Date(first * 1000).toISOString()}` : '';
  return `There are ${former.length} earlier signing keys whose tokens still count${when}; rotate later, or with --emergency.`;
}

/** Reads, changes and exchanges the file in one go; the draft keeps a second process out meanwhile. */
async function changeKeys(directory: string, change: (keys: SigningKeys) => SigningKeys): Promise<SigningKeys> {
  const path = keyPath(directory);
  const draft = `${path}.new`;
  await removeStaleDraft(draft);
  const file = await openDraft(draft);
  try {
    const changed = await fillDraft(file, () => change(readKeys(path)), statSync(path));
    await rename(draft, path);
    await syncDirectory(path);
    return changed;
  } catch (error) {
    // Nothing is there any more when only the last step failed.
    await unlink(draft).catch(() => undefined);
    throw error;
  }
}

async function removeStaleDraft(draft: string): Promise<void> {
  const stat = statSync(draft, { throwIfNoEntry: false });
  if (stat !== undefined && Date.now() - stat.mtimeMs > staleDraftMs) await unlink(draft);
}

async function openDraft(draft: string): Promise<FileHandle> {
  try {
    return await open(draft, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new DataDirectoryError('Another rotation is under way; try again in some seconds.');
  }
}

type Owner = { readonly uid: number; readonly gid: number };

/** Writes the keys and closes the file, for the owner of the present one: root may rotate for a server that is not root. */
async function fillDraft(file: FileHandle, makeKeys: () => SigningKeys, owner?: Owner): Promise<SigningKeys> {
  try {
    const keys = makeKeys();
    await file.writeFile(`${printKeys(keys)}\n`);
    if (owner !== undefined && owner.uid !== process.getuid?.()) await file.chown(owner.uid, owner.gid);
    await file.sync();
    return keys;
  } finally {
    await file.close();
  }
}

/** A new name is durable only once its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function printKeys({ current, next, previous, mask }: SigningKeys): string {
  return JSON.stringify({
    current: printKey(current),
    next: next === null ? null : printKey(next),
    previous: previous.map((key) => ({ key: printKey(key), until: key.until })),
    mask: Buffer.from(mask).toString('base64url'),
  });
}

function printKey({ bytes }: SigningKey): string {
  return Buffer.from(bytes).toString('base64url');
}

function readKeys(path: string): SigningKeys {
  requirePrivate(path, 'chmod 600');
  try {
    const { current, next, previous, mask } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    return {
      current: readKey(current),
      next: next === null || next === undefined ? null : readKey(next),
      previous: readFormerKeys(previous),
      mask: readKey(mask).bytes,
    };
  } catch (error) {
    // A parser's own message would quote the file, which holds the keys.
    const reason =
      error instanceof SyntaxError || error instanceof TypeError ? 'it is damaged' : (error as Error).message;
    throw new DataDirectoryError(`The signing keys in ${path} cannot be used: ${reason}.`);
  }
}

/** A list; before there was rotation it was one key without an end, or null. */
function readFormerKeys(previous: unknown): FormerKey[] {
  if (previous === null) return [];
  if (typeof previous === 'string') return [{ ...readKey(previous), until: null }];
  if (!Array.isArray(previous)) throw new TypeError('no list');
  return previous.map((one: unknown) => {
    const { key, until } = one as Record<string, unknown>;
    if (until !== null && !Number.isSafeInteger(until)) throw new TypeError('no second');
    return { ...readKey(key), until: until as number | null };
  });
}

function readKey(text: unknown): SigningKey {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]+$/.test(text)) throw new TypeError('no base64url text');
  return toSigningKey(Buffer.from(text, 'base64url'));
}

/** A running server's eye on the key file. */
export type KeyWatch = {
  /** Looks now, and reads the file even if it looks unchanged. @throws DataDirectoryError; the keys in use stay */
  readonly reload: () => void;
  readonly stop: () => void;
};

/**
 * Follows the key file: within `seenWithinMs` of an exchange the ring holds the new keys. A file that cannot be used changes nothing
 * and is told in the log once, so that a slip of the operator signs nobody out.
 */
export function watchSigningKeys(directory: string, ring: KeyRing, log: Log): KeyWatch {
  const path = keyPath(directory);
  let seen = readStamp(path);
  // The ring was filled earlier in the start; an exchange since then would pass for the state before.
  ring.replace(readKeys(path));
  const reload = () => {
    seen = readStamp(path);
    const keys = readKeys(path);
    ring.replace(keys);
    log.info('signing_keys.reloaded', { current: keys.current.id, former: keys.previous.length });
  };
  const look = () => {
    if (readStamp(path) === seen) return;
    try {
      reload();
    } catch (error) {
      log.error('signing_keys.not_reloaded', { error });
    }
  };
  const timer = setInterval(look, lookEveryMs);
  timer.unref();
  return { reload, stop: () => clearInterval(timer) };
}

/** Changes with every exchange: an inode number may come again, the time of the change does not. */
function readStamp(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? 'missing' : `${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.size}`;
}
