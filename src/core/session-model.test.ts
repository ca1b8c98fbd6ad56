import { afterAll, beforeAll, expect, test } from 'bun:test';
import fc from 'fast-check';
import {
  callerFrom,
  isLive,
  openTestCore,
  outcomeOf,
  signIn,
  type TestCore,
  webPolicy,
} from '../../tests/support/core.ts';
import { commandLists, tries } from '../../tests/support/seeds.ts';
import { addUser } from '../../tests/support/users.ts';
import { authenticate, endAll, endOwnSession, refreshSession, sweepOnce } from './index.ts';

const hour = 3600;
const tokenSeconds = hour;
const graceSeconds = 10;
const absoluteSeconds = 12 * hour;
const idleSeconds = hour;
/** A use is written down at most once a minute, so an idle session may end up to this much early. */
const earlySeconds = 60;
const caller = callerFrom();

/** A session as the dossier describes it: the whole of what the model knows. */
type ModelSession = {
  readonly user: string;
  readonly kind: 'rest' | 'web';
  readonly openedAt: number;
  usedAt: number;
  /** The live token's expiry; for web sessions the absolute end. */
  tokenEnd: number;
  ended: boolean;
  live: string;
  previous: string | undefined;
  previousEnd: number;
  rotatedAt: number;
  /** Every token that was replaced before the previous one. */
  readonly ancestors: string[];
};

type Model = { now: number; readonly sessions: ModelSession[] };
type Real = { readonly at: TestCore; readonly ids: ReadonlyMap<string, number> };

/** `either` in the minute in which an idle session may or may not be over. */
function expected(model: Model, session: ModelSession): 'live' | 'dead' | 'either' {
  if (session.ended || model.now >= Math.min(session.tokenEnd, session.openedAt + absoluteSeconds)) return 'dead';
  if (session.kind === 'rest') return 'live';
  const idle = model.now - session.usedAt;
  if (idle >= idleSeconds) return 'dead';
  return idle >= idleSeconds - earlySeconds ? 'either' : 'live';
}

/** Asks the core, holds it to the model, and notes what was learnt in the minute of doubt. */
async function check(model: Model, { at }: Real, session: ModelSession): Promise<boolean> {
  const word = expected(model, session);
  const live = await isLive(at.core, session.live);
  if (word !== 'either') expect(live).toBe(word === 'live');
  if (live) session.usedAt = model.now;
  else session.ended ||= word === 'either';
  return live;
}

abstract class Command implements fc.AsyncCommand<Model, Real> {
  readonly choice: number;
  constructor(choice = 0) {
    this.choice = choice;
  }
  check(_model: Readonly<Model>): boolean {
    return true;
  }
  /** Mostly a session of which the question is not settled yet. */
  protected pick(model: Model, isWanted: (session: ModelSession) => boolean = () => true): ModelSession | undefined {
    const open = model.sessions.filter((session) => isWanted(session) && expected(model, session) !== 'dead');
    const some = open.length > 0 && this.choice % 8 > 0 ? open : model.sessions.filter(isWanted);
    return some[this.choice % some.length];
  }
  abstract run(model: Model, real: Real): Promise<void>;
  toString(): string {
    return `${this.constructor.name}(${this.choice})`;
  }
}

abstract class OnSession extends Command {
  override check(model: Readonly<Model>): boolean {
    return model.sessions.length > 0;
  }
}

class LogIn extends Command {
  async run(model: Model, { at }: Real): Promise<void> {
    const user = this.choice % 2 === 0 ? 'ada' : 'bea';
    const kind = this.choice % 3 === 0 ? 'web' : 'rest';
    const opened = await signIn(at.core, user, kind === 'web' ? { policy: webPolicy } : {});
    model.sessions.push({
      user,
      kind,
      openedAt: model.now,
      usedAt: model.now,
      tokenEnd: model.now + (kind === 'web' ? absoluteSeconds : tokenSeconds),
      ended: false,
      live: opened.credential,
      previous: undefined,
      previousEnd: 0,
      rotatedAt: 0,
      ancestors: [],
    });
  }
}

class Check extends OnSession {
  async run(model: Model, real: Real): Promise<void> {
    const session = this.pick(model);
    if (session === undefined) return;
    await check(model, real, session);
    for (const old of [session.previous, ...session.ancestors]) {
      if (old !== undefined) expect(await isLive(real.at.core, old)).toBe(false);
    }
  }
}

