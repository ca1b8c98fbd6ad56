import { randomBytes } from 'node:crypto';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CoreError } from './errors.ts';
import type { HashReply, HashRequest, Verdict } from './hash-worker.ts';
import { isOutdated, readStored } from './stored-hash.ts';

/** The one way to hash and check passwords. Every promise rejects with `CoreError('unavailable')` when the lane is full, slow or closed. */
export type Hasher = {
  /** PHC string (argon2id) for a password already normalised, 1 to 1,024 bytes. */
  hash(password: string): Promise<string>;
  /** Compares with a stored PHC or bcrypt string; one that is damaged or overpriced is `damaged`, without any hash run. */
  verify(password: string, stored: string): Promise<Verdict>;
  /** Spends what `verify` of one of our own hashes costs; for unknown names (AUT-02). */
  verifyDummy(password: string): Promise<void>;
  /**
   * Takes a place for one sign-in before anything is written for it. What it returns gives the place back.
   * @throws CoreError('unavailable') at once when as many are under way as can be hashed in time
   */
  enter(): () => void;
  /** Whether `enter` would find a place. @throws CoreError('unavailable') as it does, before any work is spent on a sign-in */
  requirePlace(): void;
  /** True when a stored hash is weaker than today's parameters, so that a successful login stores a new one (AUT-14). */
  isOutdated(stored: string): boolean;
  /** Number of verifications handed to a child since start, dummies included. */
  readonly evaluated: () => number;
  readonly load: () => HashLoad;
  /** Ends the children and waits until they are gone; open jobs reject. */
  close(): Promise<void>;
};

/** `width` and `busy` in child processes, `waiting` in jobs now, `shed` in sign-ins and jobs refused since start because the lane was full or slow. */
export type HashLoad = {
  readonly width: number;
  readonly busy: number;
  readonly waiting: number;
  readonly shed: number;
};

/** `width` in child processes, `memoryKib` in KiB, `passes` as argon2's t, `queueLength` in jobs, `queueMs` in milliseconds. */
export type HashLaneOptions = {
  width: number;
  memoryKib: number;
  passes: number;
  queueLength: number;
  queueMs: number;
};

type Job = {
  readonly request: HashRequest;
  readonly resolve: (value: string) => void;
  readonly reject: (error: Error) => void;
};

type Waiting = { readonly job: Job; readonly timer: Timer };

type Child = { readonly process: Bun.Subprocess; ready: boolean; job: Job | null };

type Lane = {
  readonly options: HashLaneOptions;
  readonly dummy: string;
  readonly children: Set<Child>;
  readonly waiting: Waiting[];
  /** Sign-ins that have a place. */
  entered: number;
  evaluated: number;
  shed: number;
  /** A child was up once. */
  isUp: boolean;
  closed: boolean;
};

/** One for all: an error of its own for each of thousands a second would cost more than the rest of their answers. */
const full = new CoreError('unavailable');
const lowestPriority = 19;
const restartDelayMs = 1_000;
/** How long a job waits for the first child to come up. */
const birthMs = 10_000;
const workerPath = fileURLToPath(new URL('./hash-worker.ts', import.meta.url));

/**
 * Starts `width` child processes (at least one) that hash at the lowest priority, so that a flood of logins cannot slow the session
 * checks (reliability.md, 2.4). Returns before they are up; jobs given meanwhile wait in the queue like any others.
 */
export function startHasher(options: HashLaneOptions): Hasher {
  const lane: Lane = {
    options,
    dummy: buildDummy(options),
    children: new Set(),
    waiting: [],
    entered: 0,
    evaluated: 0,
    shed: 0,
    isUp: false,
    closed: false,
  };
  for (let started = 0; started < Math.max(1, options.width); started++) startChild(lane);
  return {
    hash: (password) => hash(lane, password),
    verify: (password, stored) => verify(lane, password, stored),
    verifyDummy: async (password) => void (await runVerify(lane, password, lane.dummy)),
    enter: () => enter(lane),
    requirePlace: () => requirePlace(lane),
    isOutdated: (stored) => isOutdated(options, stored),
    evaluated: () => lane.evaluated,
    load: () => loadOf(lane),
    close: () => close(lane),
  };
}

