import { readClaims, makeToken, readSigningKey } from '../support/jwt.ts';
import { doorsOf, tokenOf } from '../support/http.ts';
import { type Ground, runProgram, type Server } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import type { Fault, Scene } from './fault.ts';
import { openSessions, presentWithoutPause } from './held.ts';
import { playHistory } from './histories.ts';
import type { Player } from './history/clients.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { type Sample, signIn, statusCounts, timed } from './probe.ts';

/** F24, TOK-07: other signing keys while clients are at work. */
export const rotationFaults: readonly Fault[] = [
  {
    id: 'F24',
    title: 'the signing key is rotated each second, SQLite',
    guard: 'former keys',
    run: async (scene) => playPlanned(scene, await startOne(scene)),
  },
  {
    id: 'F24',
    title: 'the signing key is rotated each second, two servers on one PostgreSQL',
    guard: 'next key',
    async run(scene) {
      const place = await startTwo(scene);
      await playPlanned(scene, place);
      await playExchanges(scene, place);
    },
  },
  {
    id: 'F24',
    title: 'emergency rotation, SQLite',
    guard: 'following the key file',
    run: async (scene) => playEmergency(scene, await startOne(scene), 1_000),
  },
  {
    id: 'F24',
    title: 'emergency rotation, two servers on one PostgreSQL',
    guard: 'session epoch',
    run: async (scene) => playEmergency(scene, await startTwo(scene), 2_000),
  },
];

/** A player whom nobody else plays. */
const exchanger = 'player-6';

type Place = { readonly ground: Ground; readonly players: readonly Player[]; readonly servers: readonly Server[] };

async function startOne(scene: Scene): Promise<Place> {
  const ground = scene.ground(historySettings);
  const players = await fillWithPlayers(ground, 7);
  return { ground, players, servers: [await scene.serve(ground.env)] };
}

/** One directory for both, as two machines share one set of signing keys. */
async function startTwo(scene: Scene): Promise<Place> {
  const url = await (await scene.cluster()).createDatabase('cardea');
  const ground = scene.ground({ ...historySettings, CARDEA_DATABASE_URL: url });
  const players = await fillWithPlayers(ground, 7);
  return { ground, players, servers: [await scene.serve(ground.env), await scene.serve(ground.env)] };
}

async function playPlanned(scene: Scene, { ground, players, servers }: Place): Promise<void> {
  const times = scene.times(6, 60);
  await playHistory(scene, {
    ground,
    players: players.filter(({ login }) => login !== exchanger),
    urls: () => servers.map(({ url }) => url),
    script: () => rotateEachSecond(scene, ground, times),
  });
}

async function rotateEachSecond(scene: Scene, ground: Ground, times: number): Promise<void> {
  const startMs = performance.now();
  for (let count = 1; count <= times; count += 1) {
    const { code, errors } = await runProgram(['key', 'rotate'], { env: ground.env });
    scene.require(code === 0, `a rotation failed: ${errors}`);
    await Bun.sleep(Math.max(0, startMs + count * 1_000 - performance.now()));
  }
  scene.figure('rotations', times);
  scene.figure('within s', (performance.now() - startMs) / 1_000);
}

/** Only the first moments of a key matter here, so nothing else is asked of the servers. */
async function playExchanges(scene: Scene, { ground, servers }: Place): Promise<void> {
  const urls = servers.map(({ url }) => url);
  const exchanges = [...urls, ...urls, ...urls].map((signs) =>
    exchangeWithoutPause(signs, urls.find((url) => url !== signs) ?? signs),
  );
  await rotateEachSecond(scene, ground, scene.times(6, 20));
  await Promise.all(exchanges.map((one) => one.stop()));
  const samples = exchanges.flatMap((one) => one.samples);
  scene.figure('checks of tokens just signed', statusCounts(samples));
  scene.require(
    samples.length > 0 && samples.every(({ status }) => status === 200),
    `tokens that were just signed are answered with ${statusCounts(samples)}`,
  );
}

