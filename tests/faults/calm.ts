import type { Fault, Scene } from './fault.ts';
import type { GuardName } from './guards.ts';
import { playHistory } from './histories.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';

const rows: readonly [store: 'SQLite' | 'PostgreSQL', guard: GuardName, commands: number][] = [
  ['SQLite', 'forgetting before the answer', 0],
  ['SQLite', 'noticing foreign changes', 3],
  ['PostgreSQL', 'read through', 1],
];

/** F00: nothing happens at all. The clients alone race each other, and commands race the server. */
export const calmFaults: readonly Fault[] = rows.map(([store, guard, commands]) => ({
  id: 'F00',
  title: `random clients${commands > 0 ? ' and commands' : ''}, ${store}`,
  guard,
  run: (scene) => playCalm(scene, store, commands),
}));

async function playCalm(scene: Scene, store: 'SQLite' | 'PostgreSQL', commands: number): Promise<void> {
  const databaseUrl = store === 'PostgreSQL' ? await (await scene.cluster()).createDatabase('cardea') : '';
  const ground = scene.ground({ ...historySettings, CARDEA_DATABASE_URL: databaseUrl });
  const players = await fillWithPlayers(ground);
  const server = await scene.serve(ground.env);
  await playHistory(scene, {
    ground,
    players,
    clients: 8,
    urls: () => [server.url],
    commands,
    script: () => Bun.sleep(scene.times(15, 300) * 1_000),
  });
}
