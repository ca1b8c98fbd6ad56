import { afterAll, beforeAll, expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { callerFrom, openTestCore, signIn, type TestCore } from '../../tests/support/core.ts';
import { commandLists, tries } from '../../tests/support/seeds.ts';
import { addUser, setUserStatus, testPassword } from '../../tests/support/users.ts';
import { CoreError, endAll, resetUser } from './index.ts';

/** What the reliability page says of the throttle, in seconds: the whole of what the model knows. */
const freeTries = 5;
const longFailures = 30;
const longWait = 900;
const longestShortWait = 60;
const lockFailures = 100;
const knownWait = 30;
const windows = [
  { seconds: 60, limit: 20 },
  { seconds: 3_600, limit: 200 },
] as const;

type Window = { since: number; failures: number };
type ModelUser = {
  readonly id: number | null;
  readonly login: string;
  /** In a row, under any spelling, until a success or a reset. */
  wrong: number;
  /** Of the name as typed. */
  failures: number;
  lastAt: number;
  active: boolean;
  /** Addresses with a success, and when the one try of each was last spent. */
  readonly known: Map<string, number>;
};
type Model = { now: number; readonly users: ModelUser[]; readonly addresses: Map<string, [Window, Window]> };
type Real = TestCore;

type Verdict = { readonly word: 'ok' | 'login_refused' | 'throttled'; readonly wait: number };

/** One try, judged by the model alone. Nothing is counted for a try that is told to wait. */
function judge(model: Model, user: ModelUser, address: string, isRight: boolean): Verdict {
  const counted = model.addresses.get(address) ?? [newWindow(model), newWindow(model)];
  const now = counted.map((window, at) =>
    model.now - window.since >= (windows[at]?.seconds ?? 0) ? newWindow(model) : window,
  ) as [Window, Window];
  for (const [at, { seconds, limit }] of windows.entries()) {
    const window = now[at] as Window;
    if (window.failures >= limit) return { word: 'throttled', wait: Math.ceil(window.since + seconds - model.now) };
  }
  const wait = waitOf(model, user, address);
  if (wait > 0) return { word: 'throttled', wait: Math.ceil(wait) };
  const isLocked = user.wrong >= lockFailures;
  const isIn = isRight && user.id !== null && user.active && !isLocked;
  model.addresses.set(address, now);
  if (isIn) {
    user.wrong = 0;
    user.failures = 0;
    if (!user.known.has(address)) user.known.set(address, Number.NEGATIVE_INFINITY);
    return { word: 'ok', wait: 0 };
  }
  for (const window of now) window.failures += 1;
  user.failures += 1;
  user.lastAt = model.now;
  if (!isLocked) user.wrong += 1;
  return { word: 'login_refused', wait: 0 };
}

function newWindow({ now }: Model): Window {
  return { since: now, failures: 0 };
}

/** Free tries, then 1, 2, 4 … 60 s, from 30 failures on 15 min; where the user signed in before, one try per 30 s. */
function waitOf(model: Model, user: ModelUser, address: string): number {
  if (user.failures < freeTries) return 0;
  const short = Math.min(longestShortWait, 2 ** (user.failures - freeTries));
  const wait = user.lastAt + (user.failures >= longFailures ? longWait : short) - model.now;
  const spentAt = user.known.get(address);
  if (wait <= 0 || spentAt === undefined) return Math.max(wait, 0);
  const knownLeft = spentAt + knownWait - model.now;
  if (knownLeft > 0) return Math.min(wait, knownLeft);
  user.known.set(address, model.now);
  return 0;
}

async function ask(real: Real, user: ModelUser, address: string, isRight: boolean): Promise<Verdict> {
  try {
    const password = isRight ? testPassword : 'not the password';
    await signIn(real.core, user.login, { password, caller: callerFrom(address) });
    return { word: 'ok', wait: 0 };
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    return { word: error.code as Verdict['word'], wait: error.detail.retryAfterSeconds ?? 0 };
  }
}

type Act = (model: Model, real: Real, choice: number) => Promise<void>;
const addresses = ['192.0.2.1', '192.0.2.2', '198.51.100.7'];
const userOf = (model: Model, choice: number) => model.users[choice % model.users.length] as ModelUser;
const addressOf = (choice: number) => addresses[(choice >> 3) % addresses.length] ?? '';

async function tryOnce(model: Model, real: Real, choice: number, isRight: boolean): Promise<void> {
  const [user, address] = [userOf(model, choice), addressOf(choice)];
  const evaluated = real.core.hasher.evaluated();
  const expected = judge(model, user, address, isRight);
  expect(await ask(real, user, address, isRight)).toEqual(expected);
  // A throttled try is never hashed; any other costs exactly one, whatever its cause.
  expect(real.core.hasher.evaluated() - evaluated).toBe(expected.word === 'throttled' ? 0 : 1);
}

const acts: Readonly<Record<string, Act>> = {
  wrong: (model, real, choice) => tryOnce(model, real, choice, false),
  right: (model, real, choice) => tryOnce(model, real, choice, true),
  wrongTenTimes: async (model, real, choice) => {
    for (let count = 0; count < 10; count += 1) {
      await tryOnce(model, real, choice, false);
      await acts['wait']?.(model, real, choice);
    }
  },
  wait: async (model, real, choice) => {
    const seconds = [1, 2, 4, 16, 29, 30, 31, 59, 60, 61, 899, 900, 3_599, 3_600][(choice >> 5) % 14] ?? 1;
    model.now += seconds;
    real.clock.advance(seconds);
  },
  reset: async (model, real, choice) => {
    const user = userOf(model, choice);
    if (user.id === null) return;
    await resetUser(real.core, 'system', user.id, callerFrom());
    user.wrong = 0;
    user.failures = 0;
  },
  endAll: async (model, real, choice) => {
    const { id } = userOf(model, choice);
    if (id !== null) await endAll(real.core, 'system', id, callerFrom());
  },
  disable: async (model, real, choice) => {
    const user = userOf(model, choice);
    if (user.id === null) return;
    await setUserStatus(real, user.id, user.active ? 'Suspended' : 'Active');
    user.active = !user.active;
  },
};
const often = ['wrong', 'wrong', 'wrong', 'wrong', 'wrongTenTimes', 'wrongTenTimes', 'right', 'wait'];
const commands = [...Object.keys(acts), ...often].map((name) =>
  fc.nat(511).map(
    (choice): fc.AsyncCommand<Model, Real> => ({
      check: () => true,
      run: (model, real) => (acts[name] as Act)(model, real, choice),
      toString: () => `${name}(${choice})`,
    }),
  ),
);

let at: TestCore;
let runs = 0;
beforeAll(async () => {
  at = await openTestCore();
});
afterAll(() => at.close());

async function newUsers(): Promise<ModelUser[]> {
  runs += 1;
  const fresh = { wrong: 0, failures: 0, lastAt: 0, active: true };
  const known = await Promise.all(
    ['ada', 'bea'].map(async (name) => ({
      login: `${name}-${runs}`,
      id: await addUser(at, { login: `${name}-${runs}` }),
    })),
  );
  return [...known, { login: `nobody-${runs}`, id: null }].map((user) => ({ ...user, ...fresh, known: new Map() }));
}

test('AUT-08, AUT-09, AUT-10, AUT-11: whatever is tried in whatever order, the throttle answers as the model, to the second', async () => {
  const run = async (list: Iterable<fc.AsyncCommand<Model, Real>>): Promise<void> => {
    // Windows of the addresses of the run before are over by then.
    at.clock.advance(2 * 3_600);
    const model: Model = { now: at.clock.nowMs / 1_000, users: await newUsers(), addresses: new Map() };
    await fc.asyncModelRun(() => ({ model, real: at }), list);
  };
  await fc.assert(fc.asyncProperty(fc.commands(commands, commandLists(40)), run), tries(12));
}, 120_000);
