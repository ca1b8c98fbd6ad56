import { doorsOf } from '../support/http.ts';
import { runProgram } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import type { Fault, Scene } from './fault.ts';
import type { GuardName } from './guards.ts';
import { playHistory } from './histories.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { signIn } from './probe.ts';

const rows: readonly [store: 'SQLite' | 'PostgreSQL', guard: GuardName, commands: number][] = [
  ['SQLite', 'forgetting before the answer', 0],
  ['PostgreSQL', 'read through', 1],
];

/** F00: nothing happens at all. The clients alone race each other, and commands race the server. */
export const calmFaults: readonly Fault[] = [
  ...rows.map(([store, guard, commands]) => ({
    id: 'F00',
    title: `random clients${commands > 0 ? ' and commands' : ''}, ${store}`,
    guard,
    run: (scene: Scene) => playCalm(scene, store, commands),
  })),
  {
    id: 'F00',
    title: 'commands end sessions that the server has just shown, SQLite',
    guard: 'noticing foreign changes',
    run: playCommands,
  },
];

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

/** P1: a command prints success only when no running server can answer from before it. */
async function playCommands(scene: Scene): Promise<void> {
  const ground = scene.ground(historySettings);
  await fillWithPlayers(ground, 1);
  const server = await scene.serve(ground.env);
  const doors = doorsOf(server.url);
  const times = scene.times(4, 50);
  for (let count = 0; count < times; count += 1) {
    const token = await signIn(server.url, 'player-0', testPassword);
    const before = (await doors.webSession(token)).status;
    scene.require(before === 200, `before the command a check is answered with ${before}`);
    const { code, errors } = await runProgram(['session', 'end', '--user', 'player-0'], { env: ground.env });
    const after = (await doors.webSession(token)).status;
    scene.require(code === 0, `the command failed: ${errors}`);
    scene.require(after === 401, `after the command a check is answered with ${after}`);
  }
  scene.figure('commands', times);
}
