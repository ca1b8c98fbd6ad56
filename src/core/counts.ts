import { isStoreTrouble } from '../store/errors.ts';
import { CoreError } from './errors.ts';

/** What a sign-in or a check can come to, for whoever watches the server. */
export const outcomes = ['accepted', 'refused', 'throttled', 'unavailable', 'failed'] as const;
export type Outcome = (typeof outcomes)[number];

/** Running totals since the start; plain numbers, so that counting costs the hot path nothing. */
export type Counts = {
  readonly logins: Record<Outcome, number>;
  readonly checks: Record<Outcome, number>;
  /** By whatever ended them but the passing of time. Counted when written: a transaction that fails later has counted too. */
  sessionsEnded: number;
};

export function createCounts(): Counts {
  const none = () => ({ accepted: 0, refused: 0, throttled: 0, unavailable: 0, failed: 0 });
  return { logins: none(), checks: none(), sessionsEnded: 0 };
}

/** Counts what the work came to. @throws whatever the work throws */
export async function countOutcome<T>(counts: Record<Outcome, number>, work: Promise<T>): Promise<T> {
  try {
    const result = await work;
    counts.accepted += 1;
    return result;
  } catch (error) {
    counts[outcomeOf(error)] += 1;
    throw error;
  }
}

/** The word for what was thrown. */
export function outcomeOf(error: unknown): Outcome {
  if (isStoreTrouble(error)) return 'unavailable';
  if (!(error instanceof CoreError)) return 'failed';
  if (error.code === 'throttled' || error.code === 'unavailable') return error.code;
  return error.code === 'internal' ? 'failed' : 'refused';
}
