import { type Selectable, sql } from 'kysely';
import { claimIdentifier, nextIdentifier } from './identifiers.ts';
import { prepare } from './prepared.ts';
import type { Schema } from './schema.ts';
import type { Db } from './users.ts';

/** One thing a user belongs to or holds; the last columns count for organizations or roles only. */
export type FactRow = {
  kind: 'organization' | 'role' | 'permission';
  id: number;
  name: string;
  key: string;
  enterprise: string;
  is_primary: number;
  is_admin: number;
  /** Place of a role in the order in which the user's roles were given. */
  position: number;
};

const noPosition = sql<number>`0`.as('position');
const noOrganization = [
  sql<string>`''`.as('key'),
  sql<string>`''`.as('enterprise'),
  sql<number>`0`.as('is_primary'),
  sql<number>`0`.as('is_admin'),
] as const;

/** Everything the directory says of a user beyond the user's own row, in one statement. */
export const factsOfUser = prepare<FactRow, 'integer'>('integer', (db, userId) => {
  const organizations = db
    .selectFrom('memberships')
    .innerJoin('organizations', 'organizations.id', 'memberships.organization_id')
    .innerJoin('enterprises', 'enterprises.id', 'organizations.enterprise_id')
    .where('memberships.user_id', '=', userId)
    .select([
      sql<FactRow['kind']>`'organization'`.as('kind'),
      'organizations.id',
      'organizations.name',
      'organizations.key',
      'enterprises.name as enterprise',
      'memberships.is_primary',
      'memberships.is_admin',
      noPosition,
    ]);
  const roles = db
    .selectFrom('user_roles')
    .innerJoin('roles', 'roles.id', 'user_roles.role_id')
    .where('user_roles.user_id', '=', userId)
    .select([
      sql<FactRow['kind']>`'role'`.as('kind'),
      'roles.id',
      'roles.name',
      ...noOrganization,
      'user_roles.position',
    ]);
  const direct = db
    .selectFrom('user_permissions')
    .innerJoin('permissions', 'permissions.id', 'user_permissions.permission_id')
    .where('user_permissions.user_id', '=', userId)
    .select([
      sql<FactRow['kind']>`'permission'`.as('kind'),
      'permissions.id',
      'permissions.name',
      ...noOrganization,
      noPosition,
    ]);
  const throughRoles = db
    .selectFrom('user_roles')
    .innerJoin('role_permissions', 'role_permissions.role_id', 'user_roles.role_id')
    .innerJoin('permissions', 'permissions.id', 'role_permissions.permission_id')
    .where('user_roles.user_id', '=', userId)
    .select([
      sql<FactRow['kind']>`'permission'`.as('kind'),
      'permissions.id',
      'permissions.name',
      ...noOrganization,
      noPosition,
    ]);
  // A permission may come twice, held directly and by roles: the caller lists names once, which is cheaper than sorting here.
  return organizations.unionAll(roles).unionAll(direct).unionAll(throughRoles);
});

export async function readFacts(db: Db, userId: number): Promise<FactRow[]> {
  return (await db.executeQuery(factsOfUser(db, userId))).rows;
}

export async function organizationExists(db: Db, id: number): Promise<boolean> {
  return (await db.selectFrom('organizations').select('id').where('id', '=', id).executeTakeFirst()) !== undefined;
}

export async function mailboxBelongs(db: Db, mailboxId: number, organizationId: number): Promise<boolean> {
  const row = await db
    .selectFrom('mailboxes')
    .select('id')
    .where('id', '=', mailboxId)
    .where('organization_id', '=', organizationId)
    .executeTakeFirst();
  return row !== undefined;
}

/** @returns the id of the enterprise of this name, made if it is new */
export async function ensureEnterprise(trx: Db, name: string): Promise<number> {
  const found = await trx.selectFrom('enterprises').select('id').where('name', '=', name).executeTakeFirst();
  if (found !== undefined) return found.id;
  const id = await nextIdentifier(trx, 'enterprises');
  await trx.insertInto('enterprises').values({ id, name }).execute();
  return id;
}