class Refresh extends OnSession {
  async run(model: Model, real: Real): Promise<void> {
    const session = this.pick(model);
    if (session === undefined) return;
    const live = await check(model, real, session);
    const policy = { tokenSeconds, graceSeconds };
    if (!live) {
      expect(await outcomeOf(refreshSession(real.at.core, session.live, policy, caller))).toBe('session_invalid');
      return;
    }
    const { credential } = await refreshSession(real.at.core, session.live, policy, caller);
    expect(credential).not.toBe(session.live);
    if (session.previous !== undefined) session.ancestors.push(session.previous);
    session.previous = session.live;
    session.previousEnd = session.tokenEnd;
    session.live = credential;
    session.rotatedAt = model.now;
    session.usedAt = model.now;
    session.tokenEnd = Math.min(model.now + tokenSeconds, session.openedAt + absoluteSeconds);
  }
}

/** The token before the live one: the same successor within the grace, the end of the session after it. */
class RefreshAgain extends OnSession {
  async run(model: Model, real: Real): Promise<void> {
    const session = this.pick(model, (one) => one.previous !== undefined);
    if (session?.previous === undefined) return;
    const live = await check(model, real, session);
    const again = refreshSession(real.at.core, session.previous, { tokenSeconds, graceSeconds }, caller);
    const outcome = await outcomeOf(again);
    if (live && Math.abs(model.now - session.rotatedAt) <= graceSeconds) {
      expect(outcome).toBe('ok');
      expect((await again).credential).toBe(session.live);
    } else {
      expect(outcome).toBe('session_invalid');
      // A token past its own end is no proof of theft, only a token past its end.
      if (model.now < session.previousEnd) session.ended = true;
      await check(model, real, session);
    }
  }
}

class LogOut extends OnSession {
  async run(model: Model, real: Real): Promise<void> {
    const session = this.pick(model);
    if (session === undefined || !(await check(model, real, session))) return;
    const context = await authenticate(real.at.core, { kind: 'bearer', token: session.live });
    await endOwnSession(real.at.core, context, caller);
    session.ended = true;
    expect(await isLive(real.at.core, session.live)).toBe(false);
  }
}

class EndAll extends Command {
  async run(model: Model, { at, ids }: Real): Promise<void> {
    const user = this.choice % 2 === 0 ? 'ada' : 'bea';
    await endAll(at.core, 'system', ids.get(user) ?? 0, caller);
    for (const session of model.sessions) if (session.user === user) session.ended = true;
  }
}

class Sweep extends Command {
  async run(_model: Model, { at }: Real): Promise<void> {
    await sweepOnce(at.core);
  }
}

class MoveClock extends Command {
  async run(model: Model, { at }: Real): Promise<void> {
    model.now += this.choice;
    at.clock.advance(this.choice);
  }
}

class CheckAll extends Command {
  async run(model: Model, real: Real): Promise<void> {
    for (const session of model.sessions) await check(model, real, session);
  }
}

const pauses = [1, 9, 10, 11, 1, 9, 10, 11, 59, 60, 61, 3539, 3540, 3541, 3599, 3600, 3601, 43_199, 43_200, 86_401];
const choices = fc.nat(63);

/** What is named twice comes twice as often. */
const commands = [
  choices.map((choice) => new LogIn(choice)),
  choices.map((choice) => new Check(choice)),
  choices.map((choice) => new Refresh(choice)),
  choices.map((choice) => new Refresh(choice)),
  choices.map((choice) => new RefreshAgain(choice)),
  choices.map((choice) => new RefreshAgain(choice)),
  choices.map((choice) => new LogOut(choice)),
  fc.constantFrom(...pauses).map((seconds) => new MoveClock(seconds)),
  fc.constantFrom(...pauses).map((seconds) => new MoveClock(seconds)),
  fc.constantFrom(new EndAll(0), new EndAll(1), new Sweep(), new Sweep()),
];

let at: TestCore;
let ids: Map<string, number>;
beforeAll(async () => {
  at = await openTestCore();
  ids = new Map();
  for (const login of ['ada', 'bea']) ids.set(login, await addUser(at, { login }));
});
afterAll(() => at.close());

test('SES-04, SES-06, TOK-05, I2, I4: whatever is done in whatever order, the core answers as the dossier’s sessions would', async () => {
  const run = async (cmds: Iterable<fc.AsyncCommand<Model, Real>>): Promise<void> => {
    const model: Model = { now: at.clock.nowMs / 1000, sessions: [] };
    await fc.asyncModelRun(() => ({ model, real: { at, ids } }), cmds);
    await new CheckAll().run(model, { at, ids });
  };
  await fc.assert(fc.asyncProperty(fc.commands(commands, commandLists(50)), run), tries(50));
}, 60_000);
