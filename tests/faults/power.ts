import { Database } from 'bun:sqlite';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { SQL } from 'bun';
import type { Cluster } from '../support/postgres.ts';
import type { Server } from '../support/program.ts';
import { type Disk, makeDisk, missingForDisk } from './disk.ts';
import type { Fault, Scene } from './fault.ts';
import { calmMs, playHistory } from './histories.ts';
import { createRandom } from './history/random.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';

/** The power goes while clients are at work: what was acknowledged must be on the disk. */
export const powerFaults: readonly Fault[] = [
  {
    id: 'F02',
    title: 'power cut, SQLite on ext4',
    guard: 'synchronous=FULL',
    missing: missingForDisk,
    run: playSqlite,
  },
  {
    id: 'F03',
    title: 'power cut, PostgreSQL on ext4',
    guard: { words: 'synchronous_commit=on' },
    missing: missingForDisk,
    run: playPostgres,
  },
];

async function playSqlite(scene: Scene): Promise<void> {
  const disk = makeDisk(256);
  scene.atEnd(disk.remove);
  const ground = scene.ground(historySettings, disk.path);
  const players = await fillWithPlayers(ground);
  const path = join(ground.directory, 'cardea.db');
  let server = await scene.serve(ground.env);
  disk.flush();
  await playHistory(scene, {
    ground,
    players,
    urls: () => [server.url],
    script: ({ during, acknowledged }) =>
      repeatCuts(scene, acknowledged, () =>
        during('power cut', async () => {
          disk.cutPower();
          await end(server);
          await disk.restart();
          scene.require(isWhole(path), 'the database is damaged');
          server = await scene.serve(ground.env);
        }),
      ),
  });
}

/** Longer than a second now and then: what the system writes back by itself must not be what saves the day. */
async function repeatCuts(scene: Scene, acknowledged: () => number, cut: () => Promise<void>): Promise<void> {
  const random = createRandom(scene.seed);
  const times = scene.times(3, 30);
  for (let count = 1; count <= times; count += 1) {
    await Bun.sleep(800 + random.below(1_200));
    await cut();
    if (count % 5 === 0) scene.progress(`${count} power cuts, ${acknowledged()} acknowledged`);
  }
  await Bun.sleep(calmMs);
  scene.figure('power cuts', times);
}

async function end(server: Server): Promise<void> {
  server.signal('SIGKILL');
  await server.exited;
}

/** Only reads: the last writer to leave would take the log away, without which a server rightly refuses to start. */
function isWhole(path: string): boolean {
  using db = new Database(path, { readonly: true });
  const [found] = db.query<{ integrity_check: string }, []>('pragma integrity_check').all();
  return found?.integrity_check === 'ok';
}

async function playPostgres(scene: Scene): Promise<void> {
  const disk = makeDisk(512);
  scene.atEnd(disk.remove);
  const cluster = await scene.cluster(disk.path);
  const url = await cluster.createDatabase('cardea');
  const unsafe = scene.guardOff ? { CARDEA_STORE_ALLOW_UNSAFE_DURABILITY: 'true' } : {};
  const ground = scene.ground({ ...historySettings, ...unsafe, CARDEA_DATABASE_URL: url });
  const players = await fillWithPlayers(ground);
  if (scene.guardOff) await commitWithoutWaiting(cluster);
  const server = await scene.serve(ground.env);
  disk.flush();
  await playHistory(scene, {
    ground,
    players,
    urls: () => [server.url],
    script: ({ during, acknowledged }) =>
      repeatCuts(scene, acknowledged, () => during('power cut', () => cutPower(disk, cluster))),
  });
}

/** Every commit is acknowledged before its log is on the disk. */
export async function commitWithoutWaiting(cluster: Cluster): Promise<void> {
  await using sql = new SQL(cluster.url, { max: 1 });
  await sql`alter database cardea set synchronous_commit = off`;
}

async function cutPower(disk: Disk, cluster: Cluster): Promise<void> {
  const pid = cluster.pid();
  disk.cutPower();
  for (const child of childrenOf(pid)) kill(child);
  kill(pid);
  await disk.restart();
  // A machine that starts has no process of this number; this one may have another by now.
  rmSync(join(dataDirectory(disk), 'postmaster.pid'), { force: true });
  await cluster.start();
}

function dataDirectory(disk: Disk): string {
  const [found = ''] = new Bun.Glob('cardea-postgres-*/PG_VERSION').scanSync({ cwd: disk.path });
  return join(disk.path, found, '..');
}

/** The processes that a process has started. */
export function childrenOf(pid: number): number[] {
  const { stdout } = Bun.spawnSync(['cat', `/proc/${pid}/task/${pid}/children`], { stderr: 'ignore' });
  return stdout
    .toString()
    .split(' ')
    .map(Number)
    .filter((child) => child > 0);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
