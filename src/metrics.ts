import { readdirSync, statSync } from 'node:fs';
import { type Core, outcomes } from './core/index.ts';
import type { Log } from './log.ts';
import { probeStore } from './store/open.ts';
import { countSubjects } from './store/throttle.ts';

/** What is told to whoever watches the server. Labels are of closed lists only; no version, no name of a user, no secret. */
export type Metrics = {
  /** Counts one answer of a door. */
  readonly countAnswer: (door: string, status: number) => void;
  /** The present figures in the Prometheus text format, 0.0.4. Asks the store, and says so if it does not answer. */
  readonly write: () => Promise<string>;
  readonly stop: () => void;
};

type Sample = { readonly labels?: Readonly<Record<string, string>>; readonly value: number };
type Family = {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly Sample[];
};

/** @param databaseFile path of the SQLite file, null with PostgreSQL */
export function createMetrics(core: Core, log: Log, databaseFile: string | null): Metrics {
  const answers = createAnswerCounts();
  const loop = watchLoop();
  const write = async () => {
    const families = [
      ...describeWork(core, log, answers),
      ...(await describeStore(core, databaseFile)),
      ...describeProcess(loop.worstSeconds()),
    ];
    return families.map(printFamily).join('');
  };
  return { countAnswer: answers.count, write, stop: loop.stop };
}

/** One row of five numbers per door, by the first digit of the status. */
type AnswerCounts = {
  readonly count: Metrics['countAnswer'];
  readonly rows: ReadonlyMap<string, readonly number[]>;
};

function createAnswerCounts(): AnswerCounts {
  const rows = new Map<string, number[]>();
  const count = (door: string, status: number) => {
    let row = rows.get(door);
    if (row === undefined) rows.set(door, (row = [0, 0, 0, 0, 0]));
    const place = Math.trunc(status / 100) - 1;
    row[place] = (row[place] ?? 0) + 1;
  };
  return { count, rows };
}

function describeWork({ counts, hasher, checkRates, refusalRates }: Core, log: Log, answers: AnswerCounts): Family[] {
  const lane = hasher.load();
  const byDoor = [...answers.rows].flatMap(([door, row]) =>
    row.map((value, place): Sample => ({ labels: { door, status: `${place + 1}xx` }, value })),
  );
  const byOutcome = (row: Record<(typeof outcomes)[number], number>) =>
    outcomes.map((outcome): Sample => ({ labels: { outcome }, value: row[outcome] }));
  return [
    counter(
      'http_answers_total',
      'Answers by door and class of status; refusals of the runtime itself are not in it',
      byDoor,
    ),
    counter('logins_total', 'Sign-ins by what they came to', byOutcome(counts.logins)),
    counter('checks_total', 'Credentials judged, by what they came to', byOutcome(counts.checks)),
    counter('sessions_ended_total', 'Sessions ended by anything but the passing of time', one(counts.sessionsEnded)),
    gauge('hash_lane_width', 'Processes that hash passwords', one(lane.width)),
    gauge('hash_lane_busy', 'Of them, those at work', one(lane.busy)),
    gauge('hash_lane_waiting', 'Password hashes waiting for one of them', one(lane.waiting)),
    counter('hash_lane_shed_total', 'Password hashes refused because the lane was full or slow', one(lane.shed)),
    gauge('rate_limit_entries', 'Principals and addresses whose requests are being counted', [
      { labels: { limit: 'checks' }, value: checkRates.size() },
      { labels: { limit: 'refusals' }, value: refusalRates.size() },
    ]),
    counter('log_dropped_total', 'Log records lost because nobody took them', one(log.dropped())),
  ];
}

async function describeStore({ store }: Core, databaseFile: string | null): Promise<Family[]> {
  const startMs = performance.now();
  const throttled = await probeStore(store)
    .then(() => countSubjects(store.lists))
    .catch(() => null);
  const seconds = (performance.now() - startMs) / 1000;
  return [
    gauge('store_up', 'Whether the store answered just now', one(throttled === null ? 0 : 1)),
    gauge('store_probe_seconds', 'How long it took to answer, or to fail', one(seconds)),
    ...(throttled === null
      ? []
      : [gauge('throttle_entries', 'Names and addresses with failures counted', one(throttled))]),
    ...(databaseFile === null
      ? []
      : [gauge('wal_bytes', 'Size of the write-ahead log', one(sizeOf(`${databaseFile}-wal`)))]),
  ];
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function describeProcess(worstDelaySeconds: number): Family[] {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const descriptors = countDescriptors();
  return [
    gauge(
      'event_loop_delay_seconds',
      'Longest delay of the event loop in the last 15 to 30 seconds',
      one(worstDelaySeconds),
    ),
    gauge('heap_bytes', 'Memory of the JavaScript heap in use', one(heapUsed)),
    ofProcess('cpu_seconds_total', 'counter', 'Processor time spent', (user + system) / 1e6),
    ofProcess('resident_memory_bytes', 'gauge', 'Resident memory', rss),
    ofProcess('start_time_seconds', 'gauge', 'When the process started, in seconds since 1970', startedSeconds()),
    ...(descriptors === null ? [] : [ofProcess('open_fds', 'gauge', 'Open file descriptors', descriptors)]),
  ];
}

function startedSeconds(): number {
  return Math.round(Date.now() / 1000 - process.uptime());
}

/** Null where the system does not tell. */
function countDescriptors(): number | null {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return null;
  }
}

const tickMs = 100;
const windowTicks = 150;

/** How late a timer comes is how long the event loop was kept busy. */
function watchLoop(): { readonly worstSeconds: () => number; readonly stop: () => void } {
  let [before, worst, ticks, dueMs] = [0, 0, 0, performance.now() + tickMs];
  const timer = setInterval(() => {
    const nowMs = performance.now();
    worst = Math.max(worst, nowMs - dueMs);
    dueMs = nowMs + tickMs;
    ticks += 1;
    if (ticks % windowTicks === 0) [before, worst] = [worst, 0];
  }, tickMs);
  timer.unref();
  return { worstSeconds: () => Math.max(before, worst, 0) / 1000, stop: () => clearInterval(timer) };
}

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name: `cardea_${name}`, type: 'counter', help, samples };
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name: `cardea_${name}`, type: 'gauge', help, samples };
}

/** Under the names that every Prometheus client uses. */
function ofProcess(name: string, type: Family['type'], help: string, value: number): Family {
  return { name: `process_${name}`, type, help, samples: one(value) };
}

function one(value: number): readonly Sample[] {
  return [{ value }];
}

/** Label values are words of ours, so nothing in them needs escaping. */
function printFamily({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
    return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`;
  });
  return `# HELP ${name} ${help}.\n# TYPE ${name} ${type}\n${lines.join('')}`;
}
