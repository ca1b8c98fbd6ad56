import { Database } from 'bun:sqlite';
import { statSync } from 'node:fs';
import { databasePath } from '../../src/data-directory.ts';
import { type Server, serveBy } from '../support/program.ts';
import { askAll, type Crowd, fillWithCrowd } from './crowd.ts';
import { commandOf, type Fault, type Scene } from './fault.ts';
import { historySettings } from './history/run.ts';
import { quantile, type Sample, signIn, slowest, startProbe, statusCounts, timed } from './probe.ts';
import { contracts } from './soak/contracts.ts';
import { median } from './soak/judge.ts';

/** Many rows: in the way of checks, and to be cleared away beside them. */
export const sizeFaults: readonly Fault[] = [
  { id: 'F26', title: 'checks among few sessions and among many', guard: 'look-up by key', run: playSize },
  { id: 'F27', title: 'many ended rows are swept beside checks', guard: 'sweeping in small bites', run: playSweep },
];

/** The promise is 1.2 times on a machine of its own, which is a figure here. */
const slowerFactor = 3;
const rounds = 10;
const checksOfRound = 2_000;

async function playSize(scene: Scene): Promise<void> {
  // `CARDEA_TEST_SESSIONS=10000000` for as many as one has room and time for.
  const given = Number(process.env['CARDEA_TEST_SESSIONS'] ?? 0);
  const sizes = [scene.times(2_000, 10_000), given > 0 ? given : scene.times(100_000, 1_000_000)];
  const places: { server: Server; crowd: Crowd }[] = [];
  for (const sessions of sizes) {
    // Without its memory of checks, so that every one of them goes through the rows.
    const ground = scene.ground({ ...historySettings, CARDEA_LIMITS_CONTEXTS: '0' });
    const crowd = await fillWithCrowd(ground, { sessions });
    const startMs = performance.now();
    places.push({ server: await scene.serve(ground.env), crowd });
    scene.figure(`start with ${sessions} ms`, performance.now() - startMs);
  }
  // A first round compiles; then in turn, so that a disturbance of the machine hits both.
  const p99s: number[][] = [[], []];
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, { server, crowd }] of places.entries()) {
      const samples = await checkSome(scene, server, crowd);
      if (round > 0) p99s[index]?.push(quantile(samples, 0.99));
    }
  }
  const [few = 0, many = 0] = p99s.map(median);
  scene.figure(`p99 ms with ${sizes[0]}`, few.toFixed(2));
  scene.figure(`with ${sizes[1]}`, many.toFixed(2));
  scene.figure('ratio', (many / few).toFixed(2));
  scene.require(many <= slowerFactor * few, `checks' p99 is ${(many / few).toFixed(1)} times that among few`);
}

/** Checks sessions from all over the store, in an order without any. */
async function checkSome(scene: Scene, server: Server, crowd: Crowd): Promise<Sample[]> {
  const { check, accepted } = contracts.rest;
  const samples: Sample[] = [];
  // Without the guard each takes as long as all rows take.
  const count = scene.guardOff ? 100 : checksOfRound;
  await askAll(server.url, 1, count, async (wire) => {
    const index = Math.floor(Math.random() * crowd.count);
    const expected = accepted({ id: 0, login: crowd.login(index) });
    const request = check(crowd.token(index));
    const sample = await timed(async () => {
      const { status, body } = await wire.ask(request);
      return status === 200 && !body.includes(expected.contains) ? 0 : status;
    });
    samples.push(sample);
  });
  const areRight = samples.every(({ status }) => status === 200);
  scene.require(areRight, `checks among ${crowd.count}: ${statusCounts(samples)}`);
  return samples;
}

/** The longest that a check may wait for a bite; what others do on the machine is in it. */
const longestWaitMs = 600;
const leastRowsPerSecond = 300;
const mostLogMb = 32;

async function playSweep(scene: Scene): Promise<void> {
  // In one go they must take longer than others can make a check wait.
  const rows = scene.guardOff ? 200_000 : scene.times(40_000, 1_000_000);
  const ground = scene.ground(historySettings);
  const crowd = await fillWithCrowd(ground, { sessions: rows });
  const file = databasePath(ground.directory);
  endAll(file);
  const beforeMb = sizeMb(file);
  const server = await serveSweeping(scene, ground.env);
  const { login = '', password = '' } = crowd.users[0] ?? {};
  const token = await signIn(server.url, login, password);
  const calm = startProbe(server.url, token);
  while (countEnded(file) === rows) await Bun.sleep(20);
  await calm.stop();
  const startMs = performance.now();
  const probe = startProbe(server.url, token, 2);
  let [logMb, left, toldMs] = [0, rows, startMs];
  while (left > 0 && performance.now() - startMs < (rows / leastRowsPerSecond) * 1_000) {
    await Bun.sleep(500);
    left = countEnded(file);
    logMb = Math.max(logMb, sizeMb(`${file}-wal`));
    if (performance.now() - toldMs < 30_000) continue;
    scene.progress(`${left} rows left`);
    toldMs = performance.now();
  }
  const seconds = (performance.now() - startMs) / 1_000;
  await probe.stop();
  scene.figure('rows', rows);
  scene.figure('rows/s', (rows - left) / seconds);
  scene.figure("checks' p99 ms before", quantile(calm.samples, 0.99));
  scene.figure('meanwhile', quantile(probe.samples, 0.99));
  const longest = Math.max(slowest(calm.samples), slowest(probe.samples));
  scene.figure('longest', longest);
  scene.figure('file MB before, after', `${beforeMb.toFixed(1)}, ${sizeMb(file).toFixed(1)}`);
  scene.figure('longest log MB', logMb);
  scene.require(left === 0, `${left} of ${rows} rows are left after ${seconds.toFixed(0)} s`);
  const areRight = probe.samples.every(({ status }) => status === 200);
  scene.require(areRight, `checks meanwhile: ${statusCounts(probe.samples)}`);
  scene.require(longest <= longestWaitMs, `a check took ${longest.toFixed(0)} ms`);
  scene.require(sizeMb(file) <= beforeMb + 1, `the file grew to ${sizeMb(file).toFixed(1)} MB`);
  scene.require(logMb <= mostLogMb, `the log grew to ${logMb.toFixed(1)} MB`);
}

/** The product sweeps each minute; here it begins after three seconds. */
async function serveSweeping(scene: Scene, env: Readonly<Record<string, string>>): Promise<Server> {
  const without = ['sweeping each minute', ...(scene.guardOff ? ['sweeping in small bites' as const] : [])] as const;
  const server = await serveBy(...commandOf(without, env));
  scene.atEnd(() => {
    server.signal('SIGKILL');
    return server.exited;
  });
  return server;
}

/** As if all of them had ended two days ago. */
function endAll(file: string): void {
  const db = new Database(file, { readwrite: true, strict: true });
  db.run(`update sessions set ended_at = created_at - 172800, end_reason = 'logout' where id like 'stored%'`);
  db.run('pragma wal_checkpoint(truncate)');
  db.close();
}

function countEnded(file: string): number {
  const db = new Database(file, { readonly: true, strict: true });
  try {
    const row = db
      .query<{ count: number }, []>('select count(*) as count from sessions where ended_at is not null')
      .get();
    return row?.count ?? 0;
  } finally {
    db.close();
  }
}

function sizeMb(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) / 1e6;
}
