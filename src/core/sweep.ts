import { sweepSessions } from '../store/sessions.ts';
import { boundThrottle, sweepKnownAddresses, sweepThrottle } from '../store/throttle.ts';
import type { Db } from '../store/users.ts';
import { change } from './change.ts';
import { type Core, nowSeconds } from './core.ts';

/** Rows are kept this long after their session ended, so that lists can show it. */
const keptSeconds = 24 * 60 * 60;
/** An address from which nobody signed in for this long is a stranger again. */
const keptAddressSeconds = 90 * 24 * 60 * 60;
/** Deleting 50 rows takes a millisecond of the one thread, 2,000 take sixty: small bites, with pauses. */
const biteRows = 100;
const pauseMs = 20;
const longestThrottleTable = 100_000;

/** Deletes one bite of what no answer needs any more. @returns how many rows went */
export async function sweepOnce(core: Core): Promise<number> {
  const before = nowSeconds(core) - keptSeconds;
  const bites: ((trx: Db) => Promise<number>)[] = [
    (trx) => sweepSessions(trx, before, biteRows),
    (trx) => sweepThrottle(trx, before * 1000, biteRows),
    (trx) => sweepKnownAddresses(trx, before - keptAddressSeconds, biteRows),
    (trx) => boundThrottle(trx, longestThrottleTable, biteRows),
  ];
  let swept = 0;
  for (const bite of bites) swept += await change(core, bite, 'nobody');
  return swept;
}

/**
 * Sweeps every `everyMs`, in bites with pauses, until stopped. A store in trouble is left alone until the next round.
 * @returns a function that stops it and resolves when the bite under way is over
 */
export function startSweeping(core: Core, everyMs: number): () => Promise<void> {
  let stopped = false;
  let round = Promise.resolve();
  const timer = setInterval(() => {
    round = round.then(() => sweepRound(core, () => stopped));
  }, everyMs);
  timer.unref();
  return async () => {
    stopped = true;
    clearInterval(timer);
    await round;
  };
}

async function sweepRound(core: Core, isStopped: () => boolean): Promise<void> {
  try {
    while (!isStopped() && (await sweepOnce(core)) > 0) await Bun.sleep(pauseMs);
  } catch (error) {
    core.log.warn('sweep.failed', { error });
  }
}
