import { afterAll, beforeAll, expect } from 'bun:test';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { type Canary, startCanary } from './canary.ts';
import { allDoors } from './four-doors.ts';
import { startTestServer, type TestEngine, type TestServer } from './server.ts';
import * as web from './user-session.ts';

/** One entry of the list of bad inputs: its ids, what it is, and the inputs of that kind. */
export type AttackRow<Input> = readonly [name: string, inputs: Input];

/** A server under attack, a healthy client's token beside it, and a listener that nobody has a reason to call. */
export type AttackGround = {
  server: TestServer;
  canary: Canary;
  port: number;
  /** Of user 4821. */
  healthy: string;
};

/** What a hang would break, for a whole row of inputs; that answers are quick is measured elsewhere, since tests share their machine. */
const longestWaitMs = 15_000;
const longestRecord = 2_048;
/** What a whole group may leave behind in this process, where every server and client of the run lives. */
const mostKeptBytes = 256 * 1024 * 1024;
/** The clock stands still, so that what is spent of an allowance never comes back. */
const unlimited = { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000', CARDEA_SESSION_MAX_PER_USER: '10000' };

/** Starts a server with every door before the tests of a `describe`; afterwards it must be as small and as well as before. */
export function useAttackGround(engine: TestEngine = 'sqlite'): AttackGround {
  const ground = {} as AttackGround;
  let before = 0;
  beforeAll(async () => {
    ground.server = await startTestServer({ engine, settings: { ...allDoors, ...unlimited } });
    ground.port = Number(new URL(ground.server.url).port);
    ground.canary = await startCanary();
    ground.healthy = (await web.signIn(ground.server, demoUsers.john)).token;
    before = process.memoryUsage.rss();
  }, 30_000);
  afterAll(async () => {
    await expectHealthy(ground);
    Bun.gc(true);
    expect(process.memoryUsage.rss() - before).toBeLessThan(mostKeptBytes);
    await ground.canary.close();
    await ground.server.close();
  });
  return ground;
}

/**
 * Runs an attack while a healthy client asks for its session, and holds the server to what the list promises for every bad input: it
 * answers in time, calls nobody, takes no mistake of its own down, keeps its log records few and short, and the healthy client notices
 * nothing.
 * @param mostRecords one for each bad input, where their number is known
 */
export async function underAttack<T>(
  ground: AttackGround,
  act: () => Promise<T>,
  mostRecords = Number.POSITIVE_INFINITY,
): Promise<T> {
  const { server, canary } = ground;
  const logged = server.log.length;
  const startMs = performance.now();
  const [result] = await Promise.all([act(), expectHealthy(ground)]);
  expect(performance.now() - startMs).toBeLessThan(longestWaitMs);
  await expectHealthy(ground);
  expect(canary.calls()).toBe(0);
  expect(server.log.length - logged).toBeLessThanOrEqual(mostRecords);
  for (const line of server.log.slice(logged)) expectSoundRecord(line);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  return result;
}

/** The healthy client is signed in, and as nobody else. */
export async function expectHealthy({ server, healthy }: AttackGround): Promise<void> {
  const answer = await web.session(server, web.bearer(healthy));
  expect({ status: answer.status, id: web.sessionOf(answer).id }).toEqual({ status: 200, id: demoUsers.john.id });
}

function expectSoundRecord(line: string): void {
  expect(line.length).toBeLessThanOrEqual(longestRecord);
  expect(JSON.parse(line)).toMatchObject({ level: expect.not.stringMatching(/^error$/) });
}

/** What only an inside would say: stack lines, paths, file names, queries, names of what the product is made of. */
const innards =
  /<html|\bat \S+ \(|\.(?:ts|js|mjs|db)\b|node_modules|\/(?:home|root|tmp|usr|var|work|src)\/|\b(?:select|insert|update|delete) .*\b(?:from|into|set|where)\b|sqlite|postgres|kysely|\bzod\b|\bbun\b|TypeError|SyntaxError/i;

/** Fails the test if an answer, head and body, tells anything of the inside. */
export function expectNothingInside(received: string): void {
  expect(innards.exec(received)?.[0]).toBeUndefined();
}
