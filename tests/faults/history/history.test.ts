import { afterEach, describe, expect, test } from 'bun:test';
import { testDatabaseUrl } from '../../support/postgres.ts';
import { endPrograms, type Ground, makeGround, type Server, startServing } from '../../support/program.ts';
import { engines } from '../../support/server.ts';
import { createRandom, freshSeed } from './random.ts';
import { fillWithPlayers, historySettings, runHistory } from './run.ts';

const fixedSeed = 20_261_121;
/** `CARDEA_TEST_SEED=… npm test -- tests/faults/history` plays one history again. */
const given = process.env['CARDEA_TEST_SEED'];
const seeds = given === undefined ? [fixedSeed, freshSeed()] : [Number(given)];
const playMs = 6_000;

describe.each(engines.map((engine) => [engine]))('random clients on %s', (engine) => {
  let ground: Ground;
  afterEach(async () => {
    await endPrograms();
    ground.remove();
  });

  test.each(seeds.map((seed) => [seed]))(
    'I1 to I8 hold at every door over one kill -9, seed %d',
    async (seed) => {
      const databaseUrl = engine === 'postgres' ? await testDatabaseUrl() : '';
      ground = makeGround({ ...historySettings, CARDEA_DATABASE_URL: databaseUrl });
      const players = await fillWithPlayers(ground);
      let server: Server = await startServing(ground.env);
      const random = createRandom(seed);
      const report = await runHistory({
        ground,
        players,
        seed,
        urls: () => [server.url],
        commands: 0.3,
        script: async ({ during }) => {
          await Bun.sleep(playMs / 2 - random.below(500));
          await during('kill -9', async () => {
            server.signal('SIGKILL');
            await server.exited;
            server = await startServing(ground.env);
          });
          await Bun.sleep(playMs / 2);
        },
      });
      expect(report.violations).toEqual([]);
      expect(report.acknowledged).toBeGreaterThan(50);
      expect(report.finalChecks).toBeGreaterThan(20);
    },
    60_000,
  );
});
