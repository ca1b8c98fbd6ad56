import type { TestServer } from './server.ts';

/** Rows of what matters, in one text: nothing that anybody sent may have changed them. */
export async function fingerprint({ core }: Pick<TestServer, 'core'>): Promise<string> {
  const { db } = core.store;
  const users = await db
    .selectFrom('users')
    .select(['id', 'login', 'email', 'auth_level', 'status'])
    .orderBy('id')
    .execute();
  const keys = await db.selectFrom('api_keys').selectAll().orderBy('id').execute();
  return JSON.stringify([users, keys]);
}
