import { transact } from '../store/open.ts';
import * as store from '../store/throttle.ts';
import { countFailedPassword, type Db } from '../store/users.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import { normalizeName } from './passwords.ts';
import { sha256 } from './tokens.ts';

/** Wrong passwords in a row after which password sign-in of a user is off until a reset. */
export const lockAfterFailures = 100;

const longFailures = 30;
const longWaitMs = 15 * 60_000;
const longestShortWaitMs = 60_000;
const knownAddressWaitMs = 30_000;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Who tries to sign in, as far as it is known before the password is looked at. */
export type TryFacts = {
  /** The name in its canonical form, whether a user has it or not. */
  readonly nameKey: string;
  readonly address: string;
  /** The user the name stands for, if any. */
  readonly userId: number | null;
};

/** A try that was admitted and counted as a failure in advance; it must be closed. */
export type AdmittedTry = {
  /** Takes the failure back, in the transaction that signs in. */
  forgive(trx: Db): Promise<void>;
  /** Lets those go on who wait for the outcome of this try. */
  close(): void;
};

/** Tries under way in this process, by what they are counted under. */
type Pending = Map<string, Set<Promise<void>>>;
const pendingOf = new WeakMap<Core, Pending>();

/**
 * Admits one password try, counting it as a failure before the password is looked at, so that no number of parallel tries gets
 * more than the allowance evaluated. A refused try counts nothing and lengthens nothing. While other tries under the same count
 * are still being evaluated a refusal waits for their outcome: a burst of right passwords is not a burst of failures.
 * @throws CoreError `throttled` with the true wait
 */
export async function admitTry(core: Core, facts: TryFacts): Promise<AdmittedTry> {
  const pending = pendingOf.get(core) ?? new Map<string, Set<Promise<void>>>();
  pendingOf.set(core, pending);
  const subjects = subjectsOf(facts);
  for (;;) {
    try {
      await transact(core.store, (trx) => countTry(trx, core, facts));
      return openTry(core, pending, subjects, facts);
    } catch (error) {
      const others = subjects.flatMap((subject) => [...(pending.get(subject) ?? [])]);
      if (!(error instanceof CoreError) || others.length === 0) throw error;
      await Promise.race(others);
    }
  }
}

function subjectsOf(facts: TryFacts): string[] {
  return [nameSubjectOf(facts.nameKey), `minute:${facts.address}`, `hour:${facts.address}`];
}

/** Forgets what was counted under these names; what was counted under addresses stays. */
export async function forgetFailures(trx: Db, names: readonly string[]): Promise<void> {
  for (const name of names) await store.forgetSubject(trx, nameSubjectOf(normalizeName(name)));
}

function nameSubjectOf(nameKey: string): string {
  return `name:${sha256(nameKey)}`;
}

function openTry(core: Core, pending: Pending, subjects: readonly string[], facts: TryFacts): AdmittedTry {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const subject of subjects) pending.set(subject, (pending.get(subject) ?? new Set()).add(promise));
  const [name, ...windows] = subjects as [string, ...string[]];
  return {
    async forgive(trx) {
      await store.forgetSubject(trx, name);
      for (const window of windows) await store.refundSubject(trx, window);
      if (facts.userId !== null) await store.recordKnownLogin(trx, facts.userId, facts.address, nowSeconds(core));
    },
    close() {
      for (const subject of subjects) {
        const others = pending.get(subject);
        others?.delete(promise);
        if (others?.size === 0) pending.delete(subject);
      }
      resolve();
    },
  };
}

/**
 * Judges and counts in one transaction. Rows are locked in one order everywhere, so that two tries never wait for each other: first
 * the user, as the transaction that signs in does, then the subjects. What is counted here too early a refusal rolls back.
 */
async function countTry(trx: Db, core: Core, facts: TryFacts): Promise<void> {
  const { policy } = core;
  const nowMs = core.clock();
  if (facts.userId !== null) await countFailedPassword(trx, facts.userId, lockAfterFailures);
  const [nameSubject, minuteSubject, hourSubject] = subjectsOf(facts) as [string, string, string];
  const name = await store.lockSubject(trx, nameSubject, nowMs);
  const minute = windowAt(await store.lockSubject(trx, minuteSubject, nowMs), minuteMs, nowMs);
  const hour = windowAt(await store.lockSubject(trx, hourSubject, nowMs), hourMs, nowMs);
  const waitMs = Math.max(
    windowWaitMs(minute, minuteMs, policy.throttleAddressPerMinute, nowMs),
    windowWaitMs(hour, hourMs, policy.throttleAddressPerHour, nowMs),
    await excuseKnownAddress(trx, facts, nameWaitMs(name, policy.throttleFreeTries, nowMs), nowMs),
  );
  if (waitMs > 0) throw new CoreError('throttled', { retryAfterSeconds: Math.ceil(waitMs / 1000) });
  for (const row of [name, minute, hour]) {
    await store.writeSubject(trx, { ...row, failures: row.failures + 1, last_ms: nowMs });
  }
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
  const known = await store.readKnownAddress(trx, facts.userId, facts.address);
  if (known === undefined) return waitMs;
  const knownWaitMs = remainingMs(known.last_try_ms, knownAddressWaitMs, nowMs);
  if (knownWaitMs > 0) return Math.min(waitMs, knownWaitMs);
  await store.recordKnownTry(trx, facts.userId, facts.address, nowMs);
  return 0;
}
