import { readdirSync, statSync } from 'node:fs';
import { SQL } from 'bun';
import { useOfProcess } from '../../../bench/machine.ts';
import { databasePath } from '../../../src/data-directory.ts';
import type { Ground, Server } from '../../support/program.ts';
import { fillWithCrowd } from '../crowd.ts';
import type { Scene } from '../fault.ts';
import { historySettings } from '../history/run.ts';
import { quantile } from '../probe.ts';
import { judgeSoak, median, type SoakSample, thirdsOf } from './judge.ts';
import { closeLoad, emptyTally, fillMemory, type Load, openLoad, runFlatOut, runPaced } from './load.ts';

export type SoakOptions = { readonly minutes: number; readonly store: 'sqlite' | 'postgres' };

const persons = 32;
/** More than the 50,000 that the server remembers. */
const crowdSize = 60_000;
const walks = 3;
const flatOutSeconds = 10;
const sampleSeconds = 5;

/** F30: half of what the server can do at most, steadily; nothing may grow, nothing may slow down, no answer may be wrong. */
export async function playSoak(scene: Scene, { minutes, store }: SoakOptions): Promise<void> {
  const databaseUrl = store === 'postgres' ? await (await scene.cluster()).createDatabase('cardea') : '';
  const ground = scene.ground({ ...historySettings, CARDEA_DATABASE_URL: databaseUrl });
  const crowd = await fillWithCrowd(ground, { users: persons, sessions: crowdSize });
  const server = await scene.serve(ground.env);
  const load = await openLoad(Number(new URL(server.url).port), crowd);
  scene.atEnd(() => closeLoad(load));
  await fillMemory(load, walks);
  const target = (await findMost(scene, load, server.pid)) / 2;
  scene.progress(`half of that for ${minutes} minutes`);
  const samples = await runSteadily(scene, { load, server, ground, databaseUrl }, target, minutes);
  report(scene, samples);
  const { count, first } = load.wrong;
  scene.figure('wrong answers', count);
  scene.require(count === 0, `${count} wrong answers: ${first.join('; ')}`);
  for (const sentence of judgeSoak(samples)) scene.require(false, sentence);
}

/** Asks for so many steps a second, and looks at the server every few seconds. */
async function runSteadily(scene: Scene, place: Place, target: number, minutes: number): Promise<SoakSample[]> {
  const { load, server } = place;
  const samples: SoakSample[] = [];
  const total = emptyTally();
  const rounds = Math.max(1, Math.round((minutes * 60) / sampleSeconds));
  const cpuBefore = useOfProcess(server.pid).cpuSeconds;
  const startMs = performance.now();
  for (let round = 1; round <= rounds; round += 1) {
    load.tally = emptyTally();
    const sinceMs = performance.now();
    await runPaced(load, target, sampleSeconds);
    const sample = await look(place, startMs, sinceMs);
    samples.push(sample);
    addTally(total, load.tally);
    if (round % 3 === 0 || round === rounds) scene.progress(describe(sample));
  }
  const seconds = (performance.now() - startMs) / 1_000;
  const done = total.steps / seconds;
  scene.figure('asked for, done: steps/s', `${target.toFixed(0)}, ${done.toFixed(0)}`);
  scene.require(done > 0.9 * target, `${done.toFixed(0)} steps/s of ${target.toFixed(0)} were done`);
  scene.figure("server's share of a core", (useOfProcess(server.pid).cpuSeconds - cpuBefore) / seconds);
  const { checks, logins, putOff, refreshes, logouts, refused } = total;
  scene.figure('checks', checks);
  const others = [logins, putOff, refreshes, logouts, refused].join(', ');
  scene.figure('logins, put off, refreshes, logouts, refusals', others);
  return samples;
}

