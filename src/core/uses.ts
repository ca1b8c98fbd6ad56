import { recordUse } from '../store/sessions.ts';
import { change } from './change.ts';
import type { Core } from './core.ts';

/** Rows of one transaction: it holds the one thread for about a millisecond. */
const batchRows = 50;

/** Records when sessions were used, of many sessions in one transaction. */
export type UseRecorder = {
  /** @returns whether it is durably recorded; a store that cannot write costs only the record, and a warning */
  record(core: Core, sessionId: string, usedAt: number): Promise<boolean>;
};

type Use = { readonly sessionId: string; readonly usedAt: number; readonly settle: (recorded: boolean) => void };

/** One transaction at a time: what comes while it runs goes into the next one together. */
export function createUseRecorder(): UseRecorder {
  let waiting: Use[] = [];
  let running = false;

  async function run(core: Core): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, batchRows);
      waiting = waiting.slice(batchRows);
      const recorded = await writeUses(core, batch);
      for (const use of batch) use.settle(recorded);
    }
    running = false;
  }

  return {
    record: (core, sessionId, usedAt) =>
      new Promise((settle) => {
        waiting.push({ sessionId, usedAt, settle });
        if (!running) void run(core);
      }),
  };
}

async function writeUses(core: Core, uses: readonly Use[]): Promise<boolean> {
  // Rows of sessions are taken in one order, or two instances could wait for each other.
  const ordered = uses.toSorted((a, b) => (a.sessionId < b.sessionId ? -1 : 1));
  try {
    await change(
      core,
      async (trx) => {
        for (const { sessionId, usedAt } of ordered) await recordUse(trx, sessionId, usedAt);
      },
      'nobody',
    );
    return true;
  } catch (error) {
    core.log.warn('session.use_not_recorded', { sessions: uses.length, error });
    return false;
  }
}
