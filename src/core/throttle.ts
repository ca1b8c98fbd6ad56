import * as store from '../store/throttle.ts';
import { countFailedPassword, type Db, takeBackFailedPassword } from '../store/users.ts';
import { addressKey } from './address-key.ts';
import { change } from './change.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import { normalizeName } from './passwords.ts';
import { sha256 } from './tokens.ts';
import { takeTurn } from './turns.ts';

/** Wrong passwords in a row after which password sign-in of a user is off until a reset. */
const lockAfterFailures = 100;

const longFailures = 30;
const longWaitMs = 15 * 60_000;
const longestShortWaitMs = 60_000;
const knownAddressWaitMs = 30_000;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** How long a try waits, at most, for those of its name that are being evaluated. */
const longestTurnMs = 1_000;
/** How long a try without a verdict waits for its count: with the second that the store had before, less than a request may take. */
const takeBackLimitMs = 100;

/** Who tries to sign in, as far as it is known before anything secret is looked at. */
export type TryFacts = {
  /** The name in its canonical form, whether a user has it or not. */
  readonly nameKey: string;
  readonly address: string;
  /** The user the name stands for, if any. */
  readonly userId: number | null;
  /** A password counts towards the user's lock; an API key, which nobody guesses, does not. */
  readonly secret: 'password' | 'api_key';
};

/** A try that was admitted and counted as a failure in advance. */
export type AdmittedTry = {
  /** The user had too many wrong passwords in a row before this try: no password is right. */
  readonly locked: boolean;
  /** Takes the failure back and starts the name anew, in the transaction that signs in. */
  forgive(trx: Db): Promise<void>;
};

type Subjects = { readonly name: string; readonly minute: string; readonly hour: string };

/**
 * Admits one try and has it judged. The try is counted as a failure before the secret is looked at, so that no number of parallel
 * tries gets more than the allowance evaluated; a refused one counts nothing and lengthens nothing. Only as many tries of a name
 * as are free run at a time, the others wait shortly and in line: a burst of right passwords is not a burst of failures. A `judge`
 * that throws has come to no verdict, and its try is taken back.
 * @throws CoreError `throttled` with the true wait, `unavailable` when no more can be hashed, and whatever `judge` throws
 */
export async function withTry<T>(
  core: Core,
  facts: TryFacts,
  judge: (admitted: AdmittedTry) => Promise<T>,
): Promise<T> {
  const subjects = subjectsOf(facts);
  const leave = await takeTurn(core.loginTurns, subjects.name, core.policy.throttleFreeTries, longestTurnMs);
  // Those in front use up the free tries, and the first wait after them is a second.
  if (leave === null) throw new CoreError('throttled', { retryAfterSeconds: 1 });
  try {
    // Counting a try and taking it back are two flushes of the disk: a flood that is refused anyway must not cost them.
    const leaveLane = facts.secret === 'password' ? core.hasher.enter() : undefined;
    try {
      return await countAndJudge(core, facts, subjects, judge);
    } finally {
      leaveLane?.();
    }
  } finally {
    leave();
  }
}

async function countAndJudge<T>(
  core: Core,
  facts: TryFacts,
  subjects: Subjects,
  judge: (admitted: AdmittedTry) => Promise<T>,
): Promise<T> {
  const locked = await change(core, (trx) => countTry(trx, core, facts, subjects), 'nobody');
  const admitted = { locked, forgive: (trx: Db) => forgive(trx, core, facts, subjects) };
  return judgeCounted(core, facts, subjects, admitted, judge);
}

async function judgeCounted<T>(
  core: Core,
  facts: TryFacts,
  subjects: Subjects,
  admitted: AdmittedTry,
  judge: (admitted: AdmittedTry) => Promise<T>,
): Promise<T> {
  try {
    return await judge(admitted);
  } catch (error) {
    // It ends behind the answer when it takes longer: a store that stands still is not waited for twice.
    await Promise.race([takeBack(core, facts, subjects), Bun.sleep(takeBackLimitMs)]);
    throw error;
  }
}

function subjectsOf({ nameKey, address }: TryFacts): Subjects {
  const key = addressKey(address);
  return { name: nameSubjectOf(nameKey), minute: `minute:${key}`, hour: `hour:${key}` };
}

function nameSubjectOf(nameKey: string): string {
  return `name:${sha256(nameKey)}`;
}

/**
 * Judges and counts in one transaction. Rows are taken in one order everywhere (user, name, minute, hour), so that two sign-ins
 * never wait for each other.
 * @returns whether the user was locked before this try
 * @throws CoreError `throttled`
 */
