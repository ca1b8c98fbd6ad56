import { claimIdentifier, nextIdentifier } from '../store/identifiers.ts';
import type { UsersTable } from '../store/schema.ts';
import * as store from '../store/users.ts';
import { type AuthLevel, isLiveStatus, liveStatuses, reaches, readableUsers, type Status } from './access.ts';
import {
  type Actor,
  actorId,
  changeTarget,
  factsOf,
  type PresentActor,
  readPresentActor,
  readUserFacts,
  requireReadable,
} from './actors.ts';
import { type AuditEvent, record } from './audit.ts';
import { change } from './change.ts';
import { type CallerFacts, toUserFacts, type UserFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import {
  isNameLike,
  requireFreeEmail,
  requireFreeLogin,
  requireUsableEmail,
  requireUsableLogin,
  requireUsableName,
} from './names.ts';
import { normalizeName } from './passwords.ts';
import { judgePlace, type Place, type PlaceChanges, requireOwnNetwork, requirePlace, writePlace } from './places.ts';
import { endAllSessions } from './sessions.ts';
import { requireGoodPassword } from './user-passwords.ts';

export type NewUser = {
  readonly login: string;
  readonly email: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly authLevel: AuthLevel;
  readonly place: Place;
  /** After this instant (seconds) the first password no longer signs in. */
  readonly passwordExpiresAt?: number;
  /** The user must change the password before anything else. */
  readonly passwordChangeDue?: boolean;
};

/**
 * Writes a new user.
 * @throws CoreError `access_denied`, `input_invalid`, `login_taken`, `email_taken`
 */
export async function createUser(
  core: Core,
  actor: Actor,
  user: NewUser & { readonly password: string },
  caller: CallerFacts,
): Promise<UserFacts> {
  requireUsableLogin(user.login);
  requireUsableEmail(user.email);
  requireUsableName('firstName', user.firstName);
  requireUsableName('lastName', user.lastName);
  requireCreationRight(factsOf(actor), user);
  await requirePlace(core.store.checks, user.place);
  const passwordHash = await core.hasher.hash(await requireGoodPassword(core, 'password', user.password, user));
  return change(core, async (trx) => {
    // Hashing took its time: the right is judged again where it is used.
    requireCreationRight(await readPresentActor(trx, actor), user);
    return writeUserWithin(trx, core, actorId(actor), user, { passwordHash }, caller);
  });
}

function requireCreationRight(actor: PresentActor, user: NewUser): void {
  if (actor === 'system') return;
  if (!reaches(actor.authLevel, 'NetworkAdmin')) throw new CoreError('access_denied');
  if (!reaches(actor.authLevel, user.authLevel)) throw new CoreError('access_denied');
  requireOwnNetwork(actor, user.place.organizationId);
}

/** What only a demo or an import chooses beside the user's own facts. */
export type ImportedFacts = {
  readonly passwordHash: string | null;
  readonly id?: number;
  readonly createdAt?: number;
  readonly updatedAt?: number;
  readonly writtenBy?: number;
};

/** Writes the row, the primary membership and the audit event. @throws CoreError `login_taken`, `email_taken` */
export function writeUser(
  core: Core,
  writerId: number | null,
  user: NewUser,
  imported: ImportedFacts,
  caller: CallerFacts,
): Promise<UserFacts> {
  return change(core, (trx) => writeUserWithin(trx, core, writerId, user, imported, caller));
}

/** `writeUser` as part of a larger change. */
export async function writeUserWithin(
  trx: store.Db,
  core: Core,
  writerId: number | null,
  user: NewUser,
  imported: ImportedFacts,
  caller: CallerFacts,
): Promise<UserFacts> {
  await store.lockRule(trx, core.store.engine, 'names');
  await requireFreeLogin(trx, user.login);
  await requireFreeEmail(trx, user.email, null);
  const id = imported.id ?? (await nextIdentifier(trx, 'users'));
  if (imported.id !== undefined) await claimIdentifier(trx, 'users', id);
  await store.insertUser(trx, toRow(id, user, imported, imported.writtenBy ?? writerId, nowSeconds(core)));
  await writePlace(trx, id, user.place);
  await record(trx, core, 'user.created', { actorId: writerId, targetId: id, caller });
  return requireFacts(trx, id);
}

function toRow(id: number, user: NewUser, imported: ImportedFacts, writerId: number | null, now: number): UsersTable {
  return {
    id,
    login: user.login,
    login_key: normalizeName(user.login),
    email: user.email,
    email_key: normalizeName(user.email),
    first_name: user.firstName,
    last_name: user.lastName,
    auth_level: user.authLevel,
    status: 'Active',
    password_hash: imported.passwordHash,
    password_expires_at: user.passwordExpiresAt ?? null,
    password_change_due: user.passwordChangeDue === true ? 1 : 0,
    failed_passwords: 0,
    session_generation: 0,
    created_at: imported.createdAt ?? now,
    created_by: writerId,
    updated_at: imported.updatedAt ?? imported.createdAt ?? now,
    updated_by: writerId,
  };
}

async function requireFacts(trx: store.Db, id: number): Promise<UserFacts> {
  const facts = await readUserFacts(trx, id);
  if (facts === null) throw new CoreError('user_not_found');
  return facts;
}

/** One user, if the actor may see it. @throws CoreError `user_not_found` */
export function getUser(core: Core, actor: Actor, id: number): Promise<UserFacts> {
  return requireReadable(core.store.checks, factsOf(actor), id);
}

export type UserQuery = {
  readonly id?: number;
  readonly login?: string;
  readonly organizationId?: number;
  readonly mailboxId?: number;
  readonly authLevel?: AuthLevel;
  readonly status?: Status;
  /** From 1. */
  readonly page: number;
  readonly perPage: number;
};

/** One page of the users that the actor may see, by id. */
export async function listUsers(core: Core, actor: Actor, query: UserQuery): Promise<UserFacts[]> {
  const { login, page, perPage, ...filter } = query;
  const reach = actor === 'system' ? 'all' : readableUsers(actor.user);
  const named = login === undefined ? filter : { ...filter, nameKey: normalizeName(login) };
  // Nobody has such a name, and not every database takes it as a value.
  if (login !== undefined && !isNameLike(normalizeName(login))) return [];
  const offset = (page - 1) * perPage;
  const rows = await store.listUsers(core.store.lists, named, reach, { offset, limit: perPage });
  return rows.map(toUserFacts);
}

/** Members that are absent stay as they are. */
export type ProfileChanges = { readonly email?: string; readonly firstName?: string; readonly lastName?: string };

/** Changes e-mail and names: one's own, or those of a user one administers. @throws CoreError as `createUser`, `user_not_found` */
export async function updateProfile(
  core: Core,
  actor: Actor,
  id: number,
  changes: ProfileChanges,
  caller: CallerFacts,
): Promise<UserFacts> {
  const { email, firstName, lastName } = changes;
  if (email !== undefined) requireUsableEmail(email);
  if (firstName !== undefined) requireUsableName('firstName', firstName);
  if (lastName !== undefined) requireUsableName('lastName', lastName);
  const rule = { orSelf: true, ...(email !== undefined && { alone: 'names' as const }) };
  return changeUser(core, actor, id, rule, { event: 'user.updated', caller }, async (trx) => {
    if (email !== undefined) await requireFreeEmail(trx, email, id);
    return {
      ...(email !== undefined && { email, email_key: normalizeName(email) }),
      ...(firstName !== undefined && { first_name: firstName }),
      ...(lastName !== undefined && { last_name: lastName }),
    };
  });
}

/** Moves a user to another organization or mailbox. @throws CoreError `access_denied`, `user_not_found`, `input_invalid` */
export function moveUser(
  core: Core,
  actor: Actor,
  id: number,
  changes: PlaceChanges,
  caller: CallerFacts,
): Promise<UserFacts> {
  return changeUser(core, actor, id, {}, { event: 'user.moved', caller }, async (trx, target, present) => {
    await writePlace(trx, id, await judgePlace(trx, present, target, changes));
    return {};
  });
}

/**
 * Gives a user another level (not one's own, not above one's own), and another place in the same commit.
 * @throws CoreError `access_denied`, `user_not_found`, `input_invalid`, also for the last Root
 */
export function changeRole(
  core: Core,
  actor: Actor,
  id: number,
  changes: PlaceChanges & { readonly authLevel?: AuthLevel },
  caller: CallerFacts,
): Promise<UserFacts> {
  const rule = { notSelf: true, alone: 'roots' } as const;
  return changeUser(core, actor, id, rule, { event: 'user.role_changed', caller }, async (trx, target, present) => {
    const level = changes.authLevel;
    if (present !== 'system' && level !== undefined && !reaches(present.authLevel, level)) {
      throw new CoreError('access_denied');
    }
    if (level !== undefined && level !== 'Root') await requireAnotherRoot(trx, target);
    await writePlace(trx, id, await judgePlace(trx, present, target, changes));
    return level === undefined ? {} : { auth_level: level };
  });
}

/** Lets a user sign in or not. Whoever may not is signed out everywhere. @throws CoreError `user_not_found`, `input_invalid` */
export function setStatus(
  core: Core,
  actor: Actor,
  id: number,
  status: Status,
  caller: CallerFacts,
): Promise<UserFacts> {
  const rule = { notSelf: true, alone: 'roots' } as const;
  return changeUser(core, actor, id, rule, { event: 'user.status_changed', caller }, async (trx, target) => {
    if (isLiveStatus(status)) return { status };
    await requireAnotherRoot(trx, target);
    await endAllSessions(trx, core, id, 'disabled');
    return { status };
  });
}

/**
 * Deletes a user with sessions, keys and memberships; the id is never used again.
 * @throws CoreError `access_denied`, `user_not_found`, `input_invalid` for the last Root
 */
export function deleteUser(core: Core, actor: Actor, id: number, caller: CallerFacts): Promise<void> {
  return changeTarget(core, actor, id, { notSelf: true, alone: 'roots' }, async (trx, target) => {
    await requireAnotherRoot(trx, target);
    await store.deleteUser(trx, id);
    await record(trx, core, 'user.deleted', { actorId: actorId(actor), targetId: id, caller });
  });
}

/** Without any Root user nobody could ever administer the installation again. The caller holds the rule `roots`. */
async function requireAnotherRoot(trx: store.Db, user: UserFacts): Promise<void> {
  if (user.authLevel !== 'Root' || !isLiveStatus(user.status)) return;
  if ((await store.countUsers(trx, 'Root', liveStatuses)) > 1) return;
  throw new CoreError('input_invalid', { field: 'id', reason: 'is the last Root user' });
}

type ChangeWork = (trx: store.Db, target: UserFacts, present: PresentActor) => Promise<Partial<UsersTable>>;

/** `changeTarget` for the user's record: stamp and audit with the change; the user as it is then. */
function changeUser(
  core: Core,
  actor: Actor,
  id: number,
  rule: Parameters<typeof changeTarget>[3],
  { event, caller }: { readonly event: AuditEvent; readonly caller: CallerFacts },
  work: ChangeWork,
): Promise<UserFacts> {
  return changeTarget(core, actor, id, rule, async (trx, target, present) => {
    const changes = await work(trx, target, present);
    await store.updateUser(trx, id, { ...changes, updated_at: nowSeconds(core), updated_by: actorId(actor) });
    await record(trx, core, event, { actorId: actorId(actor), targetId: id, caller });
    return requireFacts(trx, id);
  });
}
