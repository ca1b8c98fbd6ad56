import { randomBytes } from 'node:crypto';
import { hasNoUsers } from '../store/users.ts';
import type { CallerFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { createOrganization } from './directory.ts';
import { writeUser } from './users.ts';

/** The printed password signs in for this long, unless it is changed before. */
const firstPasswordSeconds = 24 * 60 * 60;

/**
 * Gives an empty store its first organization and administrator (Root).
 * @returns the administrator's random password, to be shown once, or null when the store has users already
 */
export async function createFirstAdministrator(core: Core, caller: CallerFacts): Promise<string | null> {
  if (!(await hasNoUsers(core.store.db))) return null;
  const facts = { actorId: null, caller };
  const organizationId = await createOrganization(
    core,
    { key: 'DEFAULT', name: 'Default', enterprise: 'Default' },
    facts,
  );
  // 144 random bits; the letters and digits of base64url paste well.
  const password = randomBytes(18).toString('base64url');
  const administrator = {
    login: 'admin',
    email: 'admin@localhost',
    firstName: '',
    lastName: '',
    authLevel: 'Root' as const,
    place: { organizationId, mailboxId: null },
    passwordExpiresAt: nowSeconds(core) + firstPasswordSeconds,
  };
  await writeUser(core, null, administrator, { passwordHash: await core.hasher.hash(password) }, caller);
  return password;
}
