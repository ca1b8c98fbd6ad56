/**
 * The judge of a recorded history. It knows nothing of the server but its promises (I1 to I8): what a client was told must fit
 * some order of the requests in which each took effect between its sending and its answer.
 */
import { auditViolations } from './check-audit.ts';
import { credentialViolations } from './check-credentials.ts';
import { refreshViolations } from './check-refresh.ts';
import { answerViolations } from './check-answers.ts';
import type { Action, History, Step } from './history.ts';
import { registersOf, type UserRegisters } from './registers.ts';
import { followSessions, type Sessions } from './sessions.ts';

export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8';

export type Violation = { readonly invariant: Invariant; readonly op: number; readonly sentence: string };

/** A history with what follows from it. */
export type Case = {
  readonly history: History;
  readonly sessions: Sessions;
  readonly registers: ReadonlyMap<string, UserRegisters>;
  /** Who holds a key that was given out, by its label. */
  readonly keyOwners: ReadonlyMap<string, string>;
};

/** Everything in the history that the promises exclude; nothing means that every word was kept. */
export function violations(history: History): Violation[] {
  const subject: Case = {
    history,
    sessions: followSessions(history),
    registers: registersOf(history.users, history.steps),
    keyOwners: new Map(
      history.steps.flatMap(({ action }) => (action.kind === 'key' ? [[action.to, action.user]] : [])),
    ),
  };
  return [
    ...credentialViolations(subject),
    ...refreshViolations(subject),
    ...answerViolations(subject),
    ...auditViolations(subject),
  ];
}

export function violation(invariant: Invariant, step: Pick<Step, 'op'>, sentence: string): Violation {
  return { invariant, op: step.op, sentence };
}

/** The steps of one kind, with their actions typed. */
export function stepsOfKind<K extends Action['kind']>(
  history: History,
  kind: K,
): (Step & { readonly action: Extract<Action, { kind: K }> })[] {
  return history.steps.filter((step): step is Step & { readonly action: Extract<Action, { kind: K }> } => {
    return step.action.kind === kind;
  });
}

export function registerOf(subject: Case, user: string): UserRegisters {
  const registers = subject.registers.get(user);
  if (registers === undefined) throw new Error(`the history does not know the user ${user}`);
  return registers;
}
