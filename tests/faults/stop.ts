import { readdirSync } from 'node:fs';
import { beginRefresh } from '../support/half-request.ts';
import { doorsOf } from '../support/http.ts';
import { runProgram } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import type { Fault, Scene } from './fault.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { signIn } from './probe.ts';

/** Starts that must not succeed, and stops that must lose nothing. */
export const stopFaults: readonly Fault[] = [
  { id: 'F21', title: 'SIGTERM with 200 requests in hand', guard: 'graceful stop', run: playStop },
  { id: 'F31', title: 'a second server on one directory', guard: 'directory lock', run: playSecondServer },
  { id: 'F33', title: 'the database name does not resolve', guard: 'start limit', run: playNoDatabase },
];

async function playStop(scene: Scene): Promise<void> {
  const ground = scene.ground({ ...historySettings, CARDEA_SHUTDOWN_DRAIN_MS: '500' });
  await fillWithPlayers(ground, 1);
  const server = await scene.serve(ground.env);
  const doors = doorsOf(server.url);
  const steady = await signIn(server.url, 'player-0', testPassword);
  const tokens: string[] = [];
  for (let count = 0; count < 100; count += 1) tokens.push(await signIn(server.url, 'player-0', testPassword));
  const slow = await Promise.all(tokens.map((token) => beginRefresh(server.url, token)));
  const fast = Array.from({ length: 100 }, () => doors.restSession(steady));
  const startMs = performance.now();
  server.signal('SIGTERM');
  const statuses = (await Promise.all(fast)).map(({ status }) => status);
  for (const half of slow) half.finish();
  const answers = await Promise.all(slow.map((half) => half.answer));
  const code = await server.exited;
  const took = performance.now() - startMs;
  const answered = answers.filter((answer) => answer.startsWith('HTTP/1.1 200')).length;
  const quick = statuses.filter((status) => status === 200).length;
  scene.figure('slow requests answered', answered);
  scene.figure('fast requests answered', quick);
  scene.figure('exit after ms', took);
  scene.require(answered === 100 && quick === 100, `${answered} slow and ${quick} fast requests of 100 each answered`);
  scene.require(code === 0, `exit code ${code}`);
  scene.require(took <= 10_000, `the stop took ${took.toFixed(0)} ms`);
  const left = readdirSync(ground.directory).filter((name) => /-(wal|shm)$/.test(name));
  scene.require(left.length === 0, `${left.join(', ')} was left behind`);
}

async function playSecondServer(scene: Scene): Promise<void> {
  const ground = scene.ground(historySettings);
  await fillWithPlayers(ground, 1);
  const first = await scene.serve(ground.env);
  const second = await Promise.race([scene.serve(ground.env), Bun.sleep(10_000)]).catch(() => undefined);
  scene.require(second === undefined, 'a second server serves the same directory');
  if (second !== undefined) return;
  const { code, errors } = await runProgram(['serve'], { env: ground.env });
  scene.figure('exit code', code);
  scene.figure('said', errors.trim().replaceAll(ground.directory, '<directory>'));
  scene.require(code !== 0 && /Another Cardea server is using/.test(errors), `exit ${code}: ${errors}`);
  scene.require((await doorsOf(first.url).restLogin('player-0', testPassword)).status === 200, 'the first one suffers');
}

async function playNoDatabase(scene: Scene): Promise<void> {
  const nowhere = 'postgres://cardea:s3cret-of-the-test@no-such-host.invalid/cardea';
  const ground = scene.ground({ CARDEA_DATABASE_URL: nowhere });
  const startMs = performance.now();
  const started = scene.serve(ground.env).then(
    () => 'started',
    () => 'ended',
  );
  const outcome = await Promise.race([started, Bun.sleep(40_000).then(() => 'still waiting')]);
  const seconds = (performance.now() - startMs) / 1000;
  scene.figure('gave up after s', seconds);
  scene.require(outcome === 'ended', `after ${seconds.toFixed(0)} s: ${outcome}`);
  scene.require(seconds < 35, `the start waited ${seconds.toFixed(0)} s`);
}
