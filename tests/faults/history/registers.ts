import type { Action, Step } from './history.ts';

/** How long after its client gave up a request may still take effect: beyond every limit of the server's own. */
export const settleMs = 5_000;

/** A value that was written, at some moment from `from` to `until`; for sure only if it was acknowledged. */
export type Write = { readonly value: string; readonly from: number; readonly until: number; readonly sure: boolean };

/** What one user's password, status, level or key can have been at any time. */
export type Register = {
  /** Whether it may have had this value at some moment between two. */
  possible(value: string, from: number, to: number): boolean;
  /** Whether it had this value, and no other, all that time. */
  certain(value: string, from: number, to: number): boolean;
};

/** From writes of which several may overlap: a value is over once another was surely written after it. */
export function createRegister(initial: string, writes: readonly Write[]): Register {
  const all: Write[] = [{ value: initial, from: -Infinity, until: -Infinity, sure: true }, ...writes];
  const spans = all.map((write) => {
    const later = all.filter((other) => other.sure && other.from > write.until);
    return { ...write, overAt: later.reduce((least, { until }) => Math.min(least, until), Infinity) };
  });
  const mayBe = (from: number, to: number) => spans.filter((span) => span.from < to && span.overAt >= from);
  return {
    possible: (value, from, to) => mayBe(from, to).some((span) => span.value === value),
    certain: (value, from, to) => mayBe(from, to).every((span) => span.value === value),
  };
}

/** The write of a request: none if it was refused. */
export function toWrite(step: Step, value: string): Write[] {
  if (step.outcome === 'fail') return [];
  const sure = step.outcome === 'ok';
  return [{ value, from: step.from, until: sure ? step.to : step.to + settleMs, sure }];
}

export type UserRegisters = {
  readonly password: Register;
  readonly status: Register;
  readonly level: Register;
  readonly key: Register;
};

/** The four registers of every user. */
export function registersOf(
  users: Readonly<Record<string, string>>,
  steps: readonly Step[],
): ReadonlyMap<string, UserRegisters> {
  return new Map(
    Object.entries(users).map(([user, level]) => {
      const own = steps.filter(({ action }) => 'user' in action && action.user === user);
      const written = (kind: Action['kind']) =>
        own.flatMap((step) => (step.action.kind === kind && 'to' in step.action ? toWrite(step, step.action.to) : []));
      const registers: UserRegisters = {
        password: createRegister('p0', written('password')),
        status: createRegister('Active', written('status')),
        level: createRegister(level, written('level')),
        key: createRegister('none', written('key')),
      };
      return [user, registers] as const;
    }),
  );
}
