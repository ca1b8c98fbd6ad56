import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { describeUsers } from '../../bench/cardea/users.ts';
import { useOfProcess } from '../../bench/machine.ts';
import { type Server, serveBy } from '../support/program.ts';
import { fillWithCrowd } from './crowd.ts';
import { commandOf, type Fault, type Scene } from './fault.ts';
import { historySettings } from './history/run.ts';
import { type Sample, slowest, statusCounts, timed } from './probe.ts';
import { contracts } from './soak/contracts.ts';
import { openWire, type Wire } from './soak/wire.ts';

/** The process may not open anything any more. */
export const descriptorFaults: readonly Fault[] = [
  { id: 'F09', title: 'connections take all descriptors', guard: 'connection limits', missing, run: playExhaustion },
];

function missing(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  return Bun.which('prlimit') === null ? 'prlimit' : undefined;
}

const descriptors = 64;
/** Idle connections are cut, as many as got in at a time; the others still wait in the kernel's line. */
const turnMs = 20_000;

async function playExhaustion(scene: Scene): Promise<void> {
  const ground = scene.ground(historySettings);
  await fillWithCrowd(ground, { sessions: 0 });
  const server = await serveScarcely(scene, ground.env);
  const port = Number(new URL(server.url).port);
  const wire = openWire(port);
  const { rest } = contracts;
  const user = describeUsers(1)[0] as ReturnType<typeof describeUsers>[number];
  const token = rest.secretIn(await wire.ask(rest.logIn(user)));
  const own = openDescriptors(server);
  const count = scene.times(80, 200);
  const sockets = Array.from({ length: count }, () => openIdle(port));
  scene.atEnd(() => sockets.forEach((socket) => socket.destroy()));
  await Bun.sleep(1_000);
  const most = openDescriptors(server);
  const cpuBefore = useOfProcess(server.pid).cpuSeconds;
  const samples: Sample[] = [];
  const startMs = performance.now();
  const newcomer = comeLater(port, rest.check(token));
  const limitMs = Math.ceil(count / (descriptors - own)) * turnMs + 5_000;
  let cameMs: number | undefined;
  void newcomer.then(() => (cameMs = performance.now() - startMs));
  while (cameMs === undefined && performance.now() - startMs < limitMs) {
    samples.push(await timed(async () => (await wire.ask(rest.check(token))).status));
    if (samples.length === 10) await changeSomething(scene, wire, user);
    await Bun.sleep(100);
  }
  const seconds = (performance.now() - startMs) / 1_000;
  scene.figure('connections', count);
  scene.figure('descriptors before, then', `${own}, ${most} of ${descriptors}`);
  scene.figure('checks of the open connection', `${statusCounts(samples)}, longest ${slowest(samples).toFixed(0)} ms`);
  scene.figure("server's share of a core", (useOfProcess(server.pid).cpuSeconds - cpuBefore) / seconds);
  scene.figure('a new connection is served after s', cameMs === undefined ? 'never' : cameMs / 1_000);
  scene.require(most >= descriptors - 2, `only ${most} descriptors are taken: nothing was tested`);
  const areRight = samples.every(({ status }) => status === 200);
  scene.require(areRight, `checks of the open connection: ${statusCounts(samples)}`);
  scene.require(cameMs !== undefined && (await newcomer) === 200, `after ${seconds.toFixed(0)} s nobody new is served`);
  scene.require(/"level":"error"/.test(server.output()) === false, 'the log has an error');
  wire.close();
}

/** Without a descriptor left, who is connected can still sign in and out. */
async function changeSomething(scene: Scene, wire: Wire, user: ReturnType<typeof describeUsers>[number]) {
  const { rest } = contracts;
  const token = rest.secretIn(await wire.ask(rest.logIn(user)));
  const out = (await wire.ask(rest.logOut(token))).status;
  const dead = (await wire.ask(rest.check(token))).status;
  scene.figure('a login, its logout, a check', [token === '' ? 'refused' : 200, out, dead].join(', '));
  scene.require(out === 200 && dead === 401, `a logout is answered with ${out}, a check afterwards with ${dead}`);
}

async function serveScarcely(scene: Scene, env: Readonly<Record<string, string>>): Promise<Server> {
  const [command, settings] = commandOf(scene.guardOff ? ['connection limits'] : [], env);
  const server = await serveBy(['prlimit', `--nofile=${descriptors}`, ...command], settings);
  scene.atEnd(() => {
    server.signal('SIGKILL');
    return server.exited;
  });
  return server;
}

/** `prlimit` becomes the program, so that the process is the same. */
function openDescriptors({ pid }: Server): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

const begun =
  'POST /v2/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{';

/** Begins a request and says nothing more: who says nothing at all is not even let in. */
function openIdle(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.on('connect', () => socket.write(begun));
  return socket;
}

async function comeLater(port: number, request: string): Promise<number> {
  const wire = openWire(port);
  try {
    return (await wire.ask(request)).status;
  } finally {
    wire.close();
  }
}
