import { sql } from 'kysely';
import type { Store } from './open.ts';

/** The clock by which sessions, tokens and waits end. */
export type StoreClock = {
  /** Whole milliseconds since 1970. */
  readonly now: () => number;
  readonly stop: () => void;
};

const readEveryMs = 5_000;
/** Beyond this somebody should look at the machine's clock, though nothing here depends on it. */
const farMs = 60_000;

/**
 * Opens the clock of a store. Several machines share a PostgreSQL server, so that its clock decides; SQLite lies on this machine.
 * @param follow whether it is read every few seconds from now on
 * @param reportFar told by how many seconds the machine's clock is behind (or ahead, below 0), once per change
 * @throws StoreError when the server's clock cannot be read
 */
export async function openClock(
  store: Store,
  follow: boolean,
  reportFar: (seconds: number) => void,
): Promise<StoreClock> {
  if (store.engine === 'sqlite') return { now: Date.now, stop: () => undefined };
  const read = async () => {
    const { rows } = await sql<{ ms: number }>`
      select cast(extract(epoch from clock_timestamp()) as double precision) * 1000 as ms`.execute(store.checks);
    return rows[0]?.ms ?? Number.NaN;
  };
  const clock = createRemoteClock({ read, steadyMs: () => performance.now(), wallMs: Date.now, reportFar });
  await clock.set();
  // A server that cannot be reached is told of by whoever needs it; until it is back, this clock goes on by itself.
  const timer = follow ? setInterval(() => void clock.set().catch(() => undefined), readEveryMs).unref() : undefined;
  return { now: clock.now, stop: () => clearInterval(timer) };
}

export type RemoteClockOptions = {
  /** Asks the other machine for the time. */
  readonly read: () => Promise<number>;
  /** A clock that nobody sets, e.g. time since the start of the process. */
  readonly steadyMs: () => number;
  /** The machine's own clock, which is only compared. */
  readonly wallMs: () => number;
  readonly reportFar: (seconds: number) => void;
};

/** Shows another machine's time; between two readings it goes on by the steady clock, so that no jump of the own one moves it. */
export function createRemoteClock({ read, steadyMs, wallMs, reportFar }: RemoteClockOptions): {
  readonly now: () => number;
  readonly set: () => Promise<void>;
} {
  let base = Number.NaN;
  let toldMs = 0;
  return {
    now: () => Math.floor(base + steadyMs()),
    async set() {
      const askedMs = steadyMs();
      const remoteMs = await read();
      const unsureMs = (steadyMs() - askedMs) / 2;
      const found = remoteMs - (askedMs + unsureMs);
      // The answer was written at some moment between: a clock that fits it needs no correction by the length of the way.
      if (!(Math.abs(found - base) <= unsureMs)) base = found;
      const behindMs = base + steadyMs() - wallMs();
      if (Math.abs(behindMs) <= farMs) toldMs = 0;
      else if (Math.abs(behindMs - toldMs) > farMs) {
        toldMs = behindMs;
        reportFar(Math.round(behindMs / 1000));
      }
    },
  };
}
