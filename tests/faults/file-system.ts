import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { doorsOf } from '../support/http.ts';
import { makeGround, runProgram, type Server, serveBy } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import { commandOf, type Fault, type Scene } from './fault.ts';
import type { GuardName } from './guards.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';

const guard = 'look at the file system' as const satisfies GuardName;

/** Data directories on what is no disk of this machine. */
export const fileSystemFaults: readonly Fault[] = [
  { id: 'F34', title: 'the data directory on tmpfs', guard, missing, run: playTmpfs },
  { id: 'F34', title: 'the data directory on a network (stood in for)', guard, run: playNetwork },
];

function missing(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid?.() !== 0) return 'root';
  return undefined;
}

async function playTmpfs(scene: Scene): Promise<void> {
  const path = join(scene.directory(), 'mounted');
  mkdirSync(path);
  const mounted = Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'size=64m,mode=0700', 'cardea', path]);
  if (mounted.exitCode !== 0) throw new Error(`mount: ${mounted.stderr.toString().trim()}`);
  scene.atEnd(() => Bun.spawnSync(['umount', '-l', path]));
  const ground = makeGround(historySettings, path);
  await fillWithPlayers(ground, 1);
  const server = await scene.serve(ground.env);
  const warning = /^.*"level":"warn","event":"store\.file_system_volatile".*$/m.exec(server.output())?.[0] ?? 'nothing';
  const { status } = await doorsOf(server.url).restLogin('player-0', testPassword);
  scene.figure('a login', status);
  scene.figure('warned', /"fileSystem":"(\w+)"/.exec(warning)?.[1] ?? warning);
  scene.require(status === 200, `a login is answered with ${status}`);
  scene.require(warning.includes('"fileSystem":"tmpfs"'), `the log says ${warning} of it`);
  server.signal('SIGTERM');
  await server.exited;
}

/** No test can count on a mount over a network: the kernel's answer is exchanged for that of one. */
async function playNetwork(scene: Scene): Promise<void> {
  const ground = scene.ground(historySettings);
  await fillWithPlayers(ground, 1);
  const [command, env] = commandOf(scene.guardOff ? ['local disk', guard] : ['local disk'], ground.env);
  const served = await serveBy(command, env).catch(() => undefined as Server | undefined);
  scene.require(served === undefined, 'SQLite is served from NFS');
  if (served !== undefined) {
    served.signal('SIGKILL');
    return void (await served.exited);
  }
  const { code, errors } = await runProgram(['serve'], { command, env });
  scene.figure('exit code', code);
  scene.figure('said', errors.trim().replaceAll(ground.directory, '<directory>'));
  scene.require(code === 1 && /^cardea: [^\n]* lies on a network file system \(nfs\)[^\n]*\n$/.test(errors), errors);
}
