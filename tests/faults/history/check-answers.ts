import type { Case, Violation } from './check.ts';
import { violation } from './check.ts';
import type { Action, FaultWindow, Step } from './history.ts';

/** After healing: by when something must have worked, and from when on nothing may fail. */
const firstSuccessMs = 2_000;
const calmAfterMs = 5_000;

/** What these need of the server, the hash lane, may be full without any fault; the answer is then 503. */
const hashing: ReadonlySet<Action['kind']> = new Set<Action['kind']>(['login', 'password', 'guess']);

/** I6: during a fault only silence and 503 beside right answers, afterwards right answers only. */
export function answerViolations({ history }: Case): Violation[] {
  const { steps, faults } = history;
  return [
    ...steps.flatMap((step) => judgeAnswer(step, faults)),
    ...faults.flatMap((fault) => judgeHealing(steps, fault)),
  ];
}

function judgeAnswer(step: Step, faults: readonly FaultWindow[]): Violation[] {
  const { action, status, outcome } = step;
  if (outcome === 'ok') return [];
  if (outcome === 'unknown') {
    if (status !== 0 && status !== 503) return [violation('I6', step, `${action.kind} was answered with ${status}`)];
    if (isCommand(action) || faults.some((fault) => step.to >= fault.from && step.from < fault.to + calmAfterMs))
      return [];
    if (status === 503 && hashing.has(action.kind)) return [];
    return [
      violation('I6', step, `${action.kind} was answered with ${status === 0 ? 'silence' : status} without a fault`),
    ];
  }
  if (isAllowed(action, status)) return [];
  return [violation('I6', step, `${action.kind} was answered with ${status}`)];
}

/** A command that fails says so to its administrator; it is no answer of a door. */
function isCommand(action: Action): boolean {
  return action.kind === 'status' || ('door' in action && action.door === 'command');
}

/** Whether a 401 is right is for the invariants of the credential; no other refusal is. */
function isAllowed(action: Action, status: number): boolean {
  if (status === 401) return true;
  // Somebody else's change came first; and whoever is cut off often has many tries counted against the name.
  if (action.kind === 'password' && status === 400) return true;
  return status === 429 && hashing.has(action.kind);
}

function judgeHealing(steps: readonly Step[], { name, to }: FaultWindow): Violation[] {
  const after = steps.filter((step) => step.to >= to && step.to <= to + firstSuccessMs);
  if (after.length === 0 || after.some((step) => step.outcome === 'ok')) return [];
  return [violation('I6', { op: after[0]?.op ?? 0 }, `nothing succeeded within ${firstSuccessMs} ms after ${name}`)];
}
