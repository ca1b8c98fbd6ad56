import { type Db, readUser } from '../store/users.ts';
import { mayAdminister, mayAdministerOthers, mayRead } from './access.ts';
import { type SessionContext, toUserFacts, type UserFacts } from './context.ts';
import type { Core } from './core.ts';
import { CoreError } from './errors.ts';

/** Who asks for a change: somebody signed in, or whoever holds the machine (the command line). */
export type Actor = SessionContext | 'system';

/** Id for audit and `created_by`; null for the system. */
export function actorId(actor: Actor): number | null {
  return actor === 'system' ? null : actor.user.id;
}

/**
 * The target of an administrative operation, if the actor may administer it. The order of refusals keeps ids from being probed
 * (ECGrid contract, 8.2): who administers nobody is refused without a look; then missing and invisible are one answer.
 * @throws CoreError `access_denied`, `user_not_found`
 */
export async function requireAdministrable(
  core: Core,
  actor: Actor,
  targetId: number,
  rule: { readonly orSelf?: boolean; readonly notSelf?: boolean } = {},
): Promise<UserFacts> {
  const self = actor !== 'system' && actor.user.id === targetId;
  if (actor !== 'system' && !self && !mayAdministerOthers(actor.user)) throw new CoreError('access_denied');
  const target = await requireReadable(core, actor, targetId);
  if (actor === 'system' || (self && rule.orSelf === true)) return target;
  if ((self && rule.notSelf === true) || !mayAdminister(actor.user, target)) throw new CoreError('access_denied');
  return target;
}

/** The target, if the actor may see it. @throws CoreError `user_not_found`, for a missing and for an invisible user alike */
export async function requireReadable(core: Core, actor: Actor, targetId: number): Promise<UserFacts> {
  const target = await readUserFacts(core.store.checks, targetId);
  if (target === null || (actor !== 'system' && !mayRead(actor.user, target))) throw new CoreError('user_not_found');
  return target;
}

export async function readUserFacts(db: Db, id: number): Promise<UserFacts | null> {
  const row = await readUser(db, id);
  return row === undefined ? null : toUserFacts(row);
}
