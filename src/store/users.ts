import { type Kysely, type Selectable, sql } from 'kysely';
import type { Engine } from './open.ts';
import { prepareNamed } from './prepared.ts';
import type { Schema, UsersTable } from './schema.ts';

export type Db = Kysely<Schema>;

/** A user with what nearly every question about one needs: the primary membership and the e-mails of who wrote the record. */
export type UserRow = Pick<
  Selectable<UsersTable>,
  | 'login'
  | 'email'
  | 'first_name'
  | 'last_name'
  | 'auth_level'
  | 'status'
  | 'password_change_due'
  | 'session_generation'
> & {
  user_id: number;
  user_created_at: number;
  user_updated_at: number;
  created_by_email: string | null;
  updated_by_email: string | null;
  organization_id: number | null;
  mailbox_id: number | null;
};

/** What password sign-in reads of a user before it hashes. */
export type SignInRow = Pick<
  Selectable<UsersTable>,
  | 'id'
  | 'login_key'
  | 'email_key'
  | 'status'
  | 'password_hash'
  | 'password_expires_at'
  | 'password_change_due'
  | 'failed_passwords'
  | 'session_generation'
>;

/** The base of every read that carries a `UserRow`; sessions and keys join themselves onto it. */
export function selectUser(db: Db) {
  return (
    db
      .selectFrom('users')
      // A literal: where a bound value decides whether a partial index fits, SQLite compiles the statement anew at each use.
      .leftJoin('memberships as home', (join) =>
        join.onRef('home.user_id', '=', 'users.id').on('home.is_primary', '=', sql.lit(1)),
      )
      .leftJoin('users as creator', 'creator.id', 'users.created_by')
      .leftJoin('users as updater', 'updater.id', 'users.updated_by')
      .select([
        'users.id as user_id',
        'users.login',
        'users.email',
        'users.first_name',
        'users.last_name',
        'users.auth_level',
        'users.status',
        'users.password_change_due',
        'users.session_generation',
        'users.created_at as user_created_at',
        'users.updated_at as user_updated_at',
        'creator.email as created_by_email',
        'updater.email as updated_by_email',
        'home.organization_id',
        'home.mailbox_id',
      ])
  );
}

export function readUser(db: Db, id: number): Promise<UserRow | undefined> {
  return selectUser(db).where('users.id', '=', id).executeTakeFirst();
}

/** At most three users whose login or e-mail equals the canonical name; the caller judges which of them counts. */
export async function findUsersByName(db: Db, nameKey: string): Promise<SignInRow[]> {
  return (await db.executeQuery(findingUsers(db, { nameKey }))).rows;
}

const findingUsers = prepareNamed<{ nameKey: string }, SignInRow>((db, value) =>
  db
    .selectFrom('users')
    .select(signInColumns)
    .where((where) => where.or([where('login_key', '=', value('nameKey')), where('email_key', '=', value('nameKey'))]))
    .orderBy('id')
    .limit(3),
);

export function readSignIn(db: Db, id: number): Promise<SignInRow | undefined> {
  return db.selectFrom('users').select(signInColumns).where('id', '=', id).executeTakeFirst();
}

const signInColumns = [
  'id',
  'login_key',
  'email_key',
  'status',
  'password_hash',
  'password_expires_at',
  'password_change_due',
  'failed_passwords',
  'session_generation',
] as const;

/** Reads a user so that no other transaction changes the row before this one ends. */
export async function lockUser(trx: Db, id: number): Promise<SignInRow | undefined> {
  return (await trx.executeQuery(lockingUser(trx, { id }))).rows[0];
}

const lockingUser = prepareNamed<{ id: number }, SignInRow>((db, value) =>
  db
    .updateTable('users')
    .set((row) => ({ session_generation: row.ref('session_generation') }))
    .where('id', '=', value('id'))
    .returning(signInColumns),
);

export type UserFilter = {
  readonly id?: number;
  readonly nameKey?: string;
  readonly organizationId?: number;
  readonly mailboxId?: number;
  readonly authLevel?: string;
  readonly status?: string;
};

/** Whose users a caller may see: everybody's, one organization's, one mailbox's, and always the caller. */
export type Reach = { readonly userId: number; readonly organizationId?: number; readonly mailboxId?: number } | 'all';

