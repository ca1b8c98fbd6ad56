import { randomUUID } from 'node:crypto';
import { soapEnvelope, soapHeaders, soapPath } from '../../bench/cardea/logins.ts';
import { describeUsers } from '../../bench/cardea/users.ts';
import { useOfProcess } from '../../bench/machine.ts';
import { fillWithCrowd } from './crowd.ts';
import type { Fault, Scene } from './fault.ts';
import { historySettings } from './history/run.ts';
import { quantile, signIn, startProbe, statusCounts } from './probe.ts';

/** Bad inputs of the kinds that cost memory, all at once and again and again. */
export const memoryFaults: readonly Fault[] = [
  { id: 'F10', title: 'bad inputs that cost memory', guard: 'body limit', missing, run: playInputs },
];

function missing(): string | undefined {
  return process.platform === 'linux' ? undefined : 'Linux';
}

const mostMb = 200;
const attackers = 16;
const largeBytes = 16 * 1024 * 1024;
const large = new Uint8Array(largeBytes).fill(0x20);
const paths = ['/v2/auth/login', '/auth/login', '/api/admin/v1/sessions', soapPath];
const json = { 'Content-Type': 'application/json' };

/** Each with the letter of its group: bodies, nesting, XML, heads, and credentials that are never the same. */
const inputs: readonly ((path: string) => RequestInit & { readonly path: string })[] = [
  (path) => ({ path, method: 'POST', headers: json, body: large }),
  (path) => ({ path, method: 'POST', headers: json, body: endless() }),
  (path) => ({ path, method: 'POST', headers: json, body: '['.repeat(16_000) }),
  (path) => ({ path, method: 'POST', headers: json, body: `{${'"a":"b",'.repeat(1_500)}"c":1}` }),
  () => ({ path: soapPath, method: 'POST', headers: soapHeaders('Login'), body: soap('<a>'.repeat(10_000)) }),
  () => ({ path: soapPath, method: 'POST', headers: soapHeaders('Login'), body: soap('<a/>'.repeat(12_000)) }),
  () => ({ path: soapPath, method: 'POST', headers: soapHeaders('Login'), body: soap('x'.repeat(60_000)) }),
  () => ({ path: '/auth/session', headers: { Authorization: `Bearer ${randomUUID().repeat(220)}` } }),
  () => ({ path: '/auth/session', headers: { 'X-A': 'a'.repeat(15_000) } }),
  () => ({ path: '/v2/auth/session', method: 'POST', headers: { 'X-API-Key': randomUUID() } }),
  () => ({ path: `/${randomUUID().repeat(100)}` }),
];

function soap(inside: string): string {
  return soapEnvelope('Login', `<UserName>${inside}</UserName>`);
}

/** A chunked body that goes on until somebody has had enough. */
function endless(): ReadableStream<Uint8Array> {
  let left = largeBytes;
  return new ReadableStream({
    pull(controller) {
      left -= 65_536;
      controller.enqueue(large.subarray(0, 65_536));
      if (left <= 0) controller.close();
    },
  });
}

async function playInputs(scene: Scene): Promise<void> {
  const ground = scene.ground(historySettings);
  await fillWithCrowd(ground, { sessions: 0 });
  const server = await scene.serve(ground.env);
  const { login = '', password = '' } = describeUsers(1)[0] ?? {};
  const token = await signIn(server.url, login, password);
  const residentMb = () => useOfProcess(server.pid).residentBytes / 1e6;
  const before = residentMb();
  const probe = startProbe(server.url, token);
  const untilMs = performance.now() + scene.times(8, 60) * 1_000;
  const counts = new Map<number, number>();
  const attack = async (index: number) => {
    for (let turn = index; performance.now() < untilMs; turn += 1) {
      const { path, ...init } = inputs[turn % inputs.length]?.(paths[turn % paths.length] ?? '') ?? { path: '' };
      const status = await send(server.url + path, init);
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
  };
  let most = before;
  const attacking = Promise.all(Array.from({ length: attackers }, (_, index) => attack(index)));
  while (performance.now() < untilMs) {
    most = Math.max(most, residentMb());
    await Bun.sleep(50);
  }
  await attacking;
  await probe.stop();
  const statuses = [...counts].sort(([one], [other]) => one - other);
  scene.figure('answers', statuses.map(([status, count]) => `${status || 'none'} × ${count}`).join(', '));
  scene.figure('resident MB before, most, after', [before, most, residentMb()].map((mb) => mb.toFixed(0)).join(', '));
  scene.figure("a healthy client's p99 ms", quantile(probe.samples, 0.99));
  scene.require(most <= mostMb, `the server took ${most.toFixed(0)} MB`);
  const areRight = probe.samples.every(({ status }) => status === 200);
  scene.require(areRight, `a healthy client is answered ${statusCounts(probe.samples)}`);
  // The status alone does not tell: a fault of SOAP 1.1 is a 500.
  scene.require(!server.output().includes('"event":"request.failed"'), 'the server failed inside');
}

async function send(url: string, init: RequestInit): Promise<number> {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(10_000) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}
