import * as store from '../store/directory.ts';
import { nextIdentifier } from '../store/identifiers.ts';
import { isDuplicate } from '../store/errors.ts';
import { type Db, lockUser } from '../store/users.ts';
import { record } from './audit.ts';
import { change } from './change.ts';
import type { CallerFacts } from './context.ts';
import type { Core } from './core.ts';
import { CoreError } from './errors.ts';

/** A change to the directory is made by the system or by an administrator named here. */
export type DirectoryFactsOfChange = { readonly actorId: number | null; readonly caller: CallerFacts };

export type NewOrganization = {
  readonly id?: number;
  readonly key: string;
  readonly name: string;
  readonly enterprise: string;
  readonly mailboxes?: readonly { readonly id: number; readonly name: string }[];
};

/** @returns the organization's id. @throws CoreError `input_invalid` when the id or key is taken */
export function createOrganization(
  core: Core,
  organization: NewOrganization,
  facts: DirectoryFactsOfChange,
): Promise<number> {
  return changeNamed(core, (trx) => createOrganizationWithin(trx, core, organization, facts));
}

/** `createOrganization` as part of a larger change. */
export async function createOrganizationWithin(
  trx: Db,
  core: Core,
  organization: NewOrganization,
  facts: DirectoryFactsOfChange,
): Promise<number> {
  const enterpriseId = await store.ensureEnterprise(trx, organization.enterprise);
  const id = organization.id ?? (await nextIdentifier(trx, 'organizations'));
  const { key, name } = organization;
  await store.insertOrganization(trx, { id, enterprise_id: enterpriseId, key, name });
  for (const mailbox of organization.mailboxes ?? []) {
    await store.insertMailbox(trx, { ...mailbox, organization_id: id });
  }
  await record(trx, core, 'directory.changed', { ...facts, detail: { organization: key } });
  return id;
}

/** Makes the permissions of a role exactly these; role and permissions are made if they are new. */
export function setRolePermissions(
  core: Core,
  role: string,
  permissions: readonly string[],
  facts: DirectoryFactsOfChange,
): Promise<void> {
  return changeWith(core, facts, { role }, async (trx) => {
    const roleId = await store.ensureNamed(trx, 'roles', role);
    await store.writeRolePermissions(trx, roleId, await ensureAll(trx, 'permissions', permissions));
  });
}

/** Gives a role or a permission another name, everywhere at once. */
export function rename(
  core: Core,
  kind: 'role' | 'permission',
  oldName: string,
  newName: string,
  facts: DirectoryFactsOfChange,
): Promise<boolean> {
  const table = kind === 'role' ? 'roles' : 'permissions';
  return changeWith(core, facts, { [kind]: newName }, (trx) => store.renameNamed(trx, table, oldName, newName));
}

/** Makes the user's roles exactly these. */
export function setUserRoles(
  core: Core,
  userId: number,
  roles: readonly string[],
  facts: DirectoryFactsOfChange,
): Promise<void> {
  return changeUser(core, userId, facts, { roles: roles.join(', ') }, async (trx) => {
    await store.writeUserRoles(trx, userId, await ensureAll(trx, 'roles', roles));
  });
}

/** Makes the permissions that the user holds beside those of roles exactly these. */
export function setUserPermissions(
  core: Core,
  userId: number,
  permissions: readonly string[],
  facts: DirectoryFactsOfChange,
): Promise<void> {
  return changeUser(core, userId, facts, { permissions: permissions.join(', ') }, async (trx) => {
    await store.writeUserPermissions(trx, userId, await ensureAll(trx, 'permissions', permissions));
  });
}

export type NewMembership = { readonly organizationId: number; readonly isAdmin: boolean };

/** Adds the user to a further organization, or changes whether the user administers it. */
export function setMembership(
  core: Core,
  userId: number,
  membership: NewMembership,
  facts: DirectoryFactsOfChange,
): Promise<void> {
  const detail = { organization: membership.organizationId, isAdmin: membership.isAdmin };
  return changeUser(core, userId, facts, detail, async (trx) => {
    await store.writeSecondaryMembership(trx, {
      user_id: userId,
      organization_id: membership.organizationId,
      is_admin: membership.isAdmin ? 1 : 0,
    });
  });
}

/** Takes the user out of an organization that is not the primary one. */
export function removeMembership(
  core: Core,
  userId: number,
  organizationId: number,
  facts: DirectoryFactsOfChange,
): Promise<void> {
  return changeUser(core, userId, facts, { organization: organizationId, removed: true }, (trx) =>
    store.deleteSecondaryMembership(trx, userId, organizationId),
  );
}

type Detail = Readonly<Record<string, string | number | boolean>>;

function changeWith<T>(
  core: Core,
  facts: DirectoryFactsOfChange,
  detail: Detail,
  work: (trx: Db) => Promise<T>,
): Promise<T> {
  return changeNamed(core, async (trx) => {
    const result = await work(trx);
    await record(trx, core, 'directory.changed', { ...facts, detail });
    return result;
  });
}

async function changeNamed<T>(core: Core, work: (trx: Db) => Promise<T>): Promise<T> {
  try {
    return await change(core, work);
  } catch (error) {
    if (isDuplicate(error)) throw new CoreError('input_invalid', { field: 'name', reason: 'is taken' });
    throw error;
  }
}

async function changeUser(
  core: Core,
  userId: number,
  facts: DirectoryFactsOfChange,
  detail: Detail,
  work: (trx: Db) => Promise<void>,
): Promise<void> {
  await change(core, async (trx) => {
    if ((await lockUser(trx, userId)) === undefined) throw new CoreError('user_not_found');
    await work(trx);
    await record(trx, core, 'directory.changed', { ...facts, targetId: userId, detail });
  });
}

async function ensureAll(trx: Db, table: 'roles' | 'permissions', names: readonly string[]): Promise<number[]> {
  const ids: number[] = [];
  for (const name of new Set(names)) ids.push(await store.ensureNamed(trx, table, name));
  return ids;
}