/** One page of users in the order of their ids. `offset` and `limit` count rows. */
export function listUsers(
  db: Db,
  filter: UserFilter,
  reach: Reach,
  page: { readonly offset: number; readonly limit: number },
): Promise<UserRow[]> {
  let query = selectUser(db).orderBy('users.id').offset(page.offset).limit(page.limit);
  if (filter.id !== undefined) query = query.where('users.id', '=', filter.id);
  if (filter.nameKey !== undefined) query = query.where('users.login_key', '=', filter.nameKey);
  if (filter.organizationId !== undefined) query = query.where('home.organization_id', '=', filter.organizationId);
  if (filter.mailboxId !== undefined) query = query.where('home.mailbox_id', '=', filter.mailboxId);
  if (filter.authLevel !== undefined) query = query.where('users.auth_level', '=', filter.authLevel);
  if (filter.status !== undefined) query = query.where('users.status', '=', filter.status);
  if (reach !== 'all') {
    query = query.where((where) => {
      const self = where('users.id', '=', reach.userId);
      if (reach.organizationId === undefined) return self;
      const network = where('home.organization_id', '=', reach.organizationId);
      const mailbox = reach.mailboxId === undefined ? network : where('home.mailbox_id', '=', reach.mailboxId);
      return where.or([self, where.and([network, mailbox])]);
    });
  }
  return query.execute();
}

export async function insertUser(trx: Db, user: UsersTable): Promise<void> {
  await trx.insertInto('users').values(user).execute();
}

/** @returns whether the user was there */
export async function updateUser(trx: Db, id: number, changes: Partial<Omit<UsersTable, 'id'>>): Promise<boolean> {
  const result = await trx.updateTable('users').set(changes).where('id', '=', id).executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** @returns whether the user was there; memberships, keys and sessions go with the row */
export async function deleteUser(trx: Db, id: number): Promise<boolean> {
  const result = await trx.deleteFrom('users').where('id', '=', id).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** How many users hold a level and may sign in with it. */
export async function countUsers(db: Db, authLevel: string, statuses: readonly string[]): Promise<number> {
  const row = await db
    .selectFrom('users')
    .select(sql<number>`cast(count(*) as integer)`.as('count'))
    .where('auth_level', '=', authLevel)
    .where('status', 'in', statuses)
    .executeTakeFirstOrThrow();
  return row.count;
}

/** True for a store into which no user was ever written. */
export async function hasNoUsers(db: Db): Promise<boolean> {
  return (await db.selectFrom('users').select('id').limit(1).executeTakeFirst()) === undefined;
}

/** Counts a wrong password of this user, up to `limit`. @returns whether there was room below the limit */
export async function countFailedPassword(trx: Db, id: number, limit: number): Promise<boolean> {
  const { numAffectedRows } = await trx.executeQuery(countingFailure(trx, { id, limit }));
  return (numAffectedRows ?? 0n) > 0n;
}

const countingFailure = prepareNamed<{ id: number; limit: number }>((db, value) =>
  db
    .updateTable('users')
    .set((row) => ({ failed_passwords: row('failed_passwords', '+', 1) }))
    .where('id', '=', value('id'))
    .where('failed_passwords', '<', value('limit')),
);

/** Takes back a counted password that was never judged. */
export async function takeBackFailedPassword(trx: Db, id: number): Promise<void> {
  await trx
    .updateTable('users')
    .set((row) => ({ failed_passwords: row('failed_passwords', '-', 1) }))
    .where('id', '=', id)
    .where('failed_passwords', '>', 0)
    .execute();
}

/** Stores the same password under a new hash, unless another login or a change was first. */
export async function replaceHash(trx: Db, id: number, oldHash: string | null, newHash: string): Promise<void> {
  await trx
    .updateTable('users')
    .set({ password_hash: newHash })
    .where('id', '=', id)
    .where('password_hash', '=', oldHash)
    .execute();
}

/** Ends every session of the user opened so far, by making them of an older generation. @returns the new generation */
export async function raiseGeneration(trx: Db, id: number): Promise<number> {
  const row = await trx
    .updateTable('users')
    .set((user) => ({ session_generation: user('session_generation', '+', 1) }))
    .where('id', '=', id)
    .returning('session_generation')
    .executeTakeFirst();
  return row?.session_generation ?? 0;
}

/** What is true of all users together, so that no row's lock protects it: which names are taken, and who is Root. */
export type SharedRule = 'names' | 'roots';

const sharedRules: Readonly<Record<SharedRule, number>> = { names: 2, roots: 3 };

/**
 * Lets one transaction at a time judge a rule and write what it allows; taken before any row. On SQLite every write transaction
 * is alone anyway.
 */
export async function lockRule(trx: Db, engine: Engine, rule: SharedRule): Promise<void> {
  if (engine === 'postgres') await sql`select pg_advisory_xact_lock(620117, ${sharedRules[rule]})`.execute(trx);
}
