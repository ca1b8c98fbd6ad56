import { recordUse } from '../store/sessions.ts';
import { change } from './change.ts';
import type { Core } from './core.ts';

/** Uses of sessions that are not written yet: when each was last used, in seconds, by session id. */
export type PendingUses = Map<string, number>;

/** Rows of one transaction: it holds the one thread for about a millisecond. */
const batchRows = 50;
/** What cannot be written for so long that it fills this up is given up: those sessions end early, never late. */
const mostPending = 100_000;

/** Notes that a session was used; written with others at the next flush. */
export function noteUse(core: Core, sessionId: string, usedAt: number): void {
  if (core.uses.size < mostPending || core.uses.has(sessionId)) core.uses.set(sessionId, usedAt);
}

/** Writes what was noted. A store that cannot write costs only the time it is away: the notes stay for the next flush. */
export async function flushUses(core: Core): Promise<void> {
  try {
    while (core.uses.size > 0) await flushBatch(core);
  } catch (error) {
    core.log.warn('session.use_not_recorded', { sessions: core.uses.size, error });
  }
}

async function flushBatch(core: Core): Promise<void> {
  const batch = [...core.uses].slice(0, batchRows);
  // Sessions are locked in one order everywhere, or two batches could wait for each other.
  batch.sort(([a], [b]) => (a < b ? -1 : 1));
  await change(
    core,
    async (trx) => {
      for (const [id, usedAt] of batch) await recordUse(trx, id, usedAt);
    },
    'nobody',
  );
  for (const [id, usedAt] of batch) if (core.uses.get(id) === usedAt) core.uses.delete(id);
}

/**
 * Flushes every `everyMs` until stopped.
 * @returns a function that stops it and resolves when the last uses are written
 */
export function startRecordingUses(core: Core, everyMs: number): () => Promise<void> {
  let round = Promise.resolve();
  const flush = () => {
    round = round.then(() => flushUses(core));
    return round;
  };
  const timer = setInterval(flush, everyMs);
  timer.unref();
  return () => {
    clearInterval(timer);
    return flush();
  };
}
