import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { openCore } from '../../src/open-core.ts';
import { programCommand } from '../../tests/support/program.ts';
import { addUse, useOfChildren, useOfProcess } from '../machine.ts';
import { type Server, startUntil } from '../server.ts';
import { type StoredSessions, writeStoredSessions } from './stored-sessions.ts';
import { type BenchUser, describeUsers, writeUsers } from './users.ts';
import type { Database } from '../database.ts';

/** Limits that would refuse a load generator, which is one client at one address with few credentials, are out of the way. */
const benchSettings = {
  CARDEA_HTTP_PORT: '0',
  CARDEA_HTTPS_PORT: '0',
  CARDEA_PUBLIC_URL: 'https://auth.example.com',
  CARDEA_SHUTDOWN_DRAIN_MS: '0',
  CARDEA_ECGRID_TOKEN_MINUTES: '720',
  CARDEA_HCX_ENABLED: 'true',
  CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000',
  CARDEA_LIMITS_REFUSED_PER_SECOND: '1000000',
  CARDEA_THROTTLE_FREE_TRIES: '100',
  CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
  CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
} as const;

export type CardeaOptions = {
  readonly users: number;
  readonly sessions: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly database: Database | undefined;
  /** Words in front of the command that choose its core. */
  readonly pinning: readonly string[];
  readonly report: (line: string) => void;
};

export type Cardea = {
  readonly server: Server;
  readonly url: string;
  readonly users: readonly BenchUser[];
  readonly stored: StoredSessions;
  /** From the start of the process to the first answer of `/readyz`. */
  readonly readyMs: number;
  readonly remove: () => void;
};

/** Makes a data directory with users and stored sessions and starts `cardea serve` on it, as `npm start` does. */
export async function startCardea(options: CardeaOptions): Promise<Cardea> {
  const directory = mkdtempSync(join(tmpdir(), 'cardea-bench-'));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  process.once('exit', remove);
  const { database } = options;
  const databaseUrl: Record<string, string> = database === undefined ? {} : { CARDEA_DATABASE_URL: database.url };
  const env = { ...benchSettings, CARDEA_DATA: join(directory, 'data'), ...databaseUrl, ...options.settings };
  const users = describeUsers(options.users);
  const stored = await fillStore(env, users, options);
  const startMs = performance.now();
  const command = [...options.pinning, ...programCommand, 'serve'];
  const { program, match } = await startUntil(command, /"event":"server\.started","url":"([^"]+)"/, env);
  const url = match[1] ?? '';
  await fetch(`${url}/readyz`);
  const readyMs = performance.now() - startMs;
  const server: Server = {
    name: 'Cardea',
    port: Number(new URL(url).port),
    use: () => useOfProcess(program.pid),
    useBehind: () => useOfChildren(program.pid),
  };
  return {
    server: database === undefined ? server : withDatabase(server, database),
    url,
    users,
    stored,
    readyMs,
    remove,
  };
}

function withDatabase(server: Server, database: Database): Server {
  return { ...server, useBehind: () => addUse(server.useBehind(), database.use()) };
}

async function fillStore(
  env: Readonly<Record<string, string>>,
  users: readonly BenchUser[],
  { sessions, database, report }: CardeaOptions,
): Promise<StoredSessions> {
  const config = loadConfig(env);
  const log = createLog('error', async () => undefined);
  const { core, close } = await openCore({ config, log, hashWorkers: 1, create: true });
  try {
    await writeUsers(core, users);
    return await writeStoredSessions(core, config, sessions, database, report);
  } finally {
    await close();
  }
}
