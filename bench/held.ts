import { join } from 'node:path';
import { startCardea } from './cardea/server.ts';
import { restByBearer, restByKey, warmUsers } from './cardea/targets.ts';
import { writeRequests } from './load/request-file.ts';
import { connections, runClient } from './measure.ts';

/** As many as the server remembers by default. */
const sessions = 50_000;
/** Garbage goes when nobody asks anything: so long, looked at so often. */
const restMs = 6_000;
const lookMs = 250;

export type HeldOptions = {
  readonly seconds: number;
  readonly folder: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly report: (line: string) => void;
};

/** What a server takes for sessions that it remembers. */
export type Held = {
  readonly sessions: number;
  /** JavaScript heap at rest, for each of them. */
  readonly heapBytesEach: number;
  readonly residentBytesBefore: number;
  /** Right after all of them were asked about again and again, and once the server was at rest. */
  readonly residentBytesUnderLoad: number;
  readonly residentBytesAtRest: number;
};

/** Measures one Cardea of its own before and after it has answered for all of its sessions, several times each. */
export async function measureHeld({ seconds, folder, settings, report }: HeldOptions): Promise<Held> {
  const metrics = `127.0.0.1:${freePort()}`;
  const cardea = await startCardea({
    users: warmUsers,
    sessions,
    database: undefined,
    pinning: [],
    settings: { ...settings, CARDEA_METRICS_LISTEN: metrics },
    report,
  });
  const { port } = cardea.server;
  const [warmFile, heldFile] = [join(folder, 'held-warm.requests'), join(folder, 'held.requests')];
  await writeRequests(
    warmFile,
    cardea.users.map(({ key }) => restByKey(key)),
  );
  await writeRequests(
    heldFile,
    Array.from({ length: sessions }, (_, index) => restByBearer(cardea.stored.token(index))),
  );
  report('memory: the server alone');
  await runClient([], { port, file: warmFile, connections, seconds });
  const before = await readAtRest(metrics);
  report(`memory: ${sessions} sessions, one after the other, over and over`);
  await walk(port, heldFile, seconds);
  const underLoad = await readMetrics(metrics);
  const after = await readAtRest(metrics);
  cardea.remove();
  return {
    sessions,
    heapBytesEach: (after.heapBytes - before.heapBytes) / sessions,
    residentBytesBefore: before.residentBytes,
    residentBytesUnderLoad: underLoad.residentBytes,
    residentBytesAtRest: after.residentBytes,
  };
}

/** At least three times around, and as long as asked for. @throws Error when an answer was not 200 */
async function walk(port: number, file: string, seconds: number): Promise<void> {
  for (let asked = 0; asked < 3 * sessions; ) {
    const { requests, statuses } = await runClient([], { port, file, connections, seconds });
    if (statuses[200] !== requests)
      throw new Error(`of the held sessions not all are live: ${JSON.stringify(statuses)}`);
    asked += requests;
  }
}

type Memory = { readonly heapBytes: number; readonly residentBytes: number };

/** The least of some seconds in which nobody asks. */
async function readAtRest(address: string): Promise<Memory> {
  let least = await readMetrics(address);
  for (let waitedMs = 0; waitedMs < restMs; waitedMs += lookMs) {
    await Bun.sleep(lookMs);
    const { heapBytes, residentBytes } = await readMetrics(address);
    least = {
      heapBytes: Math.min(least.heapBytes, heapBytes),
      residentBytes: Math.min(least.residentBytes, residentBytes),
    };
  }
  return least;
}

async function readMetrics(address: string): Promise<Memory> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  const valueOf = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  return { heapBytes: valueOf('cardea_heap_bytes'), residentBytes: valueOf('process_resident_memory_bytes') };
}

function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** The memory as lines of Markdown. */
export function writeHeld(held: Held): string {
  const { sessions: count, heapBytesEach, residentBytesBefore, residentBytesUnderLoad, residentBytesAtRest } = held;
  const megabytes = (bytes: number) => Math.round(bytes / 1_000_000);
  return [
    `Memory: ${count.toLocaleString('en')} sessions held, each asked about at least three times.`,
    '',
    `- ${Math.round(heapBytesEach)} bytes of JavaScript heap a session`,
    `- resident: ${megabytes(residentBytesBefore)} MB before, ${megabytes(residentBytesUnderLoad)} MB under load, ${megabytes(residentBytesAtRest)} MB at rest afterwards`,
    '',
  ].join('\n');
}
