import { doorsOf } from '../support/http.ts';
import type { Server } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import type { Fault, Scene } from './fault.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { signIn } from './probe.ts';

/** Two servers on one PostgreSQL: what one of them ends, the other refuses. */
export const duoFaults: readonly Fault[] = [
  { id: 'F19', title: 'revoke at A, check at B', guard: 'read through', run: playDuo },
  { id: 'F22', title: 'A is frozen while B revokes', guard: 'read through', run: playFreeze },
];

async function startDuo(scene: Scene): Promise<[a: Server, b: Server]> {
  const url = await (await scene.cluster()).createDatabase('cardea');
  const ground = scene.ground({ ...historySettings, CARDEA_DATABASE_URL: url });
  await fillWithPlayers(ground, 4);
  // One directory for both, as two machines share one set of signing keys.
  return [await scene.serve(ground.env), await scene.serve(ground.env)];
}

async function playDuo(scene: Scene): Promise<void> {
  const [a, b] = await startDuo(scene);
  const times = scene.times(40, 1_000);
  let accepts = 0;
  let refusals = 0;
  let beforehand = 0;
  const loops = [0, 1, 2, 3].map(async (player) => {
    for (let count = 0; count < times / 4; count += 1) {
      const [from, to] = count % 2 === 0 ? [a, b] : [b, a];
      const token = await signIn(from.url, `player-${player}`, testPassword);
      let acknowledged = false;
      const checking = (async () => {
        for (;;) {
          const isAfter = acknowledged;
          const { status } = await doorsOf(to.url).webSession(token);
          if (status === 200 && isAfter) accepts += 1;
          if (status === 200 && !isAfter) beforehand += 1;
          if (status === 401) refusals += 1;
          if (isAfter) return;
        }
      })();
      await Bun.sleep(5);
      const { status } = await doorsOf(from.url).restLogout(token);
      acknowledged = status === 200;
      scene.require(acknowledged, `a logout was answered with ${status}`);
      acknowledged = true;
      await checking;
    }
  });
  await Promise.all(loops);
  scene.figure('revocations', times);
  scene.figure('accepted before the acknowledgement', beforehand);
  scene.figure('refused', refusals);
  scene.figure('accepted after the acknowledgement', accepts);
  scene.require(
    accepts === 0,
    `${accepts} checks that began after the acknowledgement were accepted at the other server`,
  );
  scene.require(beforehand > 0 && (scene.guardOff || refusals > 0), 'nothing was raced');
}

async function playFreeze(scene: Scene): Promise<void> {
  const [a, b] = await startDuo(scene);
  const tokens = await Promise.all([0, 1, 2, 3].map((player) => signIn(a.url, `player-${player}`, testPassword)));
  for (const token of tokens) {
    const { status } = await doorsOf(a.url).restSession(token);
    scene.require(status === 200, `before the freeze a check is answered with ${status}`);
  }
  const frozenMs = scene.times(3, 30) * 1_000;
  a.signal('SIGSTOP');
  await Bun.sleep(frozenMs / 2);
  for (const token of tokens) {
    const { status } = await doorsOf(b.url).restLogout(token);
    scene.require(status === 200, `a logout at B was answered with ${status}`);
  }
  // Asked while it is frozen: these are the first things it sees.
  const asked = tokens.map((token) => doorsOf(a.url).restSession(token));
  await Bun.sleep(frozenMs / 2);
  a.signal('SIGCONT');
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  scene.figure('frozen s', frozenMs / 1_000);
  scene.figure('first answers', statuses.join(', '));
  scene.require(
    statuses.every((status) => status === 401 || status === 503),
    `the first answers are ${statuses.join(', ')}`,
  );
  const later = await Promise.all(tokens.map((token) => doorsOf(a.url).restSession(token)));
  scene.require(
    later.every(({ status }) => status === 401),
    'a second later a revoked session lives',
  );
}
