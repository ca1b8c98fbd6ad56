import type { CallerFacts, SessionContext } from './context.ts';
import type { Core } from './core.ts';
import { CoreError } from './errors.ts';

/**
 * Takes one use from the allowance of an accepted session or key.
 * @throws CoreError `throttled` with the wait in whole seconds
 */
export function admitUse(core: Core, context: SessionContext): void {
  const principal = context.session === null ? `user:${context.user.id}` : `session:${context.session.id}`;
  throwIfSpent(core.checkRates.take(principal, core.clock()));
}

/**
 * Counts a refused credential against its address. Only guesses are slowed down: a good credential from the same address is
 * never refused for them.
 * @throws CoreError `throttled` with the wait in whole seconds
 */
export function countRefusal(core: Core, caller: CallerFacts): void {
  throwIfSpent(core.refusalRates.take(caller.address, core.clock()));
}

function throwIfSpent(waitSeconds: number): void {
  if (waitSeconds > 0) throw new CoreError('throttled', { retryAfterSeconds: waitSeconds });
}
