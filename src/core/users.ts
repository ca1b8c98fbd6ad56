import { claimIdentifier, nextIdentifier } from '../store/identifiers.ts';
import { transact } from '../store/open.ts';
import type { UsersTable } from '../store/schema.ts';
import * as store from '../store/users.ts';
import { type AuthLevel, liveStatuses, reaches, readableUsers, type Status } from './access.ts';
import { type Actor, actorId, readUserFacts, requireAdministrable, requireReadable } from './actors.ts';
import { type AuditEvent, record } from './audit.ts';
import { type CallerFacts, toUserFacts, type UserFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import {
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
  requireCreationRight(actor, user);
  requireUsableLogin(user.login);
  requireUsableEmail(user.email);
  requireUsableName('firstName', user.firstName);
  requireUsableName('lastName', user.lastName);
  await requirePlace(core.store.checks, user.place);
  const passwordHash = await core.hasher.hash(await requireGoodPassword(core, 'password', user.password, user));
  return writeUser(core, actorId(actor), user, { passwordHash }, caller);
}

function requireCreationRight(actor: Actor, user: NewUser): void {
  if (actor === 'system') return;
  if (!reaches(actor.user.authLevel, 'NetworkAdmin')) throw new CoreError('access_denied');
  if (!reaches(actor.user.authLevel, user.authLevel)) throw new CoreError('access_denied');
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
  return transact(core.store, (trx) => writeUserWithin(trx, core, writerId, user, imported, caller));
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
  await store.lockNames(trx, core.store.engine);
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
  return requireReadable(core, actor, id);
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
  await requireAdministrable(core, actor, id, { orSelf: true });
  if (changes.email !== undefined) requireUsableEmail(changes.email);
  if (changes.firstName !== undefined) requireUsableName('firstName', changes.firstName);
  if (changes.lastName !== undefined) requireUsableName('lastName', changes.lastName);
  return changeUser(core, actor, id, 'user.updated', caller, async (trx) => {
    await store.lockNames(trx, core.store.engine);
    if (changes.email !== undefined) await requireFreeEmail(trx, changes.email, id);
    return {
      ...(changes.email !== undefined && { email: changes.email, email_key: normalizeName(changes.email) }),
      ...(changes.firstName !== undefined && { first_name: changes.firstName }),
      ...(changes.lastName !== undefined && { last_name: changes.lastName }),
    };
  });
}

/** Moves a user to another organization or mailbox. @throws CoreError `access_denied`, `user_not_found`, `input_invalid` */
export async function moveUser(
  core: Core,
  actor: Actor,
  id: number,
  changes: PlaceChanges,
  caller: CallerFacts,
): Promise<UserFacts> {
  const target = await requireAdministrable(core, actor, id);
  const place = await judgePlace(core, actor, target, changes);
  return changeUser(core, actor, id, 'user.moved', caller, async (trx) => {
    await writePlace(trx, id, place);
    return {};
  });
}

/** Gives a user another level (not one's own, not above one's own), and another place in the same commit. */
export async function changeRole(
  core: Core,
  actor: Actor,
  id: number,
  changes: PlaceChanges & { readonly authLevel?: AuthLevel },
  caller: CallerFacts,
): Promise<UserFacts> {
  const target = await requireAdministrable(core, actor, id, { notSelf: true });
  const level = changes.authLevel ?? target.authLevel;
  if (actor !== 'system' && !reaches(actor.user.authLevel, level)) throw new CoreError('access_denied');
  const place = await judgePlace(core, actor, target, changes);
  return changeUser(core, actor, id, 'user.role_changed', caller, async (trx) => {
    await writePlace(trx, id, place);
    return { auth_level: level };
  });
}

/** Lets a user sign in or not. Whoever may not is signed out everywhere. @throws CoreError `user_not_found`, `input_invalid` */
export async function setStatus(
  core: Core,
  actor: Actor,
  id: number,
  status: Status,
  caller: CallerFacts,
): Promise<UserFacts> {
  await requireAdministrable(core, actor, id, { notSelf: true });
  const live = liveStatuses.includes(status);
  return changeUser(core, actor, id, 'user.status_changed', caller, async (trx) => {
    if (!live) await requireAnotherRoot(trx, id);
    if (!live) await endAllSessions(trx, core, id, 'disabled');
    return { status };
  });
}

/** Deletes a user with sessions, keys and memberships; the id is never used again. @throws CoreError `access_denied`, `user_not_found`, `input_invalid` */
export async function deleteUser(core: Core, actor: Actor, id: number, caller: CallerFacts): Promise<void> {
  await requireAdministrable(core, actor, id, { notSelf: true });
  await transact(core.store, async (trx) => {
    await store.lockNames(trx, core.store.engine);
    await requireAnotherRoot(trx, id);
    if (!(await store.deleteUser(trx, id))) throw new CoreError('user_not_found');
    await record(trx, core, 'user.deleted', { actorId: actorId(actor), targetId: id, caller });
  });
}

/** Without any Root user nobody could ever administer the installation again. */
async function requireAnotherRoot(trx: store.Db, id: number): Promise<void> {
  const user = await requireFacts(trx, id);
  if (user.authLevel !== 'Root' || !liveStatuses.includes(user.status)) return;
  if ((await store.countUsers(trx, 'Root', liveStatuses)) > 1) return;
  throw new CoreError('input_invalid', { field: 'id', reason: 'is the last Root user' });
}

/** The frame of every change to a user's record: stamp, change, audit, in one transaction; the user as it is then. */
async function changeUser(
  core: Core,
  actor: Actor,
  id: number,
  event: AuditEvent,
  caller: CallerFacts,
  work: (trx: store.Db) => Promise<Partial<UsersTable>>,
): Promise<UserFacts> {
  return transact(core.store, async (trx) => {
    const stamp = { updated_at: nowSeconds(core), updated_by: actorId(actor) };
    if (!(await store.updateUser(trx, id, stamp))) throw new CoreError('user_not_found');
    const changes = await work(trx);
    if (Object.keys(changes).length > 0) await store.updateUser(trx, id, changes);
    await record(trx, core, event, { actorId: actorId(actor), targetId: id, caller });
    return requireFacts(trx, id);
  });
}
