import { openSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { doorsOf } from '../support/http.ts';
import type { Ground, Server } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import { makeDisk, missingForDisk } from './disk.ts';
import type { Fault, Scene } from './fault.ts';
import * as doors from './history/doors.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { signIn } from './probe.ts';

/** What can happen to the file of the embedded database. */
export const fileFaults: readonly Fault[] = [
  {
    id: 'F06',
    title: 'the disk turns read-only',
    guard: 'reads without writes',
    missing: missingForDisk,
    run: playReadOnly,
  },
  { id: 'F07', title: 'a damaged file at the start', guard: 'integrity check at start', run: playDamage },
];

async function playReadOnly(scene: Scene): Promise<void> {
  const disk = makeDisk(64);
  scene.atEnd(disk.remove);
  // A session of this contract writes its use down after a quarter of its idle limit.
  const ground = scene.ground({ ...historySettings, CARDEA_HCX_IDLE_MINUTES: '1' }, disk.path);
  await fillWithPlayers(ground, 1);
  const server = await scene.serve(ground.env);
  const at = { url: server.url, agent: 'disk' };
  const token = await signIn(server.url, 'player-0', testPassword);
  const opened = await doors.logIn(at, 'appliance', 'player-0', testPassword);
  disk.flush();
  await Bun.sleep(16_000);
  disk.turnReadOnly();
  const rest = doorsOf(server.url);
  const checks = [
    (await rest.restSession(token)).status,
    (await doors.check(at, 'appliance', 'appliance', opened.secret ?? '')).status,
  ];
  const changes = [(await rest.restLogin('player-0', testPassword)).status, (await rest.restLogout(token)).status];
  const later = (await rest.restSession(token)).status;
  scene.figure('checks', checks.join(', '));
  scene.figure('a login, a logout', changes.join(', '));
  scene.figure('a check afterwards', later);
  scene.require(
    checks.every((status) => status === 200),
    `checks are answered with ${checks.join(', ')}`,
  );
  scene.require(
    changes.every((status) => status === 503),
    `changes are answered with ${changes.join(', ')}`,
  );
  scene.require([200, 0, 503].includes(later), `a check afterwards is answered with ${later}`);
  await end(server);
}

async function end(server: Server): Promise<void> {
  server.signal('SIGKILL');
  await server.exited;
}

type Damage = readonly [what: string, work: (path: string, size: number) => void];

const damages: readonly Damage[] = [
  ['emptied', (path) => truncateSync(path, 0)],
  ['cut to half', (path, size) => truncateSync(path, size / 2)],
  ['with a zeroed header', (path) => overwrite(path, 0, 100)],
  ['with a zeroed page', (path) => overwrite(path, 8 * 4096, 4096)],
  ['overwritten with text', (path) => writeFileSync(path, 'not a database '.repeat(2_000))],
];

function overwrite(path: string, from: number, length: number): void {
  writeSync(openSync(path, 'r+'), Buffer.alloc(length), 0, length, from);
}

async function playDamage(scene: Scene): Promise<void> {
  for (const [what, work] of damages) {
    const ground = scene.ground(historySettings);
    await fillWithPlayers(ground, 1);
    const path = join(ground.directory, 'cardea.db');
    work(path, statSync(path).size);
    const outcome = await startOutcome(scene, ground);
    scene.figure(what, outcome);
    scene.require(outcome === 'refused', `a file ${what}: ${outcome}`);
  }
}

async function startOutcome(scene: Scene, ground: Ground): Promise<string> {
  try {
    await scene.serve(ground.env);
    return 'served';
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return /restore a backup/.test(said) ? 'refused' : said;
  }
}
