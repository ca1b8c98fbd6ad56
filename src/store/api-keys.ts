import type { Selectable } from 'kysely';
import { prepare } from './prepared.ts';
import type { Schema } from './schema.ts';
import { type Db, selectUser, type UserRow } from './users.ts';

/** A key with its owner's present facts. */
export type ApiKeyRow = UserRow & { key_id: number; key_created_at: number; key_expires_at: number | null };

/** By the digest of the key. */
export const apiKeyByDigest = prepare('text', (db, digest) =>
  selectUser(db)
    .innerJoin('api_keys', 'api_keys.user_id', 'users.id')
    .select(['api_keys.id as key_id', 'api_keys.created_at as key_created_at', 'api_keys.expires_at as key_expires_at'])
    .where('api_keys.digest', '=', digest),
);

export async function readApiKey(db: Db, digest: string): Promise<ApiKeyRow | undefined> {
  return (await db.executeQuery(apiKeyByDigest(db, digest))).rows[0];
}

export async function insertApiKey(trx: Db, key: Selectable<Schema['api_keys']>): Promise<void> {
  await trx.insertInto('api_keys').values(key).execute();
}

/** Deletes the user's keys. @returns their ids */
export async function deleteApiKeys(trx: Db, userId: number): Promise<number[]> {
  const rows = await trx.deleteFrom('api_keys').where('user_id', '=', userId).returning('id').execute();
  return rows.map((row) => row.id);
}
