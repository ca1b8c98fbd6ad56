import { type Case, registerOf, stepsOfKind, type Violation, violation } from './check.ts';
import type { History, Step } from './history.ts';
import type { Token } from './sessions.ts';

/** I1, I2, I3 and I5: who is let in, who is not, and as whom. */
export function credentialViolations(subject: Case): Violation[] {
  const twice = subject.sessions.givenTwice.map((label) => violation('I3', { op: 0 }, `${label} was given out twice`));
  const checks = stepsOfKind(subject.history, 'check').flatMap((step) => judgeCheck(subject, step, step.action));
  const logins = stepsOfKind(subject.history, 'login').flatMap((step) => judgeLogin(subject, step, step.action));
  return [...twice, ...checks, ...logins];
}

function judgeCheck(
  subject: Case,
  step: Step,
  { credential, door }: { readonly credential: string; readonly door: string },
): Violation[] {
  if (step.outcome === 'unknown') return [];
  const where = `${credential} at ${door}`;
  const owner = subject.keyOwners.get(credential);
  if (owner !== undefined) return judgeKey(subject, step, credential, owner, where);
  const token = subject.sessions.tokens.get(credential);
  if (token === undefined) {
    return step.outcome === 'ok' ? [violation('I3', step, `${where} was let in, and no login gave it out`)] : [];
  }
  if (step.outcome === 'ok') return [...judgeLetIn(step, token, where), ...judgeFacts(subject, step, token, where)];
  if (step.status !== 401 || mayBeRefused(token, step)) return [];
  return [violation('I1', step, `${where} was refused although nothing had ended it`)];
}

function judgeLetIn(step: Step, { session, spentFrom }: Token, where: string): Violation[] {
  if (session.deadFrom < step.from) return [violation('I2', step, `${where} was let in after its session's end`)];
  if (spentFrom < step.from) return [violation('I2', step, `${where} was let in after it was exchanged`)];
  if (session.deadInFlightFrom < step.from) {
    return [violation('I5', step, `${where} was let in: its login was under way when all were ended`)];
  }
  return [];
}

function judgeFacts(subject: Case, step: Step, { session }: Token, where: string): Violation[] {
  const { user, level } = step.result;
  if (user !== undefined && user !== session.user) {
    return [violation('I3', step, `${where} belongs to ${session.user} and was taken for ${user}`)];
  }
  if (level === undefined || registerOf(subject, session.user).level.possible(level, step.from, step.to)) return [];
  return [violation('I3', step, `${where} was given the level ${level}, which ${session.user} did not have`)];
}

/** Whether anything that was asked before the answer came can have ended the session, or used up the token. */
function mayBeRefused({ session, maybeSpentFrom }: Token, step: Step): boolean {
  return Math.min(session.maybeDeadFrom, maybeSpentFrom) < step.to;
}

function judgeKey(subject: Case, step: Step, label: string, owner: string, where: string): Violation[] {
  const { key, status, level } = registerOf(subject, owner);
  const { from, to, result } = step;
  if (step.outcome === 'ok') {
    if (!key.possible(label, from, to)) return [violation('I2', step, `${where} was let in after it was replaced`)];
    if (!status.possible('Active', from, to)) return [violation('I2', step, `${where}: its owner was disabled`)];
    if (result.user !== undefined && result.user !== owner) {
      return [violation('I3', step, `${where} belongs to ${owner} and was taken for ${result.user}`)];
    }
    const fits = result.level === undefined || level.possible(result.level, from, to);
    return fits ? [] : [violation('I3', step, `${where} was given a level that ${owner} did not have`)];
  }
  const mustWork = key.certain(label, from, to) && status.certain('Active', from, to);
  return mustWork && step.status === 401 ? [violation('I1', step, `${where} was refused although it was valid`)] : [];
}

function judgeLogin(
  subject: Case,
  step: Step,
  { user, password, door }: { readonly user: string; readonly password: string; readonly door: string },
): Violation[] {
  const { password: passwords, status } = registerOf(subject, user);
  const { from, to } = step;
  if (step.outcome === 'ok') {
    if (!passwords.possible(password, from, to)) {
      return [violation('I2', step, `${user} signed in at ${door} with a password of before`)];
    }
    if (!status.possible('Active', from, to)) return [violation('I2', step, `${user} signed in at ${door}, disabled`)];
    return [];
  }
  if (step.status !== 401 || isRaced(subject, step, user)) return [];
  if (!passwords.certain(password, from, to) || !status.certain('Active', from, to)) return [];
  return [violation('I6', step, `${user} was refused at ${door} with the right password`)];
}

const endsOf = new WeakMap<History, ReadonlyMap<string, Step[]>>();

function endsByUser(history: History): ReadonlyMap<string, Step[]> {
  const known = endsOf.get(history);
  if (known !== undefined) return known;
  const ends = (['end_all', 'password', 'status'] as const).flatMap((kind) => stepsOfKind(history, kind));
  const byUser = Map.groupBy(
    ends.filter((step) => step.outcome !== 'fail'),
    (step) => step.action.user,
  );
  endsOf.set(history, byUser);
  return byUser;
}

/** Whether something was under way that makes a login come too late. */
export function isRaced({ history }: Case, login: Step, user: string): boolean {
  return (endsByUser(history).get(user) ?? []).some(({ from, to, outcome }) => {
    return from < login.to && (outcome === 'unknown' || to > login.from);
  });
}
