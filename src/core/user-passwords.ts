import { updateUser } from '../store/users.ts';
import { type Actor, actorId, changeTarget, factsOf, requireAdministrable } from './actors.ts';
import { record } from './audit.ts';
import type { CallerFacts, SessionContext } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import { withCurrentPassword } from './current-password.ts';
import { newPasswordFault, normalizePassword } from './passwords.ts';
import { endAllSessions } from './sessions.ts';
import { forgetFailures } from './throttle.ts';

/**
 * Judges a new password by the policy.
 * @returns the normalised password, ready to be hashed
 * @throws CoreError `input_invalid` for `field` with the rule it breaks
 */
export async function requireGoodPassword(
  core: Core,
  field: string,
  password: string,
  user: { readonly login: string; readonly email: string },
): Promise<string> {
  const { policy } = core;
  const fault = await newPasswordFault(password, {
    minLength: policy.passwordMinLength,
    composition: policy.passwordComposition,
    blocked: core.blocklist,
    login: user.login,
    email: user.email,
    host: policy.host,
  });
  const normalized = normalizePassword(password);
  if (fault !== null || normalized === null) {
    throw new CoreError('input_invalid', { field, reason: fault ?? 'is not a usable password' });
  }
  return normalized;
}

export type PasswordChange = {
  readonly currentPassword: string;
  readonly newPassword: string;
  /** The user's other sessions go on (a setting of the ECGrid contract). */
  readonly keepSessions: boolean;
};

/**
 * Changes one's own password. The presenting session goes on, the others end everywhere; API keys stay.
 * @throws CoreError `current_password_wrong`, `throttled`, `input_invalid` for `newPassword`
 */
export async function changePassword(
  core: Core,
  context: SessionContext,
  change: PasswordChange,
  caller: CallerFacts,
): Promise<void> {
  const { user } = context;
  const newPassword = await requireGoodPassword(core, 'newPassword', change.newPassword, user);
  const currentPassword = normalizePassword(change.currentPassword);
  if (newPassword === currentPassword) {
    throw new CoreError('input_invalid', { field: 'newPassword', reason: 'must differ from the current password' });
  }
  const who = { userId: user.id, login: user.login, caller };
  const hash = () => core.hasher.hash(newPassword);
  await withCurrentPassword(core, who, currentPassword, hash, async (trx, newHash) => {
    await updateUser(trx, user.id, { ...storedPassword(newHash), ...stampOf(core, user.id) });
    const own = context.session === null ? undefined : { id: context.session.id };
    await endAllSessions(trx, core, user.id, 'password_changed', change.keepSessions ? {} : own);
    await record(trx, core, 'password.changed', { actorId: user.id, targetId: user.id, caller });
  });
}

/**
 * Sets another user's password; all that user's sessions end.
 * @throws CoreError `access_denied`, `user_not_found`, `input_invalid` for `newPassword`
 */
export async function setPassword(
  core: Core,
  actor: Actor,
  userId: number,
  newPassword: string,
  caller: CallerFacts,
  options: { readonly changeDue?: boolean } = {},
): Promise<void> {
  // Judged before hashing, to spare the work, and again by `changeTarget`, with the row held.
  const rule = { notSelf: true };
  const seen = await requireAdministrable(core.store.checks, factsOf(actor), userId, rule);
  const newHash = await core.hasher.hash(await requireGoodPassword(core, 'newPassword', newPassword, seen));
  await changeTarget(core, actor, userId, rule, async (trx, target) => {
    const due = { password_change_due: options.changeDue === true ? 1 : 0 };
    await updateUser(trx, userId, { ...storedPassword(newHash), ...due, ...stampOf(core, actorId(actor)) });
    await forgetFailures(trx, [target.login, target.email]);
    await endAllSessions(trx, core, userId, 'password_set');
    await record(trx, core, 'password.set', { actorId: actorId(actor), targetId: userId, caller });
  });
}

/**
 * Ends all of a user's sessions everywhere and lifts the lock of too many wrong passwords; keys stay.
 * @throws CoreError `access_denied`, `user_not_found`
 */
export function resetUser(core: Core, actor: Actor, userId: number, caller: CallerFacts): Promise<void> {
  return changeTarget(core, actor, userId, { orSelf: true }, async (trx, target) => {
    await updateUser(trx, userId, { failed_passwords: 0 });
    await forgetFailures(trx, [target.login, target.email]);
    await endAllSessions(trx, core, userId, 'reset');
    await record(trx, core, 'user.reset', { actorId: actorId(actor), targetId: userId, caller });
  });
}

/** A password that was just chosen: it does not expire, and nothing more is due. */
function storedPassword(hash: string) {
  return { password_hash: hash, password_expires_at: null, password_change_due: 0, failed_passwords: 0 };
}

function stampOf(core: Core, writerId: number | null) {
  return { updated_at: nowSeconds(core), updated_by: writerId };
}
