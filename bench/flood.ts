import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { startHasher } from '../src/core/index.ts';
import { startCardea } from './cardea/server.ts';
import { restByKey, warmUsers } from './cardea/targets.ts';
import type { BenchUser } from './cardea/users.ts';
import type { ClientReport } from './load/client.ts';
import { writeRequests } from './load/request-file.ts';
import { connections, runClient } from './measure.ts';
import { writeRequest } from './target.ts';

/** Clients that sign in over and over, each with a name of its own. */
const clients = 200;
/** Checks beside them, at fixed instants whether answers come or not: a closed loop would starve hashing by itself. */
const checksPerSecond = 500;
/** A client that was told to come back later does so after this time, ten times sooner than the answer asks. */
const restMs = 100;

export type FloodOptions = {
  readonly seconds: number;
  readonly folder: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly report: (line: string) => void;
};

/** What a login flood does to checks. Times in milliseconds, CPU in seconds. */
export type Flood = {
  readonly cores: number;
  /** Password hashes a second of the same number of processes with nothing else to do. */
  readonly hashesAlonePerSecond: number;
  readonly loginsPerSecond: number;
  /** Logins that were told to come back later. */
  readonly putOffPerSecond: number;
  readonly loginP99Ms: number;
  readonly checksPerSecond: number;
  readonly calmP99Ms: number;
  readonly floodP99Ms: number;
  readonly floodMaxMs: number;
  readonly serverCpuSeconds: number;
  readonly hashCpuSeconds: number;
  /** Answers other than 200 to checks, other than 200, 429 and 503 to logins; and connections that broke. */
  readonly faults: number;
};

/** Measures one Cardea of its own, which is pinned nowhere: logins need all the cores, as they would have them in service. */
export async function measureFlood({ seconds, folder, settings, report }: FloodOptions): Promise<Flood> {
  report('flood: hashing alone');
  const hashesAlonePerSecond = await measureHashing(seconds);
  const cardea = await startCardea({ users: clients, sessions: 0, database: undefined, pinning: [], settings, report });
  const { use, useBehind, port } = cardea.server;
  const loads = await prepareLoads(folder, port, cardea.users);
  report(`flood: ${checksPerSecond} checks/s alone`);
  await loads.check(1);
  const calm = await loads.check(seconds);
  report(`flood: the same beside logins from ${clients} clients`);
  const flooding = loads.login(seconds + 2);
  await Bun.sleep(1000);
  const before = { own: use(), hash: useBehind() };
  const beside = await loads.check(seconds);
  const after = { own: use(), hash: useBehind() };
  const login = await flooding;
  cardea.remove();
  const loginsPerSecond = (status: number) => (login.statuses[status] ?? 0) / login.seconds;
  return {
    cores: availableParallelism(),
    hashesAlonePerSecond,
    loginsPerSecond: loginsPerSecond(200),
    putOffPerSecond: loginsPerSecond(429) + loginsPerSecond(503),
    loginP99Ms: login.p99Ms,
    checksPerSecond: beside.requests / beside.seconds,
    calmP99Ms: calm.p99Ms,
    floodP99Ms: beside.p99Ms,
    floodMaxMs: beside.maxMs,
    serverCpuSeconds: after.own.cpuSeconds - before.own.cpuSeconds,
    hashCpuSeconds: after.hash.cpuSeconds - before.hash.cpuSeconds,
    faults: countFaults(calm, [200]) + countFaults(beside, [200]) + countFaults(login, [200, 429, 503]),
  };
}

/** The two loads, each for so many seconds. */
async function prepareLoads(folder: string, port: number, users: readonly BenchUser[]) {
  const checks = join(folder, 'flood-checks.requests');
  const logins = join(folder, 'flood-logins.requests');
  await writeRequests(
    checks,
    users.slice(0, warmUsers).map(({ key }) => restByKey(key)),
  );
  await writeRequests(logins, users.map(writeLogin));
  return {
    check: (seconds: number) => runClient([], { port, file: checks, connections, seconds, perSecond: checksPerSecond }),
    login: (seconds: number) => runClient([], { port, file: logins, connections: clients, seconds, restMs }),
  };
}

/** What `password.workers` processes reach, with Cardea's own parameters and lane but without Cardea. */
async function measureHashing(seconds: number): Promise<number> {
  const width = availableParallelism();
  const hasher = startHasher({ width, memoryKib: 19_456, passes: 2, queueLength: 2 * width, queueMs: 60_000 });
  try {
    const stored = await hasher.hash('correct-horse-battery-7');
    await Promise.all(Array.from({ length: width }, () => hasher.verify('correct-horse-battery-7', stored)));
    const startMs = performance.now();
    let count = 0;
    const work = async () => {
      while (performance.now() - startMs < seconds * 1000) {
        await hasher.verify('correct-horse-battery-7', stored);
        count += 1;
      }
    };
    await Promise.all(Array.from({ length: 2 * width }, work));
    return count / ((performance.now() - startMs) / 1000);
  } finally {
    await hasher.close();
  }
}

function writeLogin({ login, password }: BenchUser): string {
  const body = JSON.stringify({ login, password });
  return writeRequest('POST', '/v2/auth/login', { 'Content-Type': 'application/json' }, body);
}

function countFaults({ statuses, broken }: ClientReport, allowed: readonly number[]): number {
  const wrong = Object.entries(statuses).filter(([status]) => !allowed.includes(Number(status)));
  return wrong.reduce((sum, [, count]) => sum + count, broken);
}

/** The flood as lines of Markdown. */
export function writeFlood(flood: Flood): string {
  const share = Math.round((100 * flood.loginsPerSecond) / flood.hashesAlonePerSecond);
  const logins = `${flood.loginsPerSecond.toFixed(1)} logins/s, ${share} % of the ${flood.hashesAlonePerSecond.toFixed(1)} hashes/s that the same processes do alone`;
  return [
    `Login flood: ${clients} clients sign in over and over beside ${checksPerSecond} checks/s, on ${flood.cores} cores shared with both clients.`,
    '',
    `- ${logins}; ${Math.round(flood.putOffPerSecond)} a second put off (429, 503); login p99 ${Math.round(flood.loginP99Ms)} ms`,
    `- checks: ${Math.round(flood.checksPerSecond)} a second answered, p99 ${flood.floodP99Ms.toFixed(2)} ms (longest ${flood.floodMaxMs.toFixed(1)} ms), without the flood ${flood.calmP99Ms.toFixed(2)} ms`,
    `- CPU meanwhile: server ${flood.serverCpuSeconds.toFixed(2)} s, hashing children ${flood.hashCpuSeconds.toFixed(2)} s`,
    `- errors: ${flood.faults}`,
    '',
  ].join('\n');
}