/** Our own parameters over a random salt and a random result: costs a full check and matches nothing, yet needs no hash at start. */
function buildDummy({ memoryKib, passes }: HashLaneOptions): string {
  const part = () => randomBytes(32).toString('base64').replace('=', '');
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=1$${part()}$${part()}`;
}

function requirePlace(lane: Lane): void {
  const { width, queueLength } = lane.options;
  if (lane.entered < Math.max(1, width) + queueLength) return;
  lane.shed += 1;
  throw full;
}

function enter(lane: Lane): () => void {
  requirePlace(lane);
  lane.entered += 1;
  return () => {
    lane.entered -= 1;
  };
}

function hash(lane: Lane, password: string): Promise<string> {
  const { memoryKib, passes } = lane.options;
  return submit(lane, { kind: 'hash', password, memoryKib, passes });
}

async function verify(lane: Lane, password: string, stored: string): Promise<Verdict> {
  return readStored(stored) === null ? 'damaged' : runVerify(lane, password, stored);
}

async function runVerify(lane: Lane, password: string, stored: string): Promise<Verdict> {
  return (await submit(lane, { kind: 'verify', password, stored })) as Verdict;
}

function submit(lane: Lane, request: HashRequest): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  admit(lane, { request, resolve, reject });
  return promise;
}

function admit(lane: Lane, job: Job): void {
  const idle = findIdle(lane);
  if (lane.closed) job.reject(new CoreError('unavailable'));
  else if (idle !== undefined) hand(lane, idle, job);
  else if (lane.waiting.length >= lane.options.queueLength) shed(lane, job);
  else enqueue(lane, job);
}

function findIdle(lane: Lane): Child | undefined {
  for (const child of lane.children) if (child.ready && child.job === null) return child;
  return undefined;
}

function enqueue(lane: Lane, job: Job): void {
  // Before the first child is up, a start on a busy machine must not count as a crowd.
  const timer = setTimeout(() => expire(lane, entry), lane.isUp ? lane.options.queueMs : birthMs);
  const entry: Waiting = { job, timer };
  lane.waiting.push(entry);
}

function expire(lane: Lane, entry: Waiting): void {
  const index = lane.waiting.indexOf(entry);
  if (index === -1) return;
  lane.waiting.splice(index, 1);
  shed(lane, entry.job);
}

function shed(lane: Lane, job: Job): void {
  lane.shed += 1;
  job.reject(new CoreError('unavailable'));
}

function loadOf({ children, waiting, shed: count }: Lane): HashLoad {
  const busy = [...children].filter(({ job }) => job !== null).length;
  return { width: children.size, busy, waiting: waiting.length, shed: count };
}

function hand(lane: Lane, child: Child, job: Job): void {
  child.job = job;
  if (job.request.kind === 'verify') lane.evaluated++;
  try {
    child.process.send(job.request);
  } catch {
    // The channel closes before the exit is reported; killing makes sure that the exit, which rejects the job, does come.
    child.process.kill('SIGKILL');
  }
}

function handNext(lane: Lane, child: Child): void {
  const next = lane.waiting.shift();
  if (next === undefined) return;
  clearTimeout(next.timer);
  hand(lane, child, next.job);
}

function startChild(lane: Lane): void {
  try {
    const child: Child = {
      process: spawnWorker(
        (message) => onReply(lane, child, message),
        () => onExit(lane, child),
      ),
      ready: false,
      job: null,
    };
    lane.children.add(child);
    lowerPriority(child.process.pid);
  } catch {
    // No process or memory left to fork with: the same as a child that dies before its first word.
    restartLater(lane);
  }
}

/** Nothing of our environment, files or flags reaches the child: it needs none, and a job must not depend on the working directory. */
function spawnWorker(onMessage: (message: HashReply) => void, onDeath: () => void): Bun.Subprocess {
  const flags = ['--no-env-file', '--config=/dev/null', '--no-install'];
  return Bun.spawn([process.execPath, ...flags, workerPath], {
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'ignore', 'inherit'],
    serialization: 'json',
    ipc: onMessage,
    onExit: onDeath,
  });
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, lowestPriority);
  } catch {
    // Only costs latency under a flood; a sandbox that forbids it must not keep people from logging in.
  }
}

function onReply(lane: Lane, child: Child, reply: HashReply): void {
  const job = child.job;
  child.ready = true;
  lane.isUp = true;
  child.job = null;
  if (reply.kind === 'done') job?.resolve(reply.value);
  if (reply.kind === 'failed') job?.reject(new Error('hash worker could not hash'));
  handNext(lane, child);
}

function onExit(lane: Lane, child: Child): void {
  lane.children.delete(child);
  child.job?.reject(new CoreError('unavailable'));
  if (lane.closed) return;
  // One that never got up would be restarted without end at full speed.
  if (child.ready) startChild(lane);
  else restartLater(lane);
}

function restartLater(lane: Lane): void {
  setTimeout(() => lane.closed || startChild(lane), restartDelayMs).unref();
}

async function close(lane: Lane): Promise<void> {
  lane.closed = true;
  for (const { job, timer } of lane.waiting.splice(0)) {
    clearTimeout(timer);
    job.reject(new CoreError('unavailable'));
  }
  const children = [...lane.children];
  for (const child of children) child.process.kill('SIGKILL');
  await Promise.all(children.map((child) => child.process.exited));
}
