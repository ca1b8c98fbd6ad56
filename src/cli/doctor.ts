import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { sql } from 'kysely';
import { type Config, loadConfig } from '../config.ts';
import { verifyAudit } from '../core/index.ts';
import { toPlace } from '../open-core.ts';
import { loadSigningKeys } from '../signing-keys.ts';
import { explainRefusal, readFileSystem } from '../store/file-system.ts';
import { findDoubt, type Form, type Place, readForm, requireWholeFiles } from '../store/lineage.ts';
import { currentSchema, requireCurrentSchema } from '../store/migrations/index.ts';
import { openStore, type Store } from '../store/open.ts';
import { requireSoundFile } from '../store/soundness.ts';
import { printJson, printLine } from './output.ts';
import { toStartError } from './start-errors.ts';

type Finding = { readonly check: string; readonly ok: boolean; readonly detail: string };

/** `cardea doctor`: looks at everything a start depends on, changes nothing. @returns whether all is well */
export async function doctor(flags: { readonly json?: boolean }): Promise<boolean> {
  const config = loadConfig(process.env);
  const findings = [
    await look('data directory', () => lookAtDirectory(config)),
    await look('signing keys', () => lookAtKeys(config)),
    await look('clock', async () => lookAtClock()),
    ...(await lookAtStore(config)),
  ];
  const ok = findings.every((finding) => finding.ok);
  if (flags.json === true) printJson({ ok, findings });
  else printFindings(findings, ok);
  return ok;
}

function printFindings(findings: readonly Finding[], ok: boolean): void {
  for (const { check, ok: good, detail } of findings)
    printLine(`${good ? 'ok  ' : 'BAD '} ${check.padEnd(16)} ${detail}`);
  printLine(ok ? 'All is well.' : 'Something needs attention; see the lines marked BAD.');
}

/** A check that throws has found something: its message says what. */
async function look(check: string, work: () => Promise<string>): Promise<Finding> {
  try {
    return { check, ok: true, detail: await work() };
  } catch (error) {
    return { check, ok: false, detail: toStartError(error) };
  }
}

async function lookAtDirectory({ data, databaseUrl }: Config): Promise<string> {
  const stat = statSync(data, { throwIfNoEntry: false });
  if (stat === undefined) throw new Error(`${data} does not exist; "cardea serve" makes it.`);
  if ((stat.mode & 0o077) !== 0) throw new Error(`${data} is open to other users; close it with: chmod 700 ${data}`);
  accessSync(data, constants.R_OK | constants.W_OK | constants.X_OK);
  const fileSystem = readFileSystem(data);
  const refusal = databaseUrl === '' ? explainRefusal(data, fileSystem) : null;
  if (refusal !== null) throw new Error(refusal);
  const space = statfsSync(data);
  const freeMb = Math.floor((space.bavail * space.bsize) / 1e6);
  if (freeMb < 100) throw new Error(`${data} has only ${freeMb} MB of free space.`);
  const doubt = fileSystem.kind === 'local' ? '' : `, on ${fileSystem.name} (${fileSystem.kind})`;
  return `${data}, private, ${freeMb} MB free${doubt}`;
}

async function lookAtKeys({ data }: Config): Promise<string> {
  const { current, previous } = await loadSigningKeys(data, false);
  const now = Date.now() / 1000;
  const counting = previous.filter(({ until }) => until === null || until > now);
  return `current ${current.id}${counting.map(({ id }) => `, former ${id}`).join('')}`;
}

/** Expiry is judged by this clock: one that stands before this program was written is certainly wrong. */
function lookAtClock(): string {
  const now = new Date();
  if (now.getUTCFullYear() < 2026) throw new Error(`the clock says ${now.toISOString()}, which is in the past.`);
  return now.toISOString();
}

async function lookAtStore(config: Config): Promise<Finding[]> {
  const place = toPlace(config);
  const form = place.file === null ? null : readForm(place.file);
  let store: Store | undefined;
  const opened = await look('database', async () => {
    requireWholeFiles(place);
    // Opening reads back the settings that durability depends on, and refuses a server or file that is unfit.
    const { allowUnsafeDurability } = config.store;
    store = await openStore({ url: place.file ?? config.databaseUrl, create: false, allowUnsafeDurability });
    return describeEngine(store);
  });
  if (store === undefined) return [opened];
  const open = store;
  const findings = [
    opened,
    await look('schema', () => lookAtSchema(open)),
    await look('lineage', () => lookAtLineage(open, place, form)),
    await look('integrity', () => lookAtIntegrity(open)),
    await look('audit chain', () => lookAtAudit(open)),
  ];
  await open.close({ keepLog: true });
  return findings;
}

async function describeEngine(store: Store): Promise<string> {
  if (store.engine === 'postgres') {
    const { rows } = await sql<{ version: string }>`select current_setting('server_version') as version`.execute(
      store.lists,
    );
    return `PostgreSQL ${rows[0]?.version}, commits are durable`;
  }
  const { rows } = await sql<{ version: string }>`select sqlite_version() as version`.execute(store.lists);
  return `SQLite ${rows[0]?.version}, WAL, synchronous FULL`;
}

async function lookAtSchema(store: Store): Promise<string> {
  await requireCurrentSchema(store);
  return `version ${currentSchema}`;
}

async function lookAtLineage(store: Store, place: Place, form: Form | null): Promise<string> {
  if ((await findDoubt(store, place, form)) === null) return 'the database that the server last used';
  throw new Error('a copy from the past; the next start of the server ends every session.');
}

async function lookAtIntegrity(store: Store): Promise<string> {
  if (store.engine === 'postgres') return 'left to PostgreSQL';
  await requireSoundFile(store);
  return 'quick_check ok';
}

async function lookAtAudit(store: Store): Promise<string> {
  const broken = await verifyAudit({ store });
  if (broken !== null) throw new Error(`event ${broken} was edited, removed or slipped in.`);
  return 'whole';
}
