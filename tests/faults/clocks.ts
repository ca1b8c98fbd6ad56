import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import type { Fault, Scene } from './fault.ts';
import * as doors from './history/doors.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { signIn } from './probe.ts';

/** The machine's clock jumps under a running server. */
export const clockFaults: readonly Fault[] = [
  { id: 'F11', title: 'the clock jumps 3 days ahead', guard: 'expiry', missing: missingClockLibrary, run: playAhead },
  {
    id: 'F12',
    title: 'the clock goes back 2 hours',
    guard: 'grace against a clock set back',
    missing: missingClockLibrary,
    run: playBack,
  },
];

const places = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/faketime/libfaketimeMT.so.1',
];

/** `CARDEA_TEST_LIBFAKETIME` names it where it lies elsewhere. */
export function clockLibrary(): string | undefined {
  return [process.env['CARDEA_TEST_LIBFAKETIME'] ?? '', ...places].find((path) => path !== '' && existsSync(path));
}

export function missingClockLibrary(): string | undefined {
  return clockLibrary() === undefined ? 'libfaketime' : undefined;
}

type Moved = { readonly server: Server; readonly move: (offset: string) => Promise<void> };

/** A server whose clock runs as the machine's own, until it is moved; timers do not notice. */
async function startMovable(scene: Scene): Promise<Moved> {
  const ground = scene.ground(historySettings);
  await fillWithPlayers(ground, 1);
  const file = join(scene.directory(), 'offset');
  const write = (offset: string): void => writeFileSync(file, `${offset}\n`);
  write('+0');
  const server = await scene.serve({
    ...ground.env,
    LD_PRELOAD: clockLibrary() ?? '',
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    FAKETIME_NO_CACHE: '1',
  });
  return {
    server,
    move: async (offset) => {
      write(offset);
      await Bun.sleep(100);
    },
  };
}

async function playAhead(scene: Scene): Promise<void> {
  const { server, move } = await startMovable(scene);
  const at = { url: server.url, agent: 'clock' };
  const token = await signIn(server.url, 'player-0', testPassword);
  const opened = await doors.logIn(at, 'soap', 'player-0', testPassword);
  const states = async () => [
    (await doors.check(at, 'rest', 'token', token)).status,
    (await doors.check(at, 'soap', 'guid', opened.secret ?? '')).status,
  ];
  const before = await states();
  await move('+3d');
  const ahead = await states();
  const again = await doors.logIn(at, 'rest', 'player-0', testPassword);
  await move('+0');
  const back = await states();
  scene.figure('before, 3 days ahead, back', [before, ahead, back].map((some) => some.join(' ')).join(', '));
  scene.require(before.join() === '200,200', `before the jump: ${before.join(', ')}`);
  scene.require(ahead.join() === '401,401', `expired sessions are answered with ${ahead.join(', ')}`);
  scene.require(again.status === 200, `signing in three days ahead is answered with ${again.status}`);
}

async function playBack(scene: Scene): Promise<void> {
  const { server, move } = await startMovable(scene);
  const at = { url: server.url, agent: 'clock' };
  const ended = await signIn(server.url, 'player-0', testPassword);
  await doors.logOut(at, 'rest', 'token', ended);
  const live = await signIn(server.url, 'player-0', testPassword);
  const spent = await signIn(server.url, 'player-0', testPassword);
  const successor = await doors.refresh(at, spent);
  scene.require(successor.status === 200, `a refresh is answered with ${successor.status}`);
  // Past the grace, of two seconds here.
  await Bun.sleep(3_500);
  await move('-2h');
  const status = async (token: string) => (await doors.check(at, 'rest', 'token', token)).status;
  const revived = await status(ended);
  const alive = await status(live);
  const newcomer = await doors.logIn(at, 'rest', 'player-0', testPassword);
  const reuse = await doors.refresh(at, spent);
  const afterwards = await status(successor.secret ?? '');
  scene.figure('ended, live, new', [revived, alive, newcomer.status].join(', '));
  scene.figure('a spent token, its successor afterwards', [reuse.status, afterwards].join(', '));
  scene.require(revived === 401, `a session that had ended is answered with ${revived}`);
  scene.require(alive === 200, `a token from what is now the future is answered with ${alive}`);
  scene.require(newcomer.status === 200, `signing in is answered with ${newcomer.status}`);
  scene.require(reuse.status === 401 && afterwards === 401, 'a token that was spent long ago was exchanged again');
}
