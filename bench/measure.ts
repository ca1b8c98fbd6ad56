import { join } from 'node:path';
import { readAnswer } from './load/answer.ts';
import type { ClientOrder, ClientReport } from './load/client.ts';
import { writeRequests } from './load/request-file.ts';
import type { Use } from './machine.ts';
import type { Server } from './server.ts';
import type { Expectation, Target } from './target.ts';

/** One run of the load generator against one target. Times in milliseconds. */
export type Run = {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** User and system time of the serving process(es), microseconds per request. */
  readonly cpuMicros: number;
  /** The same of what stands behind it. */
  readonly behindMicros: number;
  readonly residentBytes: number;
  readonly behindBytes: number;
  readonly requests: number;
  /** Empty for a run that counts; else why it does not. */
  readonly fault: string;
};

export type LoadOptions = {
  readonly generator: 'wrk' | 'own';
  readonly pinning: readonly string[];
  readonly folder: string;
};

type Report = Omit<ClientReport, 'statuses'> & { readonly refused: number; readonly other: number };

export const connections = 32;

/** Writes the requests of a target where the load generators read them. */
export function prepareLoad(options: LoadOptions, target: Target): Promise<void> {
  return writeRequests(fileOf(options, target), target.requests);
}

function fileOf({ folder }: LoadOptions, { name }: Target): string {
  return join(folder, `${name}.requests`);
}

/** Lets a target serve without counting. */
export async function warmUp(options: LoadOptions, target: Target, seconds: number): Promise<void> {
  await generate(options, target, seconds);
}

/** Measures a target once: answers checked, then load with the processes' CPU time read before and after, then checked again. */
export async function measure(options: LoadOptions, target: Target, seconds: number): Promise<Run> {
  await checkAnswers(target);
  const before = usesOf(target.server);
  const report = await generate(options, target, seconds);
  const after = usesOf(target.server);
  await checkAnswers(target);
  const micros = (from: Use, to: Use) => ((to.cpuSeconds - from.cpuSeconds) * 1e6) / report.requests;
  return {
    perSecond: report.requests / report.seconds,
    p50Ms: report.p50Ms,
    p99Ms: report.p99Ms,
    cpuMicros: micros(before.own, after.own),
    behindMicros: micros(before.behind, after.behind),
    residentBytes: after.own.residentBytes,
    behindBytes: after.behind.residentBytes,
    requests: report.requests,
    fault: findFault(report, target),
  };
}

function usesOf({ use, useBehind }: Server): { own: Use; behind: Use } {
  return { own: use(), behind: useBehind() };
}

/** Any status that should not have come voids the run; so does a connection that broke. */
function findFault({ requests, refused, other, broken }: Report, target: Target): string {
  if (requests === 0) return 'no answers';
  if (broken > 0) return `${broken} connections broke`;
  if (other > 0) return `${other} answers of a wrong status`;
  const expected = requests * (target.refused?.share ?? (target.accepted.status > 399 ? 1 : 0));
  // Where both kinds are mixed, the run stops anywhere in the walk, so the share is exact to a hundredth only.
  const slack = target.refused === undefined ? 0 : requests / 100 + connections;
  if (Math.abs(refused - expected) > slack) return `${refused} refusals where ${Math.round(expected)} were due`;
  return '';
}

/** @throws Error naming the target when an answer is not the expected one */
export async function checkAnswers(target: Target): Promise<void> {
  const step = Math.max(1, Math.floor(target.requests.length / 16));
  for (let index = 0; index < target.requests.length; index += step) {
    const request = target.requests[index] ?? '';
    const expected = target.refused?.isRefused(request) ? target.refused.answer : target.accepted;
    requireAnswer(target, expected, await sendOnce(target.server.port, request));
  }
}

function requireAnswer(
  { name }: Target,
  expected: Expectation,
  { status, body }: { status: number; body: string },
): void {
  if (status === expected.status && body.includes(expected.contains)) return;
  throw new Error(`${name} answered ${status} ${JSON.stringify(body.slice(0, 200))}, not ${JSON.stringify(expected)}`);
}

/** Sends a request over a connection of its own, byte for byte as the load generator does. */
export function sendOnce(port: number, request: string): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  let received = '';
  void Bun.connect({
    hostname: '127.0.0.1',
    port,
    socket: {
      open: (socket) => void socket.write(Buffer.from(request, 'latin1')),
      data: (socket, bytes) => {
        received += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
        const answer = readAnswer(received);
        if (answer === null) return;
        resolve(answer);
        socket.end();
      },
      close: () => reject(new Error(`no answer from port ${port}`)),
      error: (_socket, error) => reject(error),
    },
  }).catch(reject);
  return promise;
}

async function generate(options: LoadOptions, target: Target, seconds: number): Promise<Report> {
  const file = fileOf(options, target);
  const { port } = target.server;
  if (options.generator === 'wrk') return runWrk(options, port, file, seconds);
  const report = await runClient(options.pinning, { port, file, connections, seconds });
  return { ...report, ...countStatuses(report, target) };
}

async function runWrk({ pinning }: LoadOptions, port: number, file: string, seconds: number): Promise<Report> {
  const script = join(import.meta.dir, 'load/walk.lua');
  // A slow answer is a figure, not an error: wrk gives up after two seconds unless told otherwise.
  const load = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '60s', '-s', script];
  const output = await run([...pinning, 'wrk', ...load, `http://127.0.0.1:${port}/`, '--', file]);
  const result = /^RESULT (.*)$/m.exec(output)?.[1];
  if (result === undefined) throw new Error(`wrk gave no result: ${output}`);
  return { ...(JSON.parse(result) as Omit<Report, 'other'>), other: 0 };
}

/** Runs our own load generator to its end, in a process of its own. */
export async function runClient(pinning: readonly string[], order: ClientOrder): Promise<ClientReport> {
  const command = [process.execPath, join(import.meta.dir, 'load/client.ts'), JSON.stringify(order)];
  return JSON.parse(await run([...pinning, ...command])) as ClientReport;
}

function countStatuses({ requests, statuses }: ClientReport, { accepted, refused }: Target) {
  const count = (status: number | undefined) => (status === undefined ? 0 : (statuses[status] ?? 0));
  const good = count(accepted.status);
  const bad = count(refused?.answer.status);
  return { refused: accepted.status > 399 ? good : bad, other: requests - good - bad };
}

async function run(command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  const [output, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}: ${errors.trim()}`);
  return output;
}
