import { writeDemoData } from '../../src/cli/demo-data.ts';
import {
  type CallerFacts,
  type Core,
  setMembership,
  setUserRoles,
  storeApiKey,
  writeUser,
} from '../../src/core/index.ts';

/** Who signs in during a run. */
export type BenchUser = {
  readonly id: number;
  readonly login: string;
  readonly password: string;
  readonly key: string;
};

const caller: CallerFacts = { address: 'local', userAgent: 'cardea bench', requestId: 'bench' };
const facts = { actorId: null, caller };
const password = 'correct-horse-battery-7';

/** The users of a run: each has an API key, two organizations and two roles, as the example user of the contracts has. */
export function describeUsers(count: number): BenchUser[] {
  return Array.from({ length: count }, (_, index) => {
    const digits = String(index + 1).padStart(4, '0');
    return {
      id: 10_000 + index,
      login: `bench${digits}@example.com`,
      password,
      key: `B0B0B0B0-0000-4000-8000-00000000${digits}`,
    };
  });
}

/** Fills an empty store with the example directory and these users, through the core, as the command line would. */
export async function writeUsers(core: Core, users: readonly BenchUser[]): Promise<void> {
  await writeDemoData(core);
  // One salt for all: the price of a check is the same, and a thousand users do not take a minute.
  const passwordHash = await core.hasher.hash(password);
  for (const { id, login, key } of users) {
    const names = { login, email: login, firstName: 'Bench', lastName: `User ${id}` };
    const place = { organizationId: 1, mailboxId: 101 };
    const now = Math.floor(Date.now() / 1000);
    const profile = { ...names, authLevel: 'MailboxAdmin' as const, place };
    await writeUser(core, null, profile, { id, passwordHash, createdAt: now, updatedAt: now, writtenBy: 1 }, caller);
    await setMembership(core, id, { organizationId: 7, isAdmin: true }, facts);
    await setUserRoles(core, id, ['agent', 'user'], facts);
    await storeApiKey(core, id, key, facts);
  }
}
