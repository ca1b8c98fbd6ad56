import { type Soon, settle } from '../soon.ts';
import { addressKey } from './address-key.ts';
import type { CallerFacts, SessionContext } from './context.ts';
import type { Core } from './core.ts';
import { CoreError, type ErrorCode } from './errors.ts';

/** The words that mean: what was presented is not good. Only these count as guesses. */
const refusals: readonly ErrorCode[] = ['session_invalid', 'api_key_invalid', 'credentials_differ'];

/**
 * Frames a door's judgement of credentials with the limits: an accepted principal spends one use of its allowance, a refused
 * credential one of its address. Only guesses are slowed down: a good credential from the same address is never refused for them.
 * @throws CoreError `throttled` with the wait in whole seconds, and whatever `judge` throws
 */
export function withinLimits(core: Core, caller: CallerFacts, judge: () => Soon<SessionContext>): Soon<SessionContext> {
  const accept = (context: SessionContext): SessionContext => {
    spendUse(core, context.principal);
    return context;
  };
  const refuse = (error: unknown): never => {
    const refused = error instanceof CoreError && refusals.includes(error.code);
    if (refused) throwIfSpent(core.refusalRates.take(addressKey(caller.address), core.clock()));
    throw error;
  };
  return settle(judge, accept, refuse);
}

/** Spends one use of a principal's allowance. @throws CoreError `throttled` with the wait in whole seconds */
export function spendUse(core: Core, principal: string): void {
  throwIfSpent(core.checkRates.take(principal, core.clock()));
}

function throwIfSpent(waitSeconds: number): void {
  if (waitSeconds > 0) throw new CoreError('throttled', { retryAfterSeconds: waitSeconds });
}