export async function insertOrganization(trx: Db, row: Selectable<Schema['organizations']>): Promise<void> {
  await trx.insertInto('organizations').values(row).execute();
  await claimIdentifier(trx, 'organizations', row.id);
}

export async function insertMailbox(trx: Db, row: Selectable<Schema['mailboxes']>): Promise<void> {
  await trx.insertInto('mailboxes').values(row).execute();
  await claimIdentifier(trx, 'mailboxes', row.id);
}

/** Makes this organization the user's primary one, in the place of the former primary; further memberships stay. */
export async function writePrimaryMembership(
  trx: Db,
  row: { readonly user_id: number; readonly organization_id: number; readonly mailbox_id: number | null },
): Promise<void> {
  await trx
    .deleteFrom('memberships')
    .where('user_id', '=', row.user_id)
    .where('is_primary', '=', 1)
    .where('organization_id', '<>', row.organization_id)
    .execute();
  await trx
    .insertInto('memberships')
    .values({ ...row, is_primary: 1, is_admin: 0 })
    .onConflict((conflict) =>
      conflict.columns(['user_id', 'organization_id']).doUpdateSet({ mailbox_id: row.mailbox_id, is_primary: 1 }),
    )
    .execute();
}

/** Adds the user to an organization beside the primary one, or changes whether the user administers it (primary or not). */
export async function writeSecondaryMembership(
  trx: Db,
  row: { readonly user_id: number; readonly organization_id: number; readonly is_admin: number },
): Promise<void> {
  await trx
    .insertInto('memberships')
    .values({ ...row, mailbox_id: null, is_primary: 0 })
    .onConflict((conflict) => conflict.columns(['user_id', 'organization_id']).doUpdateSet({ is_admin: row.is_admin }))
    .execute();
}

export async function deleteSecondaryMembership(trx: Db, userId: number, organizationId: number): Promise<void> {
  await trx
    .deleteFrom('memberships')
    .where('user_id', '=', userId)
    .where('organization_id', '=', organizationId)
    .where('is_primary', '=', 0)
    .execute();
}

/** @returns the id of the role or permission of this name, made if it is new */
export async function ensureNamed(trx: Db, table: 'roles' | 'permissions', name: string): Promise<number> {
  const found = await trx.selectFrom(table).select('id').where('name', '=', name).executeTakeFirst();
  if (found !== undefined) return found.id;
  const id = await nextIdentifier(trx, table);
  await trx.insertInto(table).values({ id, name }).execute();
  return id;
}

export async function renameNamed(
  trx: Db,
  table: 'roles' | 'permissions',
  oldName: string,
  newName: string,
): Promise<boolean> {
  const result = await trx.updateTable(table).set({ name: newName }).where('name', '=', oldName).executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Makes the role's permissions exactly these. */
export async function writeRolePermissions(trx: Db, roleId: number, permissionIds: readonly number[]): Promise<void> {
  await trx.deleteFrom('role_permissions').where('role_id', '=', roleId).execute();
  if (permissionIds.length === 0) return;
  const rows = permissionIds.map((id) => ({ role_id: roleId, permission_id: id }));
  await trx.insertInto('role_permissions').values(rows).execute();
}

/** Makes the user's roles exactly these. */
export async function writeUserRoles(trx: Db, userId: number, roleIds: readonly number[]): Promise<void> {
  await trx.deleteFrom('user_roles').where('user_id', '=', userId).execute();
  if (roleIds.length === 0) return;
  await trx
    .insertInto('user_roles')
    .values(roleIds.map((id, position) => ({ user_id: userId, role_id: id, position })))
    .execute();
}

/** Makes the permissions that the user holds directly exactly these. */
export async function writeUserPermissions(trx: Db, userId: number, permissionIds: readonly number[]): Promise<void> {
  await trx.deleteFrom('user_permissions').where('user_id', '=', userId).execute();
  if (permissionIds.length === 0) return;
  await trx
    .insertInto('user_permissions')
    .values(permissionIds.map((id) => ({ user_id: userId, permission_id: id })))
    .execute();
}
