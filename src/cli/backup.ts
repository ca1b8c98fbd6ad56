import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { type Config, loadConfig } from '../config.ts';
import { toPlace } from '../open-core.ts';
import { inMegabytes, writeBackup } from '../store/backup.ts';
import { requireWholeFiles } from '../store/lineage.ts';
import { countUsers, printInstant, printJson, printLine, printStep } from './output.ts';
import { explainDump } from './postgres-tools.ts';
import { UsageError } from './with-core.ts';

type Flags = { readonly replace?: boolean; readonly json?: boolean };

const help = `
The backup is one file with the state of one moment: users, password hashes, API keys (as digests), rights, sessions, audit. It is
checked before it gets its name, and made for this user alone (mode 600). It works beside a running server.

It has neither the signing keys nor the certificate of the data directory: who steals a backup can sign no token. None is needed to
restore, since a restore ends every session; the next start makes what is missing. Keep copies of tls-cert.pem and tls-key.pem if
clients trust the self-signed certificate, and of signing-keys.json if several servers share one PostgreSQL.

On PostgreSQL the command says how to call pg_dump instead.`;

export function addBackupCommand(program: Command): void {
  program
    .command('backup <target>')
    .description('write a checked copy of the database to a file, or into a directory under a name with the time')
    .option('--replace', 'replace a file that is there already')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(backup);
}

function backup(target: string, flags: Flags): void {
  const config = loadConfig(process.env);
  const madeAt = Math.floor(Date.now() / 1000);
  const path = chooseTarget(config, resolve(target), madeAt, flags);
  const place = toPlace(config);
  if (place.file === null) throw new UsageError(explainDump(config.databaseUrl, path));
  requireWholeFiles(place);
  if (!existsSync(place.file)) throw new UsageError(`There is no store at ${place.file}.`);
  process.umask(0o077);
  const options = { file: place.file, target: path, replace: flags.replace === true, madeAt, report: printStep };
  const { users, bytes } = writeBackup(options);
  if (flags.json === true) return printJson({ path, bytes, users, madeAt });
  printLine(`Wrote ${path} (${inMegabytes(bytes)}, ${countUsers(users)}, ${printInstant(madeAt)}).`);
  printLine('Keep it private: it holds password hashes. Signing keys and certificate are not in it.');
}

/** @throws UsageError for a place that cannot be written, is taken, or is lost together with the database */
function chooseTarget(config: Config, target: string, madeAt: number, flags: Flags): string {
  const isFolder = statSync(target, { throwIfNoEntry: false })?.isDirectory() === true;
  const path = isFolder ? join(target, `cardea-${compactInstant(madeAt)}.db`) : target;
  const folder = dirname(path);
  if (!existsSync(folder)) throw new UsageError(`There is no directory ${folder}.`);
  if (existsSync(config.data) && realpathSync(folder) === realpathSync(config.data)) {
    throw new UsageError('A backup in the data directory is lost together with the database; choose another place.');
  }
  if (existsSync(path) && flags.replace !== true) {
    throw new UsageError(`${path} exists already; choose another name, or add --replace.`);
  }
  return path;
}

/** `20260507T183000Z`, for names of files. */
export function compactInstant(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replaceAll(/[-:]|\.000/g, '');
}