/** What the server does at most, which is the load that is halved. A first moment does not count: code is compiled then. */
async function findMost(scene: Scene, load: Load, pid: number): Promise<number> {
  await runFlatOut(load, flatOutSeconds / 2);
  load.tally = emptyTally();
  const before = useOfProcess(pid).cpuSeconds;
  const startMs = performance.now();
  await runFlatOut(load, flatOutSeconds);
  const seconds = (performance.now() - startMs) / 1_000;
  const { steps, checks, times } = load.tally;
  const share = (useOfProcess(pid).cpuSeconds - before) / seconds;
  const p99 = quantile(
    times.map((ms) => ({ ms })),
    0.99,
  );
  const perSecond = (count: number) => (count / seconds).toFixed(0);
  scene.progress(
    `at most ${perSecond(checks)} checks/s of ${perSecond(steps)} steps/s, p99 ${p99.toFixed(1)} ms, the server on ${share.toFixed(2)} cores`,
  );
  scene.figure('at most checks/s', perSecond(checks));
  scene.figure('p99 ms then', p99);
  scene.figure("server's share of a core then", share);
  return steps / seconds;
}

type Place = {
  readonly load: Load;
  readonly server: Server;
  readonly ground: Ground;
  readonly databaseUrl: string;
};

async function look({ load, server, ground, databaseUrl }: Place, startMs: number, sinceMs: number) {
  const nowMs = performance.now();
  const times = load.tally.times.map((ms) => ({ ms }));
  const sizes = databaseUrl === '' ? sizesOfFile(databasePath(ground.directory)) : await sizesOfDatabase(databaseUrl);
  return {
    atSeconds: (nowMs - startMs) / 1_000,
    residentMb: useOfProcess(server.pid).residentBytes / 1e6,
    descriptors: readdirSync(`/proc/${server.pid}/fd`).length,
    ...sizes,
    rate: load.tally.checks / ((nowMs - sinceMs) / 1_000),
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
  };
}

function sizesOfFile(file: string): { databaseMb: number; logMb: number } {
  const sizeOf = (path: string) => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) / 1e6;
  return { databaseMb: sizeOf(file), logMb: sizeOf(`${file}-wal`) };
}

/** The log of PostgreSQL is as long as its own settings let it be. */
async function sizesOfDatabase(url: string): Promise<{ databaseMb: number; logMb: number }> {
  const sql = new SQL(url, { max: 1 });
  try {
    const [row] = (await sql`select pg_database_size(current_database())::float8 as bytes`) as { bytes: number }[];
    return { databaseMb: (row?.bytes ?? 0) / 1e6, logMb: 0 };
  } finally {
    await sql.close({ timeout: 0 });
  }
}

function addTally(total: ReturnType<typeof emptyTally>, more: ReturnType<typeof emptyTally>): void {
  for (const key of ['steps', 'checks', 'logins', 'putOff', 'refreshes', 'logouts', 'refused'] as const) {
    total[key] += more[key];
  }
}

function describe({ atSeconds, residentMb, descriptors, logMb, databaseMb, rate, p50Ms, p99Ms }: SoakSample): string {
  const sizes = `${residentMb.toFixed(0)} MB resident, ${descriptors} descriptors, log ${logMb.toFixed(1)} MB, database ${databaseMb.toFixed(1)} MB`;
  return `${atSeconds.toFixed(0)} s: ${sizes}, ${rate.toFixed(0)} checks/s, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`;
}

function report(scene: Scene, samples: readonly SoakSample[]): void {
  const { second, last } = thirdsOf(samples);
  const both = (key: keyof SoakSample, digits: number) =>
    [second, last].map((some) => median(some.map((sample) => sample[key])).toFixed(digits)).join(' → ');
  scene.figure('second third → last, resident MB', both('residentMb', 1));
  scene.figure('descriptors', both('descriptors', 0));
  scene.figure('log MB', both('logMb', 1));
  scene.figure('database MB', both('databaseMb', 1));
  scene.figure('p50 ms', both('p50Ms', 2));
  scene.figure('p99 ms', both('p99Ms', 2));
  scene.figure('worst p99 of 5 s', Math.max(...samples.map(({ p99Ms }) => p99Ms)).toFixed(2));
}
