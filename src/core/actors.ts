import { type Db, lockRule, lockUser, readUser, type SharedRule } from '../store/users.ts';
import { isLiveStatus, mayAdminister, mayAdministerOthers, mayRead } from './access.ts';
import { change } from './change.ts';
import { type SessionContext, toUserFacts, type UserFacts } from './context.ts';
import type { Core } from './core.ts';
import { CoreError } from './errors.ts';

/** Who asks for a change: somebody signed in, or whoever holds the machine (the command line). */
export type Actor = SessionContext | 'system';

/** The actor as the store has it at this moment. */
export type PresentActor = UserFacts | 'system';

/** Id for audit and `created_by`; null for the system. */
export function actorId(actor: Actor): number | null {
  return actor === 'system' ? null : actor.user.id;
}

/** Who may be the target of a change beside those whom the actor administers. */
export type TargetRule = {
  /** The actor, whatever the actor's level. */
  readonly orSelf?: boolean;
  /** Never the actor. */
  readonly notSelf?: boolean;
};

/**
 * The frame of every change to a user: with the target's row held, the rights of both are judged as they are now, then the work is
 * done, all in one transaction. What was judged earlier in the request only spares work.
 * @param alone a rule over all users that the work judges
 * @throws CoreError `access_denied`, `user_not_found`; `session_invalid` when the actor was disabled or deleted meanwhile
 */
export async function changeTarget<T>(
  core: Core,
  actor: Actor,
  targetId: number,
  rule: TargetRule & { readonly alone?: SharedRule },
  work: (trx: Db, target: UserFacts, present: PresentActor) => Promise<T>,
): Promise<T> {
  refuseHopeless(factsOf(actor), targetId);
  return change(core, async (trx) => {
    if (rule.alone !== undefined) await lockRule(trx, core.store.engine, rule.alone);
    await lockUser(trx, targetId);
    const present = await readPresentActor(trx, actor);
    return work(trx, await requireAdministrable(trx, present, targetId, rule), present);
  });
}

/** @throws CoreError `session_invalid` for somebody who is not there, or not live, any more */
export async function readPresentActor(db: Db, actor: Actor): Promise<PresentActor> {
  if (actor === 'system') return actor;
  const present = await readUserFacts(db, actor.user.id);
  if (present === null || !isLiveStatus(present.status)) throw new CoreError('session_invalid');
  return present;
}

/**
 * The target of an administrative operation, if the actor may administer it. The order of refusals keeps ids from being probed
 * (ECGrid contract, 8.2): who administers nobody is refused without a look; then missing and invisible are one answer.
 * @throws CoreError `access_denied`, `user_not_found`
 */
export async function requireAdministrable(
  db: Db,
  actor: PresentActor,
  targetId: number,
  rule: TargetRule,
): Promise<UserFacts> {
  refuseHopeless(actor, targetId);
  const target = await requireReadable(db, actor, targetId);
  const self = actor !== 'system' && actor.id === targetId;
  if (actor === 'system' || (self && rule.orSelf === true)) return target;
  if ((self && rule.notSelf === true) || !mayAdminister(actor, target)) throw new CoreError('access_denied');
  return target;
}

function refuseHopeless(actor: PresentActor, targetId: number): void {
  if (actor === 'system' || actor.id === targetId || mayAdministerOthers(actor)) return;
  throw new CoreError('access_denied');
}

/** The target, if the actor may see it. @throws CoreError `user_not_found`, for a missing and for an invisible user alike */
export async function requireReadable(db: Db, actor: PresentActor, targetId: number): Promise<UserFacts> {
  const target = await readUserFacts(db, targetId);
  if (target === null || (actor !== 'system' && !mayRead(actor, target))) throw new CoreError('user_not_found');
  return target;
}

export async function readUserFacts(db: Db, id: number): Promise<UserFacts | null> {
  const row = await readUser(db, id);
  return row === undefined ? null : toUserFacts(row);
}

/** The facts of a signed-in actor as of the request, for reads. */
export function factsOf(actor: Actor): PresentActor {
  return actor === 'system' ? actor : actor.user;
}
