import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { doorsOf } from '../support/http.ts';
import { testPassword } from '../support/users.ts';
import { makeDisk, missingForDisk } from './disk.ts';
import type { Fault, Scene } from './fault.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { signIn, statusCounts, timed } from './probe.ts';

/** A disk that fails while the server writes. */
export const diskFaults: readonly Fault[] = [
  {
    id: 'F04',
    title: 'three flushes fail, then all is well again',
    guard: 'broken after a failed flush',
    missing: () => (Bun.which('strace') === null ? 'strace' : undefined),
    run: playFailedFlush,
  },
  { id: 'F05', title: 'the disk is full', guard: 'disk reserve', missing: missingForDisk, run: playFullDisk },
];

async function playFailedFlush(scene: Scene): Promise<void> {
  const ground = scene.ground(historySettings);
  await fillWithPlayers(ground, 1);
  const server = await scene.serve(ground.env);
  const doors = doorsOf(server.url);
  const tokens: string[] = [];
  for (let count = 0; count < 20; count += 1) tokens.push(await signIn(server.url, 'player-0', testPassword));
  const inject = ['-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO:when=1..3'];
  const strace = Bun.spawn(['strace', '-f', '-p', String(server.pid), ...inject, '-o', '/dev/null'], {
    stderr: 'pipe',
    stdout: 'ignore',
  });
  scene.atEnd(() => strace.kill());
  // It says so when it holds every thread.
  await strace.stderr.getReader().read();
  const statuses: number[] = [];
  for (const token of tokens) statuses.push((await doors.restLogout(token)).status);
  const first = statuses.findIndex((status) => status !== 200);
  const afterwards = statuses.slice(first).filter((status) => status === 200).length;
  scene.figure('logouts', statuses.map((status) => (status === 0 ? 'none' : status)).join(' '));
  scene.require(first >= 0, 'no flush failed: nothing was tested');
  scene.require(afterwards === 0, `${afterwards} changes were acknowledged after a failed flush`);
  const code = await Promise.race([server.exited, Bun.sleep(20_000).then(() => 'none')]);
  scene.figure('exit code', code);
  scene.require(code === 1, `exit code ${code} after a failed flush`);
  strace.kill();
  if (code === 'none') return;
  const next = await scene.serve(ground.env);
  const answers = await Promise.all(tokens.map((token) => doorsOf(next.url).restSession(token)));
  const revived = answers.filter(({ status }, index) => statuses[index] === 200 && status !== 401).length;
  scene.figure('revived', revived);
  scene.require(revived === 0, `${revived} sessions that were logged out live after the next start`);
}

async function playFullDisk(scene: Scene): Promise<void> {
  const disk = makeDisk(64);
  scene.atEnd(disk.remove);
  const ground = scene.ground(historySettings, disk.path);
  await fillWithPlayers(ground, 1);
  const server = await scene.serve(ground.env);
  const doors = doorsOf(server.url);
  const token = await signIn(server.url, 'player-0', testPassword);
  const others: string[] = [];
  for (let count = 0; count < 10; count += 1) others.push(await signIn(server.url, 'player-0', testPassword));
  const filler = join(disk.path, 'filler');
  fill(filler);
  const logIn = () => timed(async () => (await doors.restLogin('player-0', testPassword)).status);
  const logins = [];
  for (let count = 0; count < 60; count += 1) {
    const login = await logIn();
    logins.push(login);
    if (login.status !== 200 && logins.length > 20) break;
  }
  const check = (await doors.restSession(token)).status;
  const logouts = [];
  for (const other of others) logouts.push(await timed(async () => (await doors.restLogout(other)).status));
  scene.figure('logins', statusCounts(logins));
  scene.figure('a check', check);
  scene.figure('logouts', statusCounts(logouts));
  scene.require(
    logins.some(({ status }) => status === 503),
    `logins on a full disk: ${statusCounts(logins)}`,
  );
  scene.require(
    logins.every(({ status }) => [200, 503].includes(status)),
    `logins: ${statusCounts(logins)}`,
  );
  scene.require(check === 200, `a check on a full disk is answered with ${check}`);
  scene.require(
    logouts.every(({ status }) => status === 200),
    `logouts on a full disk: ${statusCounts(logouts)}`,
  );
  rmSync(filler);
  const startMs = performance.now();
  let again = await logIn();
  while (again.status !== 200 && performance.now() - startMs < 30_000) {
    await Bun.sleep(200);
    again = await logIn();
  }
  scene.figure('a login works again after s', (performance.now() - startMs) / 1_000);
  scene.require(again.status === 200, `with space again a login is answered with ${again.status}`);
  server.signal('SIGKILL');
  await server.exited;
}

/** Writes until there is no space left. */
function fill(path: string): void {
  const file = openSync(path, 'w');
  for (let size = 1024 * 1024; size >= 512; size = Math.floor(size / 2)) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size));
    } catch {
      // Less may still fit.
    }
  }
  closeSync(file);
}
