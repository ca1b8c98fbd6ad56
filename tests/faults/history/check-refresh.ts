import { type Case, stepsOfKind, type Violation, violation } from './check.ts';
import type { Step } from './history.ts';
import type { Token } from './sessions.ts';

/** A second, for the whole seconds in which the server counts. */
const roundingMs = 1_000;

/** I4: a token is exchanged once; within the grace the same successor comes back, later none. */
export function refreshViolations(subject: Case): Violation[] {
  return stepsOfKind(subject.history, 'refresh').flatMap((step) => {
    const token = subject.sessions.tokens.get(step.action.credential);
    if (token === undefined || step.outcome === 'unknown') return [];
    return step.outcome === 'ok' ? judgeExchange(subject, step, token) : judgeRefusal(subject, step, token);
  });
}

function judgeExchange({ history }: Case, step: Step, { session, exchange }: Token): Violation[] {
  const label = step.action.kind === 'refresh' ? step.action.credential : '';
  if (session.deadFrom < step.from) return [violation('I2', step, `${label} was exchanged after its session's end`)];
  if (exchange === undefined || exchange === step) return [];
  if (exchange.result.credential !== step.result.credential) {
    return [violation('I4', step, `${label} has two successors`)];
  }
  if (step.from <= exchange.to + history.graceMs + roundingMs) return [];
  return [violation('I4', step, `${label} was exchanged again after its grace`)];
}

function judgeRefusal({ history, sessions }: Case, step: Step, token: Token): Violation[] {
  const { session, exchange, maybeSpentFrom } = token;
  const label = step.action.kind === 'refresh' ? step.action.credential : '';
  // The refused exchange itself may have ended the session; any other end, before it or beside it, excuses the refusal.
  if (step.status !== 401 || session.maybeEnds.some((end) => end !== step && end.from < step.to)) return [];
  // Nobody else presented it: it was the live token.
  if (maybeSpentFrom >= step.to) return [violation('I1', step, `${label} was not exchanged although it was live`)];
  const successor = exchange?.result.credential;
  if (exchange === undefined || successor === undefined) return [];
  const isYoung = step.to < exchange.from + history.graceMs - roundingMs && exchange.to < step.from;
  const successorIsLive = (sessions.tokens.get(successor)?.maybeSpentFrom ?? 0) >= step.to;
  if (!isYoung || !successorIsLive) return [];
  return [violation('I4', step, `${label} was refused within its grace`)];
}
