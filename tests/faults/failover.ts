import { SQL } from 'bun';
import { doorsOf } from '../support/http.ts';
import { startStandby, type Standby } from '../support/standby.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { testPassword } from '../support/users.ts';
import type { Cluster } from '../support/postgres.ts';
import type { Server } from '../support/program.ts';
import type { Fault, Scene } from './fault.ts';
import { calmMs, isAcknowledgedChange } from './histories.ts';
import { fillWithPlayers, historySettings, runHistory } from './history/run.ts';
import { signIn } from './probe.ts';

/** F15: the primary dies, a standby that had not heard the last takes its place and its address. */
export const failoverFaults: readonly Fault[] = [
  {
    id: 'F15',
    title: 'failover to an asynchronous standby that lags behind, under two servers',
    guard: 'failover guard',
    run: playLagging,
  },
  {
    id: 'F15',
    title: 'failover to a synchronous standby, cut off a moment before',
    guard: { words: 'synchronous_standby_names' },
    run: playSynchronous,
  },
];

type Pair = {
  readonly primary: Cluster;
  readonly standby: Standby;
  /** Where the servers find their database. */
  readonly address: TcpProxy;
  /** Where the standby finds its primary. */
  readonly replication: TcpProxy;
  readonly env: Readonly<Record<string, string>>;
  readonly players: Awaited<ReturnType<typeof fillWithPlayers>>;
};

async function startPair(scene: Scene, players: number): Promise<Pair> {
  const primary = await scene.cluster();
  const url = new URL(await primary.createDatabase('cardea'));
  const [address, replication] = [await startTcpProxy(primary.port), await startTcpProxy(primary.port)];
  scene.atEnd(address.close);
  scene.atEnd(replication.close);
  const standby = await startStandby(primary, replication.port);
  scene.atEnd(standby.stop);
  url.port = String(address.port);
  const ground = scene.ground({ ...historySettings, CARDEA_DATABASE_URL: url.href });
  const made = await fillWithPlayers(ground, players);
  return { primary, standby, address, replication, env: ground.env, players: made };
}

async function untilCaughtUp({ primary, standby }: Pair): Promise<void> {
  await using first = new SQL(primary.url, { max: 1 });
  await using second = new SQL(standby.url, { max: 1 });
  const [{ at }] = await first`select cast(pg_current_wal_flush_lsn() as text) as at`;
  for (;;) {
    const [{ there }] = await second`select pg_last_wal_replay_lsn() >= cast(${at} as text)::pg_lsn as there`;
    if (there) return;
    await Bun.sleep(20);
  }
}

/** The primary dies, its address leads to the standby, and a moment later that is promoted. */
async function failOver(
  { primary, standby, address }: Pair,
  beforePromotion: () => Promise<void> = async () => undefined,
): Promise<void> {
  process.kill(primary.pid(), 'SIGQUIT');
  await primary.stopped();
  address.moveTo(standby.port);
  await Bun.sleep(500);
  await beforePromotion();
  await standby.promote();
}

async function readEpoch(url: string): Promise<number> {
  const at = new URL(url);
  at.pathname = '/cardea';
  await using sql = new SQL(at.href, { max: 1 });
  const [{ value }] = await sql`select value from counters where name = 'session_epoch'`;
  return Number(value);
}

async function playLagging(scene: Scene): Promise<void> {
  const rounds = scene.times(1, 5);
  const sums = { revived: 0, refused: 0, silent: 0, revoked: 0 };
  for (let round = 0; round < rounds; round += 1) {
    const pair = await startPair(scene, 4);
    const servers = [await scene.serve(pair.env), await scene.serve(pair.env)] as const;
    const tokens = await signInMany(servers, scene.quick ? 40 : 100);
    await untilCaughtUp(pair);
    pair.replication.hold();
    for (const [index, token] of tokens.entries()) {
      const { status } = await doorsOf(servers[index % 2]?.url ?? '').restLogout(token);
      scene.require(status === 200, `a logout was answered with ${status}`);
    }
    sums.revoked += tokens.length;
    const epoch = await readEpoch(pair.standby.url);
    const asking = startAsking(servers, tokens);
    await failOver(pair, async () => {
      for (const server of servers) {
        const { status } = await doorsOf(server.url).restSession(tokens[0] ?? '');
        scene.require(scene.guardOff || status === 503, `over a standby a check is answered with ${status}`);
      }
    });
    await Bun.sleep(3_000);
    const counts = await asking.stop();
    for (const status of counts) {
      if (status === 200) sums.revived += 1;
      else if (status === 401) sums.refused += 1;
      else sums.silent += 1;
    }
    scene.require(
      counts.every((status) => [200, 401, 503].includes(status)),
      'a check was answered strangely',
    );
    await judgeAfterwards(scene, pair, servers, epoch);
    for (const server of servers) server.signal('SIGKILL');
  }
  scene.figure('failovers', rounds);
  scene.figure('revocations that the standby never heard of', sums.revoked);
  scene.figure('let in afterwards', sums.revived);
  scene.figure('refused', sums.refused);
  scene.figure('503', sums.silent);
  scene.require(sums.revived === 0, `${sums.revived} checks of revoked sessions were let in`);
  scene.require(sums.silent > 0 && (scene.guardOff || sums.refused > 0), 'nothing was raced');
}

