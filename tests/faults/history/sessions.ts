import type { Action, History, Step } from './history.ts';
import { settleMs } from './registers.ts';

/** What a history says of one session: who opened it, and from when on it may be, or must be, dead. */
export type Session = {
  readonly user: string;
  readonly login: Step;
  /** Its tokens in the order in which they were given out; a secret that is never exchanged is alone. */
  readonly credentials: Set<string>;
  /** Requests that may have ended it. */
  readonly maybeEnds: Step[];
  /** The first moment at which one of them may have taken effect. */
  maybeDeadFrom: number;
  /** The first moment at which some end was acknowledged. */
  deadFrom: number;
  /** The same, counting ends of all sessions that found this one's login under way long since. */
  deadInFlightFrom: number;
};

/** What a history says of one token of a session. */
export type Token = {
  readonly session: Session;
  /** The first moment at which it may have been exchanged. */
  maybeSpentFrom: number;
  spentFrom: number;
  /** The exchange that was acknowledged first. */
  exchange: Step | undefined;
};

export type Sessions = {
  readonly tokens: ReadonlyMap<string, Token>;
  /** Tokens that were given to two logins, or to a login and an exchange of another session. */
  readonly givenTwice: readonly string[];
};

/** A login asked for this long before "end all" was, with nothing out of order, had begun when "end all" came. */
export const inFlightMs = 250;

/** Follows every session from its login over its tokens to its ends. */
export function followSessions(history: History): Sessions {
  const tokens = new Map<string, Token>();
  const givenTwice: string[] = [];
  const give = (label: string | undefined, session: Session): void => {
    if (label === undefined) return;
    const known = tokens.get(label);
    if (known !== undefined && known.session !== session) givenTwice.push(label);
    if (known !== undefined) return;
    session.credentials.add(label);
    tokens.set(label, {
      session,
      maybeSpentFrom: Infinity,
      spentFrom: Infinity,
      exchange: undefined,
    });
  };
  // A token is given out before it can be presented, so the order of the answers is one in which each is known.
  for (const step of history.steps.toSorted((one, other) => one.to - other.to)) {
    const { action, outcome, result } = step;
    if (outcome !== 'ok') continue;
    if (action.kind === 'login') give(result.credential, newSession(action.user, step));
    if (action.kind === 'refresh') {
      const token = tokens.get(action.credential);
      if (token !== undefined) give(result.credential, token.session);
    }
  }
  spendTokens(history, tokens);
  endSessions(history, tokens);
  return { tokens, givenTwice };
}

function newSession(user: string, login: Step): Session {
  return {
    user,
    login,
    credentials: new Set(),
    maybeEnds: [],
    maybeDeadFrom: Infinity,
    deadFrom: Infinity,
    deadInFlightFrom: Infinity,
  };
}

function spendTokens({ steps, graceMs }: History, tokens: ReadonlyMap<string, Token>): void {
  const byToken = Map.groupBy(steps.filter(isRefresh), ({ action }) => action.credential);
  for (const [label, exchanges] of byToken) {
    const token = tokens.get(label);
    if (token === undefined) continue;
    for (const step of exchanges) if (step.outcome !== 'fail') spend(token, step);
    for (const step of exchanges) if (step.outcome !== 'ok') judgeReuse(token, step, exchanges, graceMs);
  }
}

type Exchange = Step & { readonly action: Extract<Action, { kind: 'refresh' }> };

function isRefresh(step: Step): step is Exchange {
  return step.action.kind === 'refresh';
}

function spend(token: Token, step: Step): void {
  token.maybeSpentFrom = Math.min(token.maybeSpentFrom, step.from);
  if (step.outcome !== 'ok') return;
  token.spentFrom = Math.min(token.spentFrom, step.to);
  if (token.exchange === undefined || step.to < token.exchange.to) token.exchange = step;
}

/** Presenting a token that is spent, or may be, can end its session; long after its exchange it does (P6). */
function judgeReuse(token: Token, step: Step, exchanges: readonly Step[], graceMs: number): void {
  const isReuse = exchanges.some((other) => other !== step && other.outcome !== 'fail' && other.from < step.to);
  if (!isReuse) return;
  const { session } = token;
  mayEnd(session, step);
  if (step.status === 401 && step.from > token.spentFrom + graceMs + 1_000) {
    session.deadFrom = Math.min(session.deadFrom, step.to);
  }
}

function endSessions(history: History, tokens: ReadonlyMap<string, Token>): void {
  const byUser = new Map<string, Set<Session>>();
  for (const { session } of tokens.values()) {
    const own = byUser.get(session.user) ?? new Set();
    byUser.set(session.user, own.add(session));
  }
  for (const step of history.steps) {
    const { action, outcome } = step;
    if (outcome === 'fail') continue;
    if (action.kind === 'logout') {
      const session = tokens.get(action.credential)?.session;
      if (session !== undefined) endOne(session, step);
    }
    const endsAll =
      action.kind === 'end_all' || action.kind === 'password' || (action.kind === 'status' && action.to !== 'Active');
    if (!endsAll) continue;
    const kept = action.kind === 'password' ? tokens.get(action.credential)?.session : undefined;
    for (const session of byUser.get(action.user) ?? []) {
      if (session !== kept) endWithAll(history, session, step);
    }
  }
}

function mayEnd(session: Session, step: Step): void {
  // What comes after a sure end excuses nothing that the sure one does not.
  if (step.from < session.deadFrom) session.maybeEnds.push(step);
  session.maybeDeadFrom = Math.min(session.maybeDeadFrom, step.from);
}

function endOne(session: Session, step: Step): void {
  mayEnd(session, step);
  if (step.outcome === 'ok') session.deadFrom = Math.min(session.deadFrom, step.to);
}

function endWithAll(history: History, session: Session, step: Step): void {
  const { login } = session;
  const until = step.outcome === 'ok' ? step.to : step.to + settleMs;
  if (until < login.from) return;
  mayEnd(session, step);
  if (step.outcome !== 'ok') return;
  if (login.to < step.from) session.deadFrom = Math.min(session.deadFrom, step.to);
  // While something is frozen, requests may be taken up in another order than they were sent in.
  const calm = history.faults.every((fault) => fault.to + settleMs < login.from || fault.from > step.to);
  if (calm && login.from + inFlightMs < step.from) {
    session.deadInFlightFrom = Math.min(session.deadInFlightFrom, step.to);
  }
}
