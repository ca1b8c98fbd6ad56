import type { Fault, Scene } from './fault.ts';
import { calmMs, killAndServe, playHistory } from './histories.ts';
import { createRandom } from './history/random.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';

/** F01: the server dies without a word, again and again, while clients are at work. */
export const killFaults: readonly Fault[] = (['SQLite', 'PostgreSQL'] as const).map((store) => ({
  id: 'F01',
  title: `kill -9 in a loop, ${store}`,
  guard: 'commit before answer',
  run: (scene) => playKills(scene, store),
}));

async function playKills(scene: Scene, store: 'SQLite' | 'PostgreSQL'): Promise<void> {
  const databaseUrl = store === 'PostgreSQL' ? await (await scene.cluster()).createDatabase('cardea') : '';
  const ground = scene.ground({ ...historySettings, CARDEA_DATABASE_URL: databaseUrl });
  const players = await fillWithPlayers(ground);
  const random = createRandom(scene.seed);
  const times = scene.times(5, 100);
  const startsMs: number[] = [];
  let server = await scene.serve(ground.env);
  await playHistory(scene, {
    ground,
    players,
    urls: () => [server.url],
    commands: 0.3,
    script: async ({ during, acknowledged }) => {
      for (let kill = 1; kill <= times; kill += 1) {
        await Bun.sleep(500 + random.below(900));
        await during('kill -9', async () => {
          const startMs = performance.now();
          server = await killAndServe(scene, server, ground.env);
          startsMs.push(performance.now() - startMs);
        });
        if (kill % 10 === 0) scene.progress(`${kill} kills, ${acknowledged()} acknowledged`);
      }
      await Bun.sleep(calmMs);
    },
  });
  scene.figure('kills', times);
  scene.figure('slowest restart ms', Math.max(...startsMs));
}
