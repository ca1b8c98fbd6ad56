import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SQL } from 'bun';
import { type Cluster, describeServer, endReaper, findFreePort, startReaper } from './postgres.ts';

/** A second server that follows a first one by streaming, and answers reads until it is promoted. */
export type Standby = {
  readonly port: number;
  /** Of the superuser's own database. */
  readonly url: string;
  readonly promote: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** Makes a base backup of a running server and lets it follow that server. @param wirePort where the standby finds its primary */
export async function startStandby(primary: Cluster, wirePort: number = primary.port): Promise<Standby> {
  const directory = mkdtempSync(join(tmpdir(), 'cardea-standby-'));
  const reaper = startReaper(directory);
  await copyRunning(primary, directory);
  const port = await findFreePort();
  const ready = Promise.withResolvers<void>();
  const primaryAt = `host=127.0.0.1 port=${wirePort} user=postgres password=${primary.password} application_name=standby`;
  const server = describeServer(directory, primary.password, port, [`primary_conninfo=${primaryAt}`], (message) => {
    if (message.includes('ready to accept read-only connections')) ready.resolve();
  });
  // The package waits for words that a standby says only when it is promoted.
  server.start().catch(() => ready.reject(new Error('the standby does not start')));
  await ready.promise;
  const url = new URL(primary.url);
  url.port = String(port);
  return {
    port,
    url: url.href,
    async promote() {
      await using sql = new SQL(url.href, { max: 1 });
      await sql`select pg_promote()`;
    },
    async stop() {
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
      await endReaper(reaper);
    },
  };
}

async function copyRunning(primary: Cluster, directory: string): Promise<void> {
  await using sql = new SQL(primary.url, { max: 1 });
  const session = await sql.reserve();
  await session`select pg_backup_start('standby', true)`;
  execFileSync('cp', ['-a', `${primary.directory}/.`, directory]);
  const [stopped] = await session`select labelfile from pg_backup_stop(false)`;
  await session.release();
  const { uid, gid } = statSync(primary.directory);
  for (const [name, text] of Object.entries({ backup_label: stopped.labelfile, 'standby.signal': '' })) {
    writeFileSync(join(directory, name), text);
    chownSync(join(directory, name), uid, gid);
  }
  for (const name of ['postmaster.pid', 'postmaster.opts']) rmSync(join(directory, name), { force: true });
}
