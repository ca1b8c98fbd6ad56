import { type Case, stepsOfKind, type Violation, violation } from './check.ts';
import { isRaced } from './check-credentials.ts';
import type { Action, AuditEntry, Step } from './history.ts';

/** What each acknowledged change must have written down, once. Changes by the command line carry no id of ours. */
const events: Partial<Record<Action['kind'], string>> = {
  login: 'login.succeeded',
  logout: 'session.ended',
  end_all: 'user.reset',
  password: 'password.changed',
  level: 'user.role_changed',
  key: 'api_key.generated',
};

/** I7: exactly one audit record per acknowledged change. I8: no wrong password went uncounted. */
export function auditViolations(subject: Case): Violation[] {
  const { audit, brokenAuditId } = subject.history;
  const guesses = guessViolations(subject);
  if (audit === undefined) return guesses;
  const broken =
    brokenAuditId == null ? [] : [violation('I7', { op: 0 }, `audit event ${brokenAuditId} does not fit its chain`)];
  const byOp = Map.groupBy(audit, (entry) => entry.op);
  const steps = subject.history.steps.flatMap((step) => judgeStep(subject, step, byOp.get(step.op) ?? []));
  return [...broken, ...steps, ...exchangeViolations(subject, byOp), ...guesses];
}

function judgeStep(subject: Case, step: Step, entries: readonly AuditEntry[]): Violation[] {
  const { kind } = step.action;
  const event = events[kind];
  if (event === undefined || ('door' in step.action && step.action.door === 'command')) return [];
  const count = entries.filter((entry) => entry.event === event).length;
  // A session that is ended between its commit and its first reading is refused to whoever signed in, and was opened all the same.
  const mayHaveBeen =
    step.outcome === 'unknown' || (step.action.kind === 'login' && isRaced(subject, step, step.action.user));
  const fits = step.outcome === 'ok' ? count === 1 : mayHaveBeen ? count <= 1 : count === 0;
  return fits ? [] : [violation('I7', step, `${kind} (${step.outcome}) has ${count} records ${event}`)];
}

/** The record of an exchange belongs to whoever came first, also when the answer was lost and a repetition got it. */
function exchangeViolations(subject: Case, byOp: ReadonlyMap<number, readonly AuditEntry[]>): Violation[] {
  const byToken = Map.groupBy(stepsOfKind(subject.history, 'refresh'), (step) => step.action.credential);
  return [...byToken].flatMap(([label, steps]) => {
    const records = steps.flatMap((step) => byOp.get(step.op) ?? []);
    const count = records.filter((entry) => entry.event === 'session.refreshed').length;
    const isAcknowledged = steps.some((step) => step.outcome === 'ok');
    if (count === 1 || (count === 0 && !isAcknowledged)) return [];
    return [violation('I7', { op: steps[0]?.op ?? 0 }, `the exchange of ${label} has ${count} records`)];
  });
}

function guessViolations({ history }: Case): Violation[] {
  const counted = history.counted;
  const guesses = stepsOfKind(history, 'guess');
  const letIn = guesses.filter((step) => step.outcome === 'ok');
  const evaluated = Map.groupBy(
    guesses.filter((step) => step.status === 401),
    (step) => step.action.user,
  );
  return [
    ...letIn.map((step) => violation('I3', step, `a wrong password signed ${step.action.user} in`)),
    ...[...evaluated].flatMap(([user, steps]) => {
      const count = counted?.[user] ?? 0;
      if (counted === undefined || count >= steps.length) return [];
      return [violation('I8', { op: 0 }, `${user}: ${steps.length} wrong passwords were evaluated, ${count} counted`)];
    }),
  ];
}