async function signInMany(servers: readonly Server[], count: number): Promise<string[]> {
  const tokens: string[] = [];
  for (let index = 0; index < count; index += 1) {
    tokens.push(await signIn(servers[index % 2]?.url ?? '', `player-${index % 4}`, testPassword));
  }
  return tokens;
}

/** Presents all tokens at all servers, again and again, several at once. */
function startAsking(servers: readonly Server[], tokens: readonly string[]): { stop(): Promise<number[]> } {
  const statuses: number[] = [];
  let isOver = false;
  const loops = Array.from({ length: 12 }, async (_, loop) => {
    for (let index = loop; !isOver; index += 1) {
      const url = servers[index % 2]?.url ?? '';
      statuses.push((await doorsOf(url).restSession(tokens[(index * 7) % tokens.length] ?? '')).status);
      await Bun.sleep(2);
    }
  });
  return {
    async stop() {
      isOver = true;
      await Promise.all(loops);
      return statuses;
    },
  };
}

async function judgeAfterwards(
  scene: Scene,
  { standby }: Pair,
  servers: readonly Server[],
  epoch: number,
): Promise<void> {
  const raised = (await readEpoch(standby.url)) - epoch;
  scene.require(raised === 1, `the epoch was raised ${raised} times`);
  const told = servers.filter((server) => server.output().includes('"cause":"failed_over"')).length;
  scene.require(told === 1, `${told} servers said that they ended the sessions`);
  for (const [index, server] of servers.entries()) {
    const token = await signIn(server.url, 'player-0', testPassword);
    const { status } = await doorsOf(servers[1 - index]?.url ?? '').restSession(token);
    scene.require(status === 200, `afterwards a session of the one server is answered with ${status} at the other`);
  }
}

/** Every session ends, and nothing else is lost: users, keys, passwords, levels, audit, and every end that was acknowledged. */
async function playSynchronous(scene: Scene): Promise<void> {
  const rounds = scene.times(1, 5);
  const sums = { acknowledged: 0, changes: 0, violations: 0 };
  for (let round = 0; round < rounds; round += 1) {
    const pair = await startPair(scene, 6);
    if (!scene.guardOff) await waitForStandby(pair.primary);
    const server = await scene.serve(pair.env);
    const { history, acknowledged, violations } = await runHistory({
      ground: { env: pair.env, directory: scene.directory(), remove: () => undefined },
      players: pair.players,
      seed: scene.seed + round,
      urls: () => [server.url],
      script: async ({ during }) => {
        await Bun.sleep(scene.quick ? 3_000 : 6_000);
        await during('failover', async () => {
          pair.replication.hold();
          // Longer than any limit of a statement: a commit that nobody has confirmed must not be acknowledged at its end.
          await Bun.sleep(2_500);
          await failOver(pair);
        });
        await Bun.sleep(calmMs);
      },
    });
    server.signal('SIGKILL');
    // That sessions are refused is the price; keys are not.
    const lost = violations.filter(({ invariant, sentence }) => !(invariant === 'I1' && /^t\d/.test(sentence)));
    for (const { invariant, op, sentence } of lost) scene.require(false, `${invariant} at ${op}: ${sentence}`);
    scene.require(acknowledged > 20, `only ${acknowledged} requests were acknowledged: nothing was tested`);
    sums.acknowledged += acknowledged;
    sums.changes += history.steps.filter(isAcknowledgedChange).length;
    sums.violations += lost.length;
  }
  scene.figure('failovers', rounds);
  scene.figure('acknowledged', sums.acknowledged);
  scene.figure('acknowledged changes', sums.changes);
  scene.figure('lost or revived', sums.violations);
}

/** From now on a commit is acknowledged only when the standby has it on its disk. */
async function waitForStandby(primary: Cluster): Promise<void> {
  await using sql = new SQL(primary.url, { max: 1 });
  await sql`alter system set synchronous_standby_names = 'standby'`;
  await sql`select pg_reload_conf()`;
  for (;;) {
    const [row] = await sql`select sync_state from pg_stat_replication`;
    if (row?.sync_state === 'sync') return;
    await Bun.sleep(50);
  }
}
