import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { programCommand } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import type { Fault, Scene } from './fault.ts';
import type { FloodReport } from './flood.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { quantile, type Sample, signIn, startProbe, statusCounts } from './probe.ts';

/** Too much of everything: what is already signed in must not notice. */
export const loadFaults: readonly Fault[] = [
  { id: 'F20', title: '200 clients sign in again and again', guard: 'hashing in children', run: playFlood },
  { id: 'F28', title: 'idle and dripping connections', guard: 'connection limits', run: playSlowClients },
];

/**
 * The promise is a p99 of 10 ms on a machine of its own, which is a figure here. Flood and server share the cores, perhaps with
 * others, so that only the order of magnitude of the median is demanded.
 */
const medianLimitMs = 150;

async function playFlood(scene: Scene): Promise<void> {
  const ground = scene.ground(historySettings);
  await fillWithPlayers(ground);
  const server = await scene.serve(ground.env);
  const token = await signIn(server.url, 'player-0', testPassword);
  const seconds = scene.times(8, 60);
  const calm = await probeFor(server.url, token, 3_000);
  const before = residentMb(server.pid);
  const flood = Bun.spawn(
    [...programCommand.slice(0, -1), join(import.meta.dir, 'flood.ts'), server.url, '200', String(seconds)],
    {
      stdout: 'pipe',
      stderr: 'inherit',
    },
  );
  // The first moment is that of the flood's own start.
  await Bun.sleep(1_000);
  const during = await probeFor(server.url, token, (seconds - 2) * 1_000);
  const after = residentMb(server.pid);
  const report = JSON.parse(await new Response(flood.stdout).text()) as FloodReport;
  scene.figure('checks: p99 ms without flood', quantile(calm, 0.99));
  scene.figure('p99 with flood', quantile(during, 0.99));
  scene.figure('checks', statusCounts(during));
  scene.figure('sign-ins tried', report.tries);
  scene.figure('accepted', report.accepted);
  scene.figure('accepted p99 ms', report.acceptedP99Ms);
  scene.figure('shed', report.shed);
  scene.figure('shed median ms', report.shedMedianMs);
  scene.figure('memory MB before, after', `${before.toFixed(0)}, ${after.toFixed(0)}`);
  scene.require(
    during.every(({ status }) => status === 200),
    `checks during the flood: ${statusCounts(during)}`,
  );
  const median = quantile(during, 0.5);
  scene.figure('median with flood', median);
  scene.require(median <= medianLimitMs, `checks' median during the flood is ${median.toFixed(0)} ms`);
  scene.require(report.strange === 0, `${report.strange} sign-ins were answered strangely`);
  scene.require(report.accepted > 0, 'no sign-in got through');
  scene.require(after - before < 100, `the server grew by ${(after - before).toFixed(0)} MB`);
}

async function probeFor(url: string, token: string, ms: number): Promise<readonly Sample[]> {
  const probe = startProbe(url, token);
  await Bun.sleep(ms);
  await probe.stop();
  return probe.samples;
}

function residentMb(pid: number): number {
  const { stdout } = Bun.spawnSync(['ps', '-o', 'rss=', '-p', String(pid)]);
  return Number(stdout.toString()) / 1024;
}

/** All slow ones are gone by then, and a healthy client waits no longer than this. */
const goneAfterMs = 40_000;
const healthyLimitMs = 250;

async function playSlowClients(scene: Scene): Promise<void> {
  const ground = scene.ground(historySettings);
  await fillWithPlayers(ground, 1);
  const server = await scene.serve(ground.env);
  const token = await signIn(server.url, 'player-0', testPassword);
  const count = scene.times(900, 9_000);
  const port = Number(new URL(server.url).port);
  const probe = startProbe(server.url, token);
  const sockets: Socket[] = [];
  scene.atEnd(() => sockets.forEach((socket) => socket.destroy()));
  let open = 0;
  const gone = Promise.withResolvers<void>();
  for (let index = 0; index < count; index += 1) {
    sockets.push(
      openSlow(port, index, () => {
        open -= 1;
        if (open === 0 && sockets.length === count) gone.resolve();
      }),
    );
    open += 1;
    if (index % 200 === 199) await Bun.sleep(50);
  }
  const startMs = performance.now();
  await Promise.race([gone.promise, Bun.sleep(goneAfterMs + 5_000)]);
  const took = performance.now() - startMs;
  await probe.stop();
  scene.figure('slow connections', count);
  scene.figure('all gone after s', took / 1_000);
  scene.figure('checks meanwhile', statusCounts(probe.samples));
  scene.figure('their p99 ms', quantile(probe.samples, 0.99));
  scene.require(open === 0, `${open} slow connections are still open after ${(took / 1_000).toFixed(0)} s`);
  scene.require(
    probe.samples.every(({ status }) => status === 200),
    `checks: ${statusCounts(probe.samples)}`,
  );
  const p99 = quantile(probe.samples, 0.99);
  scene.require(p99 <= healthyLimitMs, `a healthy client's p99 is ${p99.toFixed(0)} ms`);
}

const head = 'POST /v2/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';

/** A third says nothing, a third drips its head, a third drips its body. */
function openSlow(port: number, index: number, onEnd: () => void): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.on('data', () => undefined);
  const drip = index % 3 === 0 ? '' : index % 3 === 1 ? 'x' : ' ';
  const timer = setInterval(() => drip !== '' && socket.writable && socket.write(drip), 3_000);
  socket.on('connect', () => {
    if (index % 3 === 1) socket.write(head.slice(0, 40));
    if (index % 3 === 2) socket.write(`${head}Content-Length: 10000\r\n\r\n{`);
  });
  socket.on('close', () => {
    clearInterval(timer);
    onEnd();
  });
  return socket;
}
