import { after, type Soon, settle } from '../soon.ts';
import { addressKey } from './address-key.ts';
import type { CallerFacts, SessionContext } from './context.ts';
import type { Core } from './core.ts';
import { outcomeOf } from './counts.ts';
import { CoreError, type ErrorCode } from './errors.ts';

/** The words that mean: what was presented is not good. Only these count as guesses. */
const refusals: readonly ErrorCode[] = ['session_invalid', 'api_key_invalid', 'credentials_differ'];

/**
 * Frames a door's judgement of credentials with the limits: an accepted principal spends one use of its allowance, a refused
 * credential one of its address. Only guesses are slowed down: a good credential from the same address is never refused for them.
 * @throws CoreError `throttled` with the wait in whole seconds, and whatever `judge` throws
 */
export function withinLimits(core: Core, caller: CallerFacts, judge: () => Soon<SessionContext>): Soon<SessionContext> {
  return settle(
    () => after(judge(), (context) => accept(core, context)),
    (context) => context,
    (error) => {
      const told = limitRefusals(core, caller, error);
      core.counts.checks[outcomeOf(told)] += 1;
      throw told;
    },
  );
}

function accept(core: Core, context: SessionContext): SessionContext {
  spendUse(core, context.principal);
  core.counts.checks.accepted += 1;
  return context;
}

/** A refused credential spends one use of its address; beyond the allowance the answer is to wait. */
function limitRefusals(core: Core, caller: CallerFacts, error: unknown): unknown {
  if (!(error instanceof CoreError) || !refusals.includes(error.code)) return error;
  const waitSeconds = core.refusalRates.take(addressKey(caller.address), core.clock());
  return waitSeconds > 0 ? throttled(waitSeconds) : error;
}

/** Spends one use of a principal's allowance. @throws CoreError `throttled` with the wait in whole seconds */
export function spendUse(core: Core, principal: string): void {
  const waitSeconds = core.checkRates.take(principal, core.clock());
  if (waitSeconds > 0) throw throttled(waitSeconds);
}

function throttled(retryAfterSeconds: number): CoreError {
  return new CoreError('throttled', { retryAfterSeconds });
}
