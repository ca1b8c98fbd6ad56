import { type AuthLevel, type CallerFacts, type Status, setStatus, writeUser } from '../../src/core/index.ts';
import type { TestServer } from './server.ts';

/** Password of every user made here unless the test names another. */
export const testPassword = 'correct horse battery';

const caller: CallerFacts = { address: 'local', userAgent: 'test', requestId: 'test' };

export type TestUser = {
  readonly login: string;
  readonly email?: string;
  readonly password?: string;
  readonly authLevel?: AuthLevel;
  /** Organization and mailbox; none unless given. */
  readonly place?: { readonly organizationId: number; readonly mailboxId: number | null };
  readonly passwordChangeDue?: boolean;
  readonly status?: Status;
};

/** Writes a user straight into the store. @returns the id */
export async function addUser({ core }: Pick<TestServer, 'core'>, user: TestUser): Promise<number> {
  const facts = {
    login: user.login,
    email: user.email ?? `${user.login}@users.example.com`,
    firstName: '',
    lastName: '',
    authLevel: user.authLevel ?? 'MailboxUser',
    place: user.place ?? { organizationId: null, mailboxId: null },
    passwordChangeDue: user.passwordChangeDue ?? false,
  };
  const passwordHash = await core.hasher.hash(user.password ?? testPassword);
  const { id } = await writeUser(core, null, facts, { passwordHash }, caller);
  if (user.status !== undefined) await setUserStatus({ core }, id, user.status);
  return id;
}

/** As an administrator at the machine would: `suspend`, `activate` and the like. */
export function setUserStatus({ core }: Pick<TestServer, 'core'>, id: number, status: Status): Promise<void> {
  return setStatus(core, 'system', id, status, caller).then(() => undefined);
}
