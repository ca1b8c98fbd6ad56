import { deleteApiKeys, insertApiKey } from '../store/api-keys.ts';
import { nextIdentifier } from '../store/identifiers.ts';
import { endSessionsOfKeys } from '../store/sessions.ts';
import type { Db } from '../store/users.ts';
import { type Actor, actorId, changeTarget } from './actors.ts';
import { record } from './audit.ts';
import type { CallerFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import { digestApiKey, newGuid } from './tokens.ts';

/**
 * Gives a user a new API key and ends the old one, with the sessions opened by it, in the same commit.
 * Allowed to the user, and to whoever administers the user.
 * @returns the key in lower-case GUID layout: shown this once, only its digest is stored
 * @throws CoreError `access_denied`, `user_not_found`
 */
export async function generateApiKey(core: Core, actor: Actor, userId: number, caller: CallerFacts): Promise<string> {
  const key = newGuid();
  await changeTarget(core, actor, userId, { orSelf: true }, (trx) =>
    replaceKey(trx, core, userId, key, { actorId: actorId(actor), caller }),
  );
  return key;
}

type KeyFacts = { readonly actorId: number | null; readonly caller: CallerFacts };

/**
 * Stores a key chosen beforehand (the demo's printed one, or an import).
 * @throws CoreError `user_not_found`, `input_invalid` for a text that is no GUID
 */
export function storeApiKey(core: Core, userId: number, key: string, facts: KeyFacts): Promise<void> {
  return changeTarget(core, 'system', userId, {}, (trx) => replaceKey(trx, core, userId, key, facts));
}

/** The caller holds the user's row, which puts two racing calls in an order: the key of the later commit lives. */
async function replaceKey(trx: Db, core: Core, userId: number, key: string, facts: KeyFacts): Promise<void> {
  const digest = digestApiKey(key);
  if (digest === null) throw new CoreError('input_invalid', { field: 'key', reason: 'must be a GUID with dashes' });
  await dropKeys(trx, core, userId);
  const id = await nextIdentifier(trx, 'api_keys');
  await insertApiKey(trx, { id, user_id: userId, digest, created_at: nowSeconds(core), expires_at: null });
  await record(trx, core, 'api_key.generated', { ...facts, targetId: userId });
}

/** Ends the user's API key and the sessions opened with it. @returns whether there was one */
export function revokeApiKey(core: Core, actor: Actor, userId: number, caller: CallerFacts): Promise<boolean> {
  return changeTarget(core, actor, userId, { orSelf: true }, async (trx) => {
    const dropped = await dropKeys(trx, core, userId);
    if (dropped > 0) await record(trx, core, 'api_key.revoked', { actorId: actorId(actor), targetId: userId, caller });
    return dropped > 0;
  });
}

/** The caller holds the user's row: a login with the key is over, or will find the key gone. */
async function dropKeys(trx: Db, core: Core, userId: number): Promise<number> {
  const ids = await deleteApiKeys(trx, userId);
  const count = await endSessionsOfKeys(trx, ids, { endedAt: nowSeconds(core), reason: 'key_revoked' });
  core.counts.sessionsEnded += count;
  return ids.length;
}
