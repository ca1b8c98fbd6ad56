import { randomBytes } from 'node:crypto';
import { type Db, hasNoUsers, lockRule } from '../store/users.ts';
import { change } from './change.ts';
import type { CallerFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { createOrganizationWithin } from './directory.ts';
import { writeUserWithin } from './users.ts';

/** The printed password signs in for this long, unless it is changed before. */
const firstPasswordSeconds = 24 * 60 * 60;

/**
 * Gives an empty store its first organization and administrator (Root), both or neither: a start that is killed in between can
 * be repeated, and of several instances that start at once one does it.
 * @returns the administrator's random password, to be shown once, or null when the store has users already
 */
export async function createFirstAdministrator(core: Core, caller: CallerFacts): Promise<string | null> {
  if (!(await hasNoUsers(core.store.db))) return null;
  // 144 random bits; the letters and digits of base64url paste well.
  const password = randomBytes(18).toString('base64url');
  const passwordHash = await core.hasher.hash(password);
  const written = await change(core, async (trx) => {
    await lockRule(trx, core.store.engine, 'names');
    if (!(await hasNoUsers(trx))) return false;
    await writeAdministrator(trx, core, passwordHash, caller);
    return true;
  });
  return written ? password : null;
}

async function writeAdministrator(trx: Db, core: Core, passwordHash: string, caller: CallerFacts): Promise<void> {
  const organization = { key: 'DEFAULT', name: 'Default', enterprise: 'Default' };
  const organizationId = await createOrganizationWithin(trx, core, organization, { actorId: null, caller });
  const administrator = {
    login: 'admin',
    email: 'admin@localhost',
    firstName: '',
    lastName: '',
    authLevel: 'Root' as const,
    place: { organizationId, mailboxId: null },
    passwordExpiresAt: nowSeconds(core) + firstPasswordSeconds,
  };
  await writeUserWithin(trx, core, null, administrator, { passwordHash }, caller);
}
