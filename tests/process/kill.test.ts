import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { brokenWords, type ChangeKind, live, newcomer, type Told } from '../support/history.ts';
import { doorsOf } from '../support/http.ts';
import { testDatabaseUrl } from '../support/postgres.ts';
import { endPrograms, fillGround, type Ground, makeGround, startServing } from '../support/program.ts';
import { engines } from '../support/server.ts';
import { addUser, testPassword } from '../support/users.ts';

/** One round each, so five kills in all: the server dies in the very moment in which such a change was acknowledged. */
const deadlyAnswers: readonly ChangeKind[] = ['login', 'logout', 'refresh', 'key', 'password'];
const clients = 4;
/** Changes that are acknowledged before a deadly one counts, so that work is in flight everywhere. */
const warmUp = 12;

describe.each(engines.map((engine) => [engine]))('kill -9 on %s', (engine) => {
  let ground: Ground;
  const everybody: Told[][] = [];
  beforeEach(async () => {
    // Tries cut off by a kill stay counted as failures, all from this one address.
    ground = makeGround({
      CARDEA_DATABASE_URL: engine === 'postgres' ? await testDatabaseUrl() : '',
      CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '10000',
      CARDEA_THROTTLE_ADDRESS_PER_HOUR: '10000',
    });
    await fillGround(ground, async (core) => {
      for (const kind of deadlyAnswers) {
        const round: Told[] = [];
        for (let client = 0; client < clients; client += 1) {
          const login = `${kind}-${client}`;
          round.push(newcomer(await addUser({ core }, { login }), login, testPassword));
        }
        everybody.push(round);
      }
    });
  }, 30_000);
  afterEach(async () => {
    await endPrograms();
    ground.remove();
    everybody.length = 0;
  });

  test('F01, SES-06: whatever was acknowledged up to the last moment holds after the next start, at both doors', async () => {
    for (const [round, kind] of deadlyAnswers.entries()) {
      const server = await startServing(ground.env);
      let acknowledgements = 0;
      const onAcknowledged = (acknowledged: ChangeKind) => {
        acknowledgements += 1;
        if (acknowledgements > warmUp && acknowledged === kind) server.signal('SIGKILL');
      };
      const users = everybody[round] ?? [];
      await Promise.all(users.map((told) => live(doorsOf(server.url), told, onAcknowledged)));
      expect(await server.exited).toBe(137);
      expect(acknowledgements).toBeGreaterThan(warmUp);

      const next = await startServing(ground.env);
      const broken = await Promise.all(users.map((told) => brokenWords(doorsOf(next.url), told)));
      expect(broken.flat()).toEqual([]);
      next.signal('SIGKILL');
      await next.exited;
    }
    const last = await startServing(ground.env);
    // Client by client: all at once would be more logins than the hashing queue takes.
    for (const told of everybody.flat()) expect(await brokenWords(doorsOf(last.url), told)).toEqual([]);
    expect(everybody.flat().flatMap((told) => [...told.ended]).length).toBeGreaterThan(10);
  }, 60_000);
});
