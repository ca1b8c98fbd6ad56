import { SQL } from 'bun';
import type { Server } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import { clockLibrary, missingClockLibrary } from './clocks.ts';
import type { Fault, Scene } from './fault.ts';
import * as doors from './history/doors.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';

/** F13: two servers on one PostgreSQL, 180 seconds apart. The database's clock, which is this process's too, must decide for both. */
export const twoClockFaults: readonly Fault[] = [
  {
    id: 'F13',
    title: 'two servers, one clock 90 s ahead and one 90 s behind',
    guard: 'database clock',
    missing: missingClockLibrary,
    run: playTwoClocks,
  },
];

const kinds = ['rest', 'web', 'cookie', 'soap', 'appliance'] as const;
type Door = (typeof kinds)[number];

const tokenSeconds = 60;
/** A second is the unit of every end; another one is for the way. */
const marginMs = 2_000;

type Duo = { readonly a: Server; readonly b: Server; readonly database: string };

async function startDuo(scene: Scene): Promise<Duo> {
  const database = await (await scene.cluster()).createDatabase('cardea');
  const settings = { ...historySettings, CARDEA_ECGRID_TOKEN_MINUTES: String(tokenSeconds / 60) };
  const ground = scene.ground({ ...settings, CARDEA_DATABASE_URL: database });
  await fillWithPlayers(ground, 1);
  const serveAt = (offset: string) =>
    scene.serve({
      ...ground.env,
      LD_PRELOAD: clockLibrary() ?? '',
      FAKETIME: offset,
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    });
  return { a: await serveAt('+90s'), b: await serveAt('-90s'), database };
}

type Wrong = { answers: number; count: number };

async function playTwoClocks(scene: Scene): Promise<void> {
  const { a, b, database } = await startDuo(scene);
  for (const [server, seconds] of [
    [a, -90],
    [b, 90],
  ] as const) {
    const told = /"event":"clock.differs_from_database","behindSeconds":(-?\d+)/.exec(server.output())?.[1];
    scene.require(Math.abs(Number(told) - seconds) <= 2, `a clock that is ${-seconds} s ahead was told as ${told}`);
  }
  const wrong: Wrong = { answers: 0, count: 0 };
  const rounds = scene.times(4, 40);
  for (let round = 0; round < rounds; round += 1) {
    const [from, to] = round % 2 === 0 ? [a, b] : [b, a];
    await crossOver(scene, wrong, from, to);
  }
  await watchEnds(scene, wrong, { a, b, database }, 3, "3 s of the database's clock");
  if (!scene.quick && !scene.guardOff) await watchEnds(scene, wrong, { a, b, database }, null, 'the token');
  scene.figure('sessions made at one and used at the other', rounds * kinds.length);
  scene.figure('answers', wrong.count);
  scene.figure('wrong ones', wrong.answers);
  scene.require(wrong.answers === 0, `${wrong.answers} of ${wrong.count} answers were wrong`);
}

function judge(wrong: Wrong, status: number, expected: number): void {
  wrong.count += 1;
  if (status !== expected) wrong.answers += 1;
}

const at = (server: Server): doors.At => ({ url: server.url, agent: 'two clocks' });

async function logIn(server: Server, door: Door): Promise<string> {
  const reply = await doors.logIn(at(server), door, 'player-0', testPassword);
  if (reply.secret === undefined) throw new Error(`signing in at ${door} was answered with ${reply.status}`);
  return reply.secret;
}

async function check(server: Server, door: Door, secret: string): Promise<number> {
  return (await doors.check(at(server), door, doors.loginKinds[door], secret)).status;
}

/** What one of them gives out counts at the other, also its successor, and is over there as soon as it is ended. */
async function crossOver(scene: Scene, wrong: Wrong, from: Server, to: Server): Promise<void> {
  for (const door of kinds) {
    const secret = await logIn(from, door);
    judge(wrong, await check(to, door, secret), 200);
    let last = secret;
    if (door === 'rest') {
      const successor = await doors.refresh(at(to), secret);
      judge(wrong, successor.status, 200);
      // Within the grace the same one comes back, whichever server is asked.
      const again = await doors.refresh(at(from), secret);
      judge(wrong, again.status, 200);
      scene.require(scene.guardOff || again.secret === successor.secret, 'a token had two successors');
      last = successor.secret ?? secret;
      judge(wrong, await check(from, door, last), 200);
    }
    judge(wrong, (await doors.logOut(at(to), door, doors.loginKinds[door], last)).status, 200);
    judge(wrong, await check(from, door, last), 401);
  }
}

/** One session of each server and contract, asked about at both until each has refused it: it ends at both in the same second. */
async function watchEnds(
  scene: Scene,
  wrong: Wrong,
  { a, b, database }: Duo,
  seconds: number | null,
  what: string,
): Promise<void> {
  const doorsAsked = seconds === null ? (['rest'] as const) : kinds;
  const openedMs = Date.now();
  const sessions: { door: Door; secret: string }[] = [];
  for (const door of doorsAsked) {
    for (const server of [a, b]) sessions.push({ door, secret: await logIn(server, door) });
  }
  const latest = seconds === null ? Date.now() + tokenSeconds * 1_000 : await endAllAfter(database, seconds);
  const earliest = seconds === null ? openedMs + tokenSeconds * 1_000 : latest;
  const lastLive = [0, 0];
  while (Date.now() < latest + marginMs + 1_000) {
    for (const { door, secret } of sessions) {
      for (const [index, server] of [a, b].entries()) {
        const askedMs = Date.now();
        const status = await check(server, door, secret);
        if (status === 200) lastLive[index] = Date.now();
        if (Date.now() < earliest - marginMs) judge(wrong, status, 200);
        if (askedMs > latest + marginMs) judge(wrong, status, 401);
      }
    }
    await Bun.sleep(seconds === null ? 250 : 20);
  }
  const [first = 0, second = 0] = lastLive;
  scene.figure(
    `${what}: last let in at A, at B, s after the end`,
    [first, second].map((ms) => ((ms - latest) / 1_000).toFixed(1)).join(', '),
  );
}

/** All sessions end so many seconds from now. @returns when, by this machine's clock, on which the database stands */
async function endAllAfter(database: string, seconds: number): Promise<number> {
  await using sql = new SQL(database, { max: 1 });
  const end = Math.ceil(Date.now() / 1_000) + seconds;
  await sql`update sessions set absolute_expires_at = ${end}::double precision where ended_at is null`;
  return end * 1_000;
}
