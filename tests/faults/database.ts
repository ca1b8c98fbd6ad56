import { SQL } from 'bun';
import type { Cluster } from '../support/postgres.ts';
import type { Ground, Server } from '../support/program.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { doorsOf } from '../support/http.ts';
import { testPassword } from '../support/users.ts';
import type { Fault, Scene } from './fault.ts';
import { calmMs, playHistory } from './histories.ts';
import type { Step } from './history/history.ts';
import { createRandom } from './history/random.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { childrenOf, commitWithoutWaiting } from './power.ts';
import { quantile, signIn, slowest, startProbe, statusCounts, timed } from './probe.ts';

/** What can happen to a database server and to the way there. */
export const databaseFaults: readonly Fault[] = [
  {
    id: 'F14',
    title: 'PostgreSQL restarts, fast and immediate in turn',
    guard: { words: 'synchronous_commit=on' },
    run: playRestarts,
  },
  { id: 'F16', title: 'PostgreSQL is cut off, held and frozen', guard: 'query limit', run: playPartitions },
  { id: 'F17', title: 'PostgreSQL is slow: 200 ms and 5 s each way', guard: 'query limit', run: playSlowness },
  { id: 'F18', title: 'every place in the pool is taken', guard: 'pool limit', run: playExhaustion },
];

/** A 503 is due within 1.5 s; a machine that others use too is given twice that. */
const answerLimitMs = 3_000;

async function playRestarts(scene: Scene): Promise<void> {
  const cluster = await scene.cluster();
  const url = await cluster.createDatabase('cardea');
  const unsafe = scene.guardOff ? { CARDEA_STORE_ALLOW_UNSAFE_DURABILITY: 'true' } : {};
  const ground = scene.ground({ ...historySettings, ...unsafe, CARDEA_DATABASE_URL: url });
  const players = await fillWithPlayers(ground);
  if (scene.guardOff) await commitWithoutWaiting(cluster);
  const server = await scene.serve(ground.env);
  const random = createRandom(scene.seed);
  const times = scene.times(4, 20);
  await playHistory(scene, {
    ground,
    players,
    urls: () => [server.url],
    script: async ({ during }) => {
      for (let count = 0; count < times; count += 1) {
        await Bun.sleep(500 + random.below(1_000));
        // Without the guard only the immediate stop loses anything: the fast one writes all down.
        const signal = count % 2 === 1 || scene.guardOff ? 'SIGQUIT' : 'SIGINT';
        await during(`restart by ${signal}`, async () => {
          process.kill(cluster.pid(), signal);
          await cluster.stopped();
          await cluster.start();
        });
      }
      await Bun.sleep(calmMs);
    },
  });
  scene.figure('restarts', times);
}

type Wired = { readonly cluster: Cluster; readonly proxy: TcpProxy; readonly ground: Ground; readonly server: Server };

/** A server whose way to its database leads over a wire of ours. */
async function wire(
  scene: Scene,
  ground: (settings: Readonly<Record<string, string>>) => Promise<Ground>,
): Promise<Wired> {
  const cluster = await scene.cluster();
  const url = new URL(await cluster.createDatabase('cardea'));
  const proxy = await startTcpProxy(cluster.port);
  scene.atEnd(proxy.close);
  url.port = String(proxy.port);
  const filled = await ground({ ...historySettings, CARDEA_DATABASE_URL: url.href });
  return { cluster, proxy, ground: filled, server: await scene.serve(filled.env) };
}

async function playPartitions(scene: Scene): Promise<void> {
  const ground = async (settings: Readonly<Record<string, string>>) => scene.ground(settings);
  let players: Awaited<ReturnType<typeof fillWithPlayers>> = [];
  const { cluster, proxy, server, ...rest } = await wire(scene, async (settings) => {
    const made = await ground(settings);
    players = await fillWithPlayers(made);
    return made;
  });
  const rounds = scene.times(1, 5);
  const random = createRandom(scene.seed);
  const pause = () => Bun.sleep(6_500 + random.below(500));
  const report = await playHistory(scene, {
    ground: rest.ground,
    players,
    urls: () => [server.url],
    script: async ({ during }) => {
      for (let round = 0; round < rounds; round += 1) {
        await Bun.sleep(1_000);
        for (const direction of ['both', 'to server', 'to client'] as const) {
          await during(`held wire, ${direction}`, () => heldFor(3_000, () => proxy.hold(direction), proxy.forward));
          await pause();
        }
        await during('cut wire', () => heldFor(2_000, proxy.cut, proxy.forward));
        await pause();
        const all = [cluster.pid(), ...childrenOf(cluster.pid())];
        await during('frozen server', () => heldFor(3_000, signal(all, 'SIGSTOP'), signal(all, 'SIGCONT')));
        await pause();
        const backends = await backendsOf(cluster);
        const some = backends.filter((_, index) => index % 2 === 0);
        await during('frozen backends', () => heldFor(3_000, signal(some, 'SIGSTOP'), signal(some, 'SIGCONT')));
        await pause();
      }
    },
  });
  const answered = report.history.steps.filter((step) => isDuringFault(report.history.faults, step));
  const times = answered.map((step) => ({ ms: step.to - step.from }));
  scene.figure('slowest answer ms', slowest(times));
  scene.figure('answers while out of reach', answered.length);
  scene.require(slowest(times) <= answerLimitMs, `a request waited ${slowest(times).toFixed(0)} ms`);
}

