import { randomBytes } from 'node:crypto';
import { existsSync, realpathSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { type Config, loadConfig } from '../config.ts';
import { endEverySession, type RestorationCause } from '../core/index.ts';
import { DataDirectoryError, prepareDirectory } from '../data-directory.ts';
import { toPlace } from '../open-core.ts';
import { type CopyFacts, copyAtRest, exchangeFile, inMegabytes, readCopy, requireIntegrity } from '../store/backup.ts';
import { noteState, type Place, refuseForeignLog } from '../store/lineage.ts';
import { holdLock } from '../store/lock.ts';
import { migrate, requireCurrentSchema } from '../store/migrations/index.ts';
import { openStore, type Store } from '../store/open.ts';
import { requireSoundFile } from '../store/soundness.ts';
import { compactInstant } from './backup.ts';
import { confirm, countUsers, printInstant, printJson, printLine, printStep } from './output.ts';
import { explainRestore } from './postgres-tools.ts';
import { localCaller, UsageError } from './with-core.ts';

type Flags = { readonly inPlace?: boolean; readonly yes?: boolean; readonly json?: boolean };

const help = `
Stop the server first. The file is copied and checked before anything is replaced; the replaced database is kept beside the new one.
Every session ends, whenever it was opened: after the backup was made some may have been ended, and none may come back to life.
Users, passwords, API keys and rights are as in the backup; what was changed or revoked since, API keys too, has to be done again.

On a new machine: set CARDEA_DATA, run "cardea restore <file>", then "cardea serve". The signing keys and the self-signed
certificate are not part of a backup; the start makes new ones. Put a kept tls-cert.pem and tls-key.pem into the data directory
before, if clients trust them.

--in-place is for a database that was brought back by other means: pg_restore on PostgreSQL, a snapshot of the disk, a file whose
log is lost. It checks the database as it is and ends every session.`;

export function addRestoreCommand(program: Command): void {
  program
    .command('restore [source]')
    .description('put a backup in the place of the database and end every session')
    .option('--in-place', 'keep the database as it is now, and end every session')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(restore);
}

async function restore(source: string | undefined, flags: Flags): Promise<void> {
  if ((source === undefined) !== (flags.inPlace === true)) {
    throw new UsageError(
      'Name the backup to restore, or --in-place for a database that was brought back by other means.',
    );
  }
  const config = loadConfig(process.env);
  const place = toPlace(config);
  if (place.file === null) return restorePostgres(config, place, source, flags);
  prepareDirectory(config.data);
  const lock = holdLock(config.data);
  if (lock === null) {
    throw new DataDirectoryError(`A Cardea server is using ${join(config.data, '.')}; stop it first.`);
  }
  try {
    if (source === undefined) await restoreInPlace(config, place, flags);
    else await restoreFile({ ...place, file: place.file }, resolve(source), flags);
  } finally {
    lock.release();
  }
}

async function restorePostgres(config: Config, place: Place, source: string | undefined, flags: Flags): Promise<void> {
  if (source !== undefined) throw new UsageError(explainRestore(config.databaseUrl, source));
  prepareDirectory(config.data);
  await restoreInPlace(config, place, flags);
}

async function restoreInPlace(config: Config, place: Place, flags: Flags): Promise<void> {
  if (place.file !== null) refuseForeignLog(place.file);
  const { allowUnsafeDurability } = config.store;
  const store = await openStore({ url: place.file ?? config.databaseUrl, create: false, allowUnsafeDurability });
  try {
    await requireCurrentSchema(store);
    await requireSoundFile(store);
    await requireConfirmation('Every session ends; users, keys and rights stay as they are.', flags);
    await endSessions(store, 'in_place');
    await noteState(store, place, 'stopped');
  } finally {
    await store.close();
  }
  if (flags.json === true) return printJson({ sessionsEnded: true });
  printLine('Every session has ended; users, keys and rights are as they were.');
}

type FilePlace = Place & { readonly file: string };

async function restoreFile(place: FilePlace, source: string, flags: Flags): Promise<void> {
  if (!existsSync(source)) throw new UsageError(`There is no file ${source}.`);
  if (existsSync(place.file) && realpathSync(source) === realpathSync(place.file)) {
    throw new UsageError(`${source} is the database itself; --in-place ends its sessions.`);
  }
  const draft = `${place.file}.${randomBytes(4).toString('hex')}.restoring`;
  try {
    printStep(`Copying ${source}`);
    copyAtRest(source, draft);
    printStep('Checking the copy');
    requireIntegrity(draft);
    const facts = readCopy(draft);
    await requireConfirmation(describeLoss(place.file, source, facts), flags);
    await makeUsable(draft);
    const aside = exchangeFile(place.file, draft, `replaced-${compactInstant(Math.floor(Date.now() / 1000))}`);
    await settle(place);
    report(source, facts, aside, flags);
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(draft + suffix, { force: true });
  }
}

/** What the operator is about to lose; null when there is nothing yet. */
function describeLoss(file: string, source: string, facts: CopyFacts): string | null {
  if (!existsSync(file)) return null;
  const now = describeFormer(file);
  return [
    `This replaces ${file}${now}`,
    `by ${source} (${describeCopy(facts)}).`,
    'Every session ends, and what was changed since the backup is lost. The replaced database is kept beside the new one.',
  ].join('\n');
}

function describeFormer(file: string): string {
  try {
    return ` (${describeCopy(readCopy(file))})`;
  } catch {
    // It may be just what is broken.
    return ' (which cannot be read)';
  }
}

function describeCopy({ users, bytes, madeAt, lastEventAt }: CopyFacts): string {
  const made = madeAt === null ? '' : `, backup of ${printInstant(madeAt)}`;
  const last = lastEventAt === null ? '' : `, last change ${printInstant(lastEventAt)}`;
  return `${countUsers(users)}, ${inMegabytes(bytes)}${made}${last}`;
}

/** Brings the copy to the present schema and ends its sessions, before it takes its place: no moment sees them alive. */
async function makeUsable(draft: string): Promise<void> {
  const store = await openStore({ url: draft, create: false });
  try {
    await migrate(store);
    await endSessions(store, 'restored');
  } finally {
    await store.close();
  }
}

/** From now on this is the database that the directory knows. */
async function settle(place: FilePlace): Promise<void> {
  const store = await openStore({ url: place.file, create: false });
  try {
    await noteState(store, place, 'stopped');
  } finally {
    await store.close();
  }
}

function endSessions(store: Store, cause: RestorationCause): Promise<void> {
  return endEverySession({ store, clock: Date.now }, cause, localCaller());
}

async function requireConfirmation(what: string | null, flags: Flags): Promise<void> {
  if (what === null || flags.yes === true) return;
  if (await confirm(what)) return;
  throw new UsageError('Nothing was changed; answer yes, or add --yes.');
}

function report(source: string, facts: CopyFacts, aside: string | null, flags: Flags): void {
  const { users, madeAt } = facts;
  if (flags.json === true) return printJson({ source, users, madeAt, replaced: aside });
  printLine(`Restored ${source} (${describeCopy(facts)}). Every session has ended.`);
  if (aside !== null) printLine(`The replaced database is ${aside}; delete it when it is not needed any more.`);
}
