import type { Server } from '../support/program.ts';
import { type Crowd, askAll, fillWithCrowd } from './crowd.ts';
import type { Fault, Scene } from './fault.ts';
import { historySettings } from './history/run.ts';
import { quantile, type Sample, signIn, startProbe, statusCounts, timed } from './probe.ts';
import { contracts, refreshOf } from './soak/contracts.ts';
import type { Wire } from './soak/wire.ts';

/** F29: many sessions whose tokens expire in the same second. */
export const expiryFaults: readonly Fault[] = [
  {
    id: 'F29',
    title: 'all refresh before they expire together',
    guard: 'forgetting before the answer',
    run: playRefreshes,
  },
  { id: 'F29', title: 'all expire in one second', guard: 'expiry of what is in memory', run: playExpiry },
];

const { rest } = contracts;
const connections = 64;
/** What a machine that others use too does at least, so that all are through before the second comes. */
const leastPerSecond = 400;
const startSeconds = 10;
/** The promise is 500 ms on a machine of its own, which is a figure here. */
const limitMs = 2_500;

type Eve = { readonly server: Server; readonly crowd: Crowd; readonly token: string; readonly endsAtMs: number };

/** A server that holds sessions of which all end in a while, in the same second, and one that lives on. */
async function startEve(scene: Scene, sessions: number, seconds: number): Promise<Eve> {
  const ground = scene.ground({ ...historySettings, CARDEA_SESSION_MAX_PER_USER: '100' });
  const crowd = await fillWithCrowd(ground, { sessions, tokenSeconds: seconds });
  const endsAtMs = crowd.endsAtSeconds * 1_000;
  const server = await scene.serve(ground.env);
  const { login = '', password = '' } = crowd.users[0] ?? {};
  return { server, crowd, token: await signIn(server.url, login, password), endsAtMs };
}

async function playRefreshes(scene: Scene): Promise<void> {
  const sessions = scene.times(1_000, 50_000);
  const eve = await startEve(scene, sessions, startSeconds + Math.ceil(sessions / leastPerSecond));
  const { server, crowd } = eve;
  const probe = startProbe(server.url, eve.token);
  const seen: Seen = { before: [], refreshes: [], spent: [], successors: [], tokens: [] };
  let late = 0;
  const startMs = performance.now();
  await askAll(server.url, connections, sessions, async (wire, index) => {
    const isLate = Date.now() >= eve.endsAtMs;
    if (!isLate) return refreshInTime(wire, crowd.token(index), eve.endsAtMs, seen);
    late += 1;
    const { status } = await wire.ask(refreshOf(crowd.token(index)));
    scene.require(status === 401, `a refresh that comes too late is answered with ${status}`);
  });
  const seconds = (performance.now() - startMs) / 1_000;
  await Bun.sleep(Math.max(0, eve.endsAtMs + 1_000 - Date.now()));
  await probe.stop();
  const afterwards = await askEach(server, seen.tokens.length, (index) => seen.tokens[index] ?? '');
  const p99 = quantile(seen.refreshes, 0.99);
  scene.figure('sessions', sessions);
  scene.figure('refreshes/s', seen.refreshes.length / seconds);
  scene.figure('their p99 ms', p99);
  scene.figure('came too late', late);
  scene.figure(
    'checks meanwhile',
    `${statusCounts(probe.samples)}, p99 ${quantile(probe.samples, 0.99).toFixed(1)} ms`,
  );
  requireAll(scene, 'sessions before their refresh', seen.before, 200);
  requireAll(scene, 'refreshes', seen.refreshes, 200);
  requireAll(scene, 'spent tokens', seen.spent, 401);
  requireAll(scene, 'successors', seen.successors, 200);
  requireAll(scene, 'successors after the second', afterwards, 200);
  requireAll(scene, 'checks meanwhile', probe.samples, 200);
  scene.require(p99 <= limitMs, `the refreshes' p99 is ${p99.toFixed(0)} ms`);
}

type Seen = Readonly<Record<'before' | 'refreshes' | 'spent' | 'successors', Sample[]>> & { readonly tokens: string[] };

/** Asked about before, so that it is in memory; its token must be dead as soon as there is a successor. */
async function refreshInTime(wire: Wire, token: string, endsAtMs: number, seen: Seen): Promise<void> {
  const check = (text: string) => timed(async () => (await wire.ask(rest.check(text))).status);
  let successor = '';
  const before = await check(token);
  const refresh = await timed(async () => {
    const answer = await wire.ask(refreshOf(token));
    successor = rest.secretIn(answer);
    return answer.status;
  });
  const [spent, fresh] = [await check(token), await check(successor)];
  // Whoever the second has overtaken may have been told either.
  if (Date.now() >= endsAtMs) return;
  seen.before.push(before);
  seen.refreshes.push(refresh);
  seen.spent.push(spent);
  seen.successors.push(fresh);
  seen.tokens.push(successor);
}

async function playExpiry(scene: Scene): Promise<void> {
  const sessions = scene.times(1_000, 50_000);
  const eve = await startEve(scene, sessions, startSeconds + Math.ceil(sessions / (4 * leastPerSecond)));
  const { server, crowd } = eve;
  const token = (index: number) => crowd.token(index);
  // In memory from now on, as many as it holds.
  const before = await askEach(server, sessions, token);
  const isInTime = Date.now() < eve.endsAtMs;
  const probe = startProbe(server.url, eve.token);
  await Bun.sleep(Math.max(0, eve.endsAtMs - Date.now()));
  const after = await askEach(server, sessions, token);
  await probe.stop();
  scene.figure('sessions', sessions);
  scene.figure('before the second', statusCounts(before));
  scene.figure('from it on', `${statusCounts(after)}, p99 ${quantile(after, 0.99).toFixed(1)} ms`);
  scene.figure(
    'checks meanwhile',
    `${statusCounts(probe.samples)}, p99 ${quantile(probe.samples, 0.99).toFixed(1)} ms`,
  );
  if (isInTime) requireAll(scene, 'sessions before their end', before, 200);
  requireAll(scene, 'expired sessions', after, 401);
  requireAll(scene, 'checks meanwhile', probe.samples, 200);
  scene.require(isInTime, 'the sessions ended before all of them were asked about');
}

async function askEach({ url }: Server, count: number, token: (index: number) => string): Promise<Sample[]> {
  const samples: Sample[] = [];
  await askAll(url, connections, count, async (wire, index) => {
    samples.push(await timed(async () => (await wire.ask(rest.check(token(index)))).status));
  });
  return samples;
}

function requireAll(scene: Scene, what: string, samples: readonly Sample[], status: number): void {
  const isRight = samples.length > 0 && samples.every((sample) => sample.status === status);
  scene.require(isRight, `${what}: ${statusCounts(samples)}`);
}
