import { testDatabaseUrl } from '../support/postgres.ts';
import { type Ground, programCommand, runProgram } from '../support/program.ts';
import type { Fault, Scene } from './fault.ts';
import { openSessions, presentAll } from './held.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { statusCounts } from './probe.ts';
import { changeMore, requireAll, requireIntact, requireLoggedOut, work } from './restore.ts';

/** F25 on PostgreSQL: what `cardea backup` and `cardea restore` say is done, word for word. */
export const dumpFaults: readonly Fault[] = [
  {
    id: 'F25',
    title: 'pg_dump under load and pg_restore, as the commands say',
    guard: 'session epoch',
    missing,
    run: playDump,
  },
];

/** The version of the tests' own server: older tools refuse it. */
const newestServer = 18;

function missing(): string | undefined {
  if (Bun.which('pg_dump') === null || Bun.which('pg_restore') === null) return 'pg_dump and pg_restore';
  if ((process.env['CARDEA_TEST_POSTGRES_URL'] ?? '') !== '') return undefined;
  const said = Bun.spawnSync(['pg_dump', '--version']).stdout.toString();
  const version = Number(/\) (\d+)/.exec(said)?.[1] ?? 0);
  if (version >= newestServer) return undefined;
  return `pg_dump ${newestServer}, or a server as old as pg_dump ${version} in CARDEA_TEST_POSTGRES_URL`;
}

async function playDump(scene: Scene): Promise<void> {
  const given = process.env['CARDEA_TEST_POSTGRES_URL'] ?? '';
  const url = given === '' ? await (await scene.cluster()).createDatabase('cardea') : await testDatabaseUrl();
  const ground = scene.ground({ ...historySettings, CARDEA_DATABASE_URL: url });
  await fillWithPlayers(ground);
  const before = await scene.serve(ground.env);
  const revoked = await openSessions(before.url, 'player-0', scene.times(12, 100));
  const held = [...revoked, ...(await openSessions(before.url, 'player-1', 6))];
  let isOver = false;
  const working = ['player-2', 'player-3'].map(async (login) => {
    while (!isOver) await work(before.url, login, held);
  });
  const copy = `${scene.directory()}/it's a copy.dump`;
  await runPrinted(scene, ground, 'backup', copy);
  isOver = true;
  await Promise.all(working);
  for (const one of revoked) await requireLoggedOut(scene, before.url, one);
  await changeMore(scene, before, held);
  before.signal('SIGTERM');
  await before.exited;

  await runPrinted(scene, ground, 'restore', copy);
  const next = await scene.serve(ground.env);
  const samples = await presentAll(next.url, held);
  scene.figure('sessions of before', held.length);
  scene.figure('presented afterwards', statusCounts(samples));
  requireAll(scene, 401, samples, 'sessions of before');
  await requireIntact(scene, ground, next.url);
}

/** Pastes what the command prints into a shell, as the operator does, who answers its question with yes. */
async function runPrinted(scene: Scene, { env }: Ground, command: 'backup' | 'restore', copy: string): Promise<void> {
  const { errors } = await runProgram([command, copy], { env });
  const printed = /: (pg_\w+ [^]*?)\s*$/.exec(errors)?.[1];
  scene.require(printed !== undefined, `${command} names no command: ${errors}`);
  const startMs = performance.now();
  const shell = Bun.spawn(['sh', '-c', `cardea() { ${programCommand.join(' ')} "$@"; }\n${printed ?? 'false'}`], {
    env: { ...env, PATH: process.env['PATH'] ?? '', PGPASSWORD: new URL(env['CARDEA_DATABASE_URL'] ?? '').password },
    stdin: new TextEncoder().encode('yes\n'),
    stdout: 'ignore',
    stderr: 'pipe',
  });
  const said = await shell.stderr.text();
  scene.require((await shell.exited) === 0, `what ${command} names fails: ${said}`);
  scene.figure(`${command} ms`, performance.now() - startMs);
}
