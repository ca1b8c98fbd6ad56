/**
 * The benchmark's own load generator, a process of its own: kept-alive connections that send the requests of a file in turn. It
 * stands in where wrk is not installed, and it makes the login flood, which wrk cannot pace.
 *
 * Called with one argument, a `ClientOrder` as JSON; prints one line, a `ClientReport` as JSON.
 */
import type { Socket } from 'bun';
import { readAnswer } from './answer.ts';
import { readRequests } from './request-file.ts';

export type ClientOrder = {
  readonly port: number;
  /** Where `writeRequests` wrote them. */
  readonly file: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second over all connections; without it each connection sends as soon as it has its answer. */
  readonly perSecond?: number;
  /** How long a connection rests after an answer above 399. */
  readonly restMs?: number;
};

export type ClientReport = {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** Connections that were refused, or closed under a request. */
  readonly broken: number;
};

type Connection = { socket: Socket<unknown> | undefined; received: string; sinceMs: number; busy: boolean };

type Run = {
  readonly order: ClientOrder;
  readonly requests: readonly string[];
  readonly startMs: number;
  readonly endMs: number;
  readonly latencies: number[];
  readonly statuses: Record<string, number>;
  readonly idle: Connection[];
  /** When the requests that wait for a connection were due. */
  readonly due: number[];
  next: number;
  broken: number;
};

async function main(order: ClientOrder): Promise<ClientReport> {
  const startMs = performance.now();
  const endMs = startMs + order.seconds * 1000;
  const requests = await readRequests(order.file);
  const run: Run = {
    order,
    requests,
    startMs,
    endMs,
    latencies: [],
    statuses: {},
    idle: [],
    due: [],
    next: 0,
    broken: 0,
  };
  const connections = await Promise.all(Array.from({ length: order.connections }, () => open(run)));
  if (order.perSecond !== undefined) pace(run, order.perSecond);
  else for (const connection of connections) send(run, connection, performance.now());
  await Bun.sleep(Math.max(0, endMs - performance.now()));
  return report(run);
}

async function open(run: Run): Promise<Connection> {
  const connection: Connection = { socket: undefined, received: '', sinceMs: 0, busy: false };
  try {
    connection.socket = await Bun.connect({
      hostname: '127.0.0.1',
      port: run.order.port,
      socket: {
        data: (_socket, bytes) => onData(run, connection, bytes),
        close: () => void onClose(run, connection),
        error: () => {},
      },
    });
    run.idle.push(connection);
  } catch {
    run.broken += 1;
  }
  return connection;
}

function send(run: Run, connection: Connection, sinceMs: number): void {
  const text = run.requests[run.next] ?? '';
  run.next = (run.next + 1) % run.requests.length;
  connection.sinceMs = sinceMs;
  connection.busy = true;
  connection.socket?.write(Buffer.from(text, 'latin1'));
}

function onData(run: Run, connection: Connection, bytes: Uint8Array): void {
  connection.received += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const answer = readAnswer(connection.received);
  if (answer === null) return;
  const now = performance.now();
  connection.received = connection.received.slice(answer.length);
  connection.busy = false;
  if (now > run.endMs) return;
  run.latencies.push(now - connection.sinceMs);
  run.statuses[answer.status] = (run.statuses[answer.status] ?? 0) + 1;
  if (answer.status > 399 && run.order.restMs !== undefined) {
    setTimeout(() => sendNext(run, connection), run.order.restMs);
  } else {
    sendNext(run, connection);
  }
}

function sendNext(run: Run, connection: Connection): void {
  const now = performance.now();
  if (run.order.perSecond === undefined) return send(run, connection, now);
  const dueMs = run.due.shift();
  if (dueMs === undefined) run.idle.push(connection);
  else send(run, connection, dueMs);
}

/** A server may close a connection between two requests; under a request that is an error. */
async function onClose(run: Run, connection: Connection): Promise<void> {
  if (performance.now() > run.endMs) return;
  if (connection.busy) run.broken += 1;
  const index = run.idle.indexOf(connection);
  if (index !== -1) run.idle.splice(index, 1);
  const fresh = await open(run);
  if (run.order.perSecond === undefined && fresh.socket !== undefined) send(run, fresh, performance.now());
}

/** Sends at fixed instants, whether answers come or not, and counts the time from then: a server that stalls cannot slow the clock. */
function pace(run: Run, perSecond: number): void {
  let sent = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    if (now > run.endMs) return clearInterval(timer);
    for (; sent < ((now - run.startMs) / 1000) * perSecond; sent++) {
      const dueMs = run.startMs + (sent / perSecond) * 1000;
      const connection = run.idle.pop();
      if (connection === undefined) run.due.push(dueMs);
      else send(run, connection, dueMs);
    }
  }, 1);
}

function report(run: Run): ClientReport {
  const sorted = run.latencies.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return {
    requests: sorted.length,
    seconds: (performance.now() - run.startMs) / 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    statuses: run.statuses,
    broken: run.broken,
  };
}

const result = await main(JSON.parse(process.argv[2] ?? '{}') as ClientOrder);
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