async function heldFor(ms: number, begin: () => void, end: () => void): Promise<void> {
  begin();
  await Bun.sleep(ms);
  end();
}

function signal(pids: readonly number[], name: 'SIGSTOP' | 'SIGCONT'): () => void {
  return () => {
    for (const pid of pids) {
      try {
        process.kill(pid, name);
      } catch {
        // That backend has ended meanwhile.
      }
    }
  };
}

async function backendsOf(cluster: Cluster): Promise<number[]> {
  await using sql = new SQL(cluster.url, { max: 1 });
  const rows: { pid: number }[] = await sql`select pid from pg_stat_activity where application_name = 'cardea'`;
  return rows.map(({ pid }) => pid);
}

function isDuringFault(faults: readonly { from: number; to: number }[], step: Step): boolean {
  return step.action.kind !== 'status' && faults.some(({ from, to }) => step.from >= from && step.from <= to);
}

async function playSlowness(scene: Scene): Promise<void> {
  const { proxy, server } = await wire(scene, async (settings) => {
    const ground = scene.ground(settings);
    await fillWithPlayers(ground, 1);
    return ground;
  });
  const token = await signIn(server.url, 'player-0', testPassword);
  const probe = async (ms: number) => {
    const one = startProbe(server.url, token);
    await Bun.sleep(ms);
    await one.stop();
    return one.samples;
  };
  // 100 ms each way are 200 ms a query; a check asks twice in turn.
  proxy.delay(100);
  const slow = await probe(scene.times(3_000, 10_000));
  scene.figure('at 200 ms a query: check p99 ms', quantile(slow, 0.99));
  scene.require(
    slow.every(({ status }) => status === 200),
    `at 200 ms a query: ${statusCounts(slow)}`,
  );
  scene.require(quantile(slow, 0.99) < 1_500, 'at 200 ms a query a check takes longer than three queries');
  proxy.delay(2_500);
  const dead = await probe(scene.times(5_000, 15_000));
  scene.figure('at 5 s a query: slowest answer ms', slowest(dead));
  scene.require(
    dead.every(({ status }) => status === 503),
    `at 5 s a query: ${statusCounts(dead)}`,
  );
  scene.require(slowest(dead) <= answerLimitMs, `a check waited ${slowest(dead).toFixed(0)} ms`);
  proxy.forward();
  await Bun.sleep(2_000);
  const after = await probe(2_000);
  scene.figure('afterwards: check p99 ms', quantile(after, 0.99));
  scene.require(
    after.every(({ status }) => status === 200),
    `2 s afterwards: ${statusCounts(after)}`,
  );
}

async function playExhaustion(scene: Scene): Promise<void> {
  const cluster = await scene.cluster();
  const url = await cluster.createDatabase('cardea');
  const ground = scene.ground({ ...historySettings, CARDEA_DATABASE_URL: url });
  await fillWithPlayers(ground, 1);
  const server = await scene.serve(ground.env);
  const doors = doorsOf(server.url);
  const token = await signIn(server.url, 'player-0', testPassword);
  const blocker = new SQL(url, { max: 1 });
  scene.atEnd(() => blocker.close({ timeout: 0 }));
  const holding = await blocker.reserve();
  // Every change needs this row, so each holds its place until its lock limit, and those behind it have none.
  await holding`begin`;
  await holding`select * from audit_head for update`;
  const probe = startProbe(server.url, token);
  const logouts = await Promise.all(
    Array.from({ length: 120 }, () => timed(async () => (await doors.refresh(token)).status)),
  );
  await probe.stop();
  scene.figure('120 changes', statusCounts(logouts));
  scene.figure('slowest of them ms', slowest(logouts));
  scene.figure('checks meanwhile', statusCounts(probe.samples));
  scene.figure('their p99 ms', quantile(probe.samples, 0.99));
  scene.require(
    logouts.every(({ status }) => status === 503),
    `the changes: ${statusCounts(logouts)}`,
  );
  scene.require(slowest(logouts) <= answerLimitMs, `a change waited ${slowest(logouts).toFixed(0)} ms`);
  scene.require(
    probe.samples.every(({ status }) => status === 200),
    `checks: ${statusCounts(probe.samples)}`,
  );
  await holding`rollback`;
  await holding.release();
  await Bun.sleep(1_000);
  const after = await timed(async () => (await doors.restLogin('player-0', testPassword)).status);
  scene.require(after.status === 200, `a second later a login is answered with ${after.status}`);
  scene.figure('a login afterwards ms', after.ms);
}