async function countTry(trx: Db, core: Core, facts: TryFacts, subjects: Subjects): Promise<boolean> {
  const { policy } = core;
  const nowMs = core.clock();
  const counts = facts.secret === 'password' && facts.userId !== null;
  const locked = counts && !(await countFailedPassword(trx, facts.userId as number, lockAfterFailures));
  const name = await store.lockSubject(trx, subjects.name, nowMs);
  const minute = windowAt(await store.lockSubject(trx, subjects.minute, nowMs), minuteMs, nowMs);
  const hour = windowAt(await store.lockSubject(trx, subjects.hour, nowMs), hourMs, nowMs);
  refuseIf(windowWaitMs(minute, minuteMs, policy.throttleAddressPerMinute, nowMs));
  refuseIf(windowWaitMs(hour, hourMs, policy.throttleAddressPerHour, nowMs));
  const nameMs = nameWaitMs(name, policy.throttleFreeTries, nowMs);
  refuseIf(await excuseKnownAddress(trx, facts, nameMs, nowMs));
  for (const row of [name, minute, hour]) {
    await store.writeSubject(trx, { ...row, failures: row.failures + 1, last_ms: nowMs });
  }
  return locked;
}

function refuseIf(waitMs: number): void {
  if (waitMs > 0) throw new CoreError('throttled', { retryAfterSeconds: Math.ceil(waitMs / 1000) });
}

async function forgive(trx: Db, core: Core, facts: TryFacts, subjects: Subjects): Promise<void> {
  await store.forgetSubject(trx, subjects.name);
  await store.refundSubject(trx, subjects.minute);
  await store.refundSubject(trx, subjects.hour);
  if (facts.userId === null) return;
  await store.recordKnownLogin(trx, facts.userId, addressKey(facts.address), nowSeconds(core));
}

/** What was never judged was no wrong password. A store in trouble leaves the count as it is, which errs on the safe side. */
async function takeBack(core: Core, facts: TryFacts, subjects: Subjects): Promise<void> {
  try {
    const work = async (trx: Db) => {
      if (facts.secret === 'password' && facts.userId !== null) await takeBackFailedPassword(trx, facts.userId);
      for (const subject of Object.values(subjects)) await store.refundSubject(trx, subject);
    };
    await change(core, work, 'nobody');
  } catch (error) {
    core.log.warn('throttle.not_taken_back', { error });
  }
}

/** Forgets what was counted under these names; what was counted under addresses stays. */
export async function forgetFailures(trx: Db, names: readonly string[]): Promise<void> {
  for (const name of names) await store.forgetSubject(trx, nameSubjectOf(normalizeName(name)));
}

/** Free tries, then 1, 2, 4 … 60 s, from 30 failures on 15 min (reliability.md, section 6). */
function nameWaitMs(row: store.ThrottleRow, freeTries: number, nowMs: number): number {
  if (row.failures < freeTries) return 0;
  const shortMs = Math.min(longestShortWaitMs, 1000 * 2 ** (row.failures - freeTries));
  return remainingMs(row.last_ms, row.failures >= longFailures ? longWaitMs : shortMs, nowMs);
}

/** The counter as of now: one whose window has passed starts anew. */
function windowAt(row: store.ThrottleRow, lengthMs: number, nowMs: number): store.ThrottleRow {
  return remainingMs(row.since_ms, lengthMs, nowMs) > 0 ? row : { ...row, failures: 0, since_ms: nowMs };
}

function windowWaitMs(row: store.ThrottleRow, lengthMs: number, limit: number, nowMs: number): number {
  return row.failures < limit ? 0 : remainingMs(row.since_ms, lengthMs, nowMs);
}

/** A clock that was set back far does not lock anybody out: a distance counts whichever way it points. */
function remainingMs(sinceMs: number, lengthMs: number, nowMs: number): number {
  return Math.max(0, lengthMs - Math.abs(nowMs - sinceMs));
}

/** Flooding a name must not lock its owner out: where the user signed in before, one try per 30 s stays open. */
async function excuseKnownAddress(trx: Db, facts: TryFacts, waitMs: number, nowMs: number): Promise<number> {
  if (waitMs === 0 || facts.userId === null) return waitMs;
  const address = addressKey(facts.address);
  const known = await store.readKnownAddress(trx, facts.userId, address);
  if (known === undefined) return waitMs;
  const knownWaitMs = remainingMs(known.last_try_ms, knownAddressWaitMs, nowMs);
  if (knownWaitMs > 0) return Math.min(waitMs, knownWaitMs);
  await store.recordKnownTry(trx, facts.userId, address, nowMs);
  return 0;
}