/** A token is signed by one server and at once presented to the other, which may not have the new key yet. */
function exchangeWithoutPause(signs: string, asks: string) {
  const samples: Sample[] = [];
  let isOver = false;
  const asking = (async () => {
    let token = await signIn(signs, exchanger, testPassword);
    while (!isOver) {
      const refreshed = await doorsOf(signs).refresh(token);
      const { status } = refreshed;
      if (status === 200) token = tokenOf(refreshed);
      samples.push(
        await timed(async () => (status === 200 ? (await doorsOf(asks).restSession(token)).status : status)),
      );
      // A refusal here is final; a new session goes on.
      if (samples.at(-1)?.status === 401) token = await signIn(signs, exchanger, testPassword);
    }
  })();
  return {
    samples,
    stop: () => {
      isOver = true;
      return asking;
    },
  };
}

/** @param limitMs after the command is done, nothing of before may count for longer than this */
async function playEmergency(scene: Scene, { ground, players, servers }: Place, limitMs: number): Promise<void> {
  const [first] = servers;
  if (first === undefined) throw new Error('no server');
  const count = scene.times(12, 60);
  const held = (await Promise.all(players.map(({ login }) => openSessions(first.url, login, count)))).flat();
  const loads = servers.flatMap(({ url }) =>
    [0, 1].map((half) =>
      presentWithoutPause(
        url,
        held.filter((_, index) => index % 2 === half),
      ),
    ),
  );
  // Whoever has read the file of the keys, and learns all there is to know of a session, can sign a token for it.
  const stolen = readSigningKey(ground);
  await Bun.sleep(1_000);
  const { code, errors } = await runProgram(['key', 'rotate', '--emergency', '--yes'], { env: ground.env });
  const doneMs = performance.now();
  scene.require(code === 0, `the command failed: ${errors}`);
  const forged: Sample[] = [];
  const fresh: Sample[] = [];
  while (performance.now() < doneMs + limitMs + 1_000) {
    for (const { url } of servers) {
      const token = await signIn(url, 'player-0', testPassword);
      const forgery = await makeToken(stolen, readClaims(token));
      for (const asked of servers) {
        const { restSession } = doorsOf(asked.url);
        forged.push(await timed(async () => (await restSession(forgery)).status));
        fresh.push(await timed(async () => (await restSession(token)).status));
      }
    }
  }
  await Promise.all(loads.map((load) => load.stop()));
  const samples = loads.flatMap((load) => load.samples);
  const before = samples.filter(({ atMs }) => atMs < doneMs - 1_000);
  const after = samples.filter(({ atMs }) => atMs >= doneMs);
  scene.figure('sessions', held.length);
  scene.figure('checks that began before the command', statusCounts(before));
  scene.figure('after it was done', statusCounts(after));
  scene.figure('forgeries with the stolen key', statusCounts(forged));
  scene.figure('latest let in, ms after it was done', latest([...after, ...forged], doneMs));
  scene.figure('new sessions', statusCounts(fresh));
  scene.require(
    before.some(({ status }) => status === 200),
    'nobody was signed in before',
  );
  requireRefused(scene, after, 'sessions of before');
  // Until a server has the new keys, it believes whoever has the former ones.
  requireRefused(
    scene,
    forged.filter(({ atMs }) => atMs >= doneMs + limitMs),
    'tokens signed with the stolen key',
  );
  scene.require(
    fresh.every(({ status }) => status === 200),
    `new sessions are answered with ${statusCounts(fresh)}`,
  );
}

function requireRefused(scene: Scene, samples: readonly Sample[], what: string): void {
  scene.require(
    samples.length > 0 && samples.every(({ status }) => status === 401),
    `${what} are answered with ${statusCounts(samples)}`,
  );
}

function latest(samples: readonly Sample[], sinceMs: number): string {
  const accepted = samples.filter(({ status }) => status === 200).map(({ atMs }) => atMs - sinceMs);
  return accepted.length === 0 ? 'none' : Math.max(...accepted).toFixed(0);
}
