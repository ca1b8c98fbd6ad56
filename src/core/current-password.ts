import { type Db, lockUser, readSignIn, type SignInRow } from '../store/users.ts';
import { type AuditEvent, record } from './audit.ts';
import { change } from './change.ts';
import type { CallerFacts } from './context.ts';
import type { Core } from './core.ts';
import { CoreError } from './errors.ts';
import { normalizeName } from './passwords.ts';
import { type AdmittedTry, type TryFacts, withTry } from './throttle.ts';
import { sha256 } from './tokens.ts';

/** Spends one hash whatever the case. */
export async function verifyPassword(
  core: Core,
  user: SignInRow | null,
  password: string,
  admitted: AdmittedTry,
): Promise<'match' | 'mismatch' | 'damaged'> {
  if (user === null || user.password_hash === null || admitted.locked) {
    await core.hasher.verifyDummy(password);
    return 'mismatch';
  }
  const verdict = await core.hasher.verify(password, user.password_hash);
  if (verdict !== 'damaged') return verdict;
  await core.hasher.verifyDummy(password);
  core.log.error('login.damaged_hash', { userId: user.id });
  return 'damaged';
}

/** A refused login is refused whether or not it can be written down: a store in trouble costs the record, and a warning. */
export async function recordFailure(
  core: Core,
  event: AuditEvent,
  tried: TryFacts,
  caller: CallerFacts,
): Promise<void> {
  const detail = { name: sha256(tried.nameKey).slice(0, 8) };
  try {
    const facts = { actorId: null, targetId: tried.userId, caller, detail };
    await change(core, (trx) => record(trx, core, event, facts), 'nobody');
  } catch (error) {
    core.log.warn('audit.not_written', { event, error });
  }
}

/**
 * Judges a signed-in user's current password, counted and throttled like a login, then makes a change with the user's row held.
 * @param password as `normalizePassword` gives it; null is wrong
 * @param prepare what takes time, between the judgement and the transaction: hashing the new password
 * @throws CoreError `current_password_wrong`, `throttled`, `unavailable`
 */
export async function withCurrentPassword<T>(
  core: Core,
  who: { readonly userId: number; readonly login: string; readonly caller: CallerFacts },
  password: string | null,
  prepare: () => Promise<T>,
  write: (trx: Db, prepared: T) => Promise<void>,
): Promise<void> {
  const facts = {
    nameKey: normalizeName(who.login),
    userId: who.userId,
    address: who.caller.address,
    secret: 'password',
  } as const;
  const right = await withTry(core, facts, async (admitted) => {
    const read = (await readSignIn(core.store.checks, who.userId)) ?? null;
    const verdict = password === null ? 'mismatch' : await verifyPassword(core, read, password, admitted);
    if (read === null || verdict !== 'match') return false;
    const prepared = await prepare();
    return change(core, async (trx) => {
      const user = await lockUser(trx, read.id);
      // Another change came first: what was judged is not the current password any more.
      if (user?.session_generation !== read.session_generation) return false;
      await admitted.forgive(trx);
      await write(trx, prepared);
      return true;
    });
  });
  if (right) return;
  await recordFailure(core, 'password.change_failed', facts, who.caller);
  throw new CoreError('current_password_wrong');
}
