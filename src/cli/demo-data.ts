import {
  type AuthLevel,
  type CallerFacts,
  type Core,
  createOrganization,
  setMembership,
  setRolePermissions,
  setUserRoles,
  storeApiKey,
  writeUser,
} from '../core/index.ts';

/** The published example users: their passwords and key stand in the contracts' documents, so they exist in demos only. */
export const demoUsers = {
  john: { id: 4821, login: 'jsmith@example.com', password: 'Sup3r$ecret!' },
  soap: { id: 12345, login: 'soapuser', password: 'Sup3r$ecret!' },
  admin: { id: 1, login: 'admin', password: 'VMware1!' },
} as const;

/** API key of user 4821. */
export const demoKey = 'F9E8D7C6-B5A4-3210-FEDC-BA9876543210';

const enterprise = 'HybridityAdmin';
const createdAt = Date.UTC(2026, 0, 12, 8, 0, 0) / 1000;
const updatedAt = Date.UTC(2026, 3, 30, 14, 12, 9) / 1000;

type DemoUser = {
  readonly id: number;
  readonly login: string;
  readonly password: string;
  readonly email: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly authLevel: AuthLevel;
  readonly place: { readonly organizationId: number; readonly mailboxId: number | null };
};

const { john, soap, admin } = demoUsers;
const users: readonly DemoUser[] = [
  {
    ...admin,
    email: 'admin@example.com',
    firstName: 'Ada',
    lastName: 'Min',
    authLevel: 'Root',
    place: { organizationId: 1, mailboxId: null },
  },
  {
    ...john,
    email: 'jsmith@example.com',
    firstName: 'John',
    lastName: 'Smith',
    authLevel: 'MailboxAdmin',
    place: { organizationId: 1, mailboxId: 101 },
  },
  {
    ...soap,
    email: 'soapuser@example.com',
    firstName: 'Sofia',
    lastName: 'Apel',
    authLevel: 'MailboxUser',
    place: { organizationId: 100, mailboxId: 200 },
  },
];

/** Fills an empty store with the example organizations, users, roles and key of the documents. */
export async function writeDemoData(core: Core): Promise<void> {
  const caller: CallerFacts = { address: 'local', userAgent: 'cardea demo', requestId: 'demo' };
  const facts = { actorId: null, caller };
  await writeOrganizations(core, facts);
  for (const user of users) await writeDemoUser(core, user, caller);
  await setMembership(core, john.id, { organizationId: 7, isAdmin: true }, facts);
  await setRolePermissions(core, 'agent', ['readApplications', 'writeApplications'], facts);
  await setRolePermissions(core, 'user', ['readApplications'], facts);
  await setUserRoles(core, john.id, ['agent', 'user'], facts);
  await setUserRoles(core, admin.id, ['System Administrator', 'Appliance Administrator'], facts);
  await storeApiKey(core, john.id, demoKey, facts);
}

async function writeOrganizations(core: Core, facts: { actorId: null; caller: CallerFacts }): Promise<void> {
  const organizations = [
    { id: 1, key: 'DEFAULT', name: 'Example Trading', mailboxes: [{ id: 101, name: 'Orders' }] },
    { id: 7, key: 'LOGISTICS', name: 'Example Logistics' },
    { id: 100, key: 'NETWORK', name: 'Example Network', mailboxes: [{ id: 200, name: 'Exchange' }] },
  ];
  for (const organization of organizations) await createOrganization(core, { ...organization, enterprise }, facts);
}

async function writeDemoUser(core: Core, user: DemoUser, caller: CallerFacts): Promise<void> {
  const { id, password, ...facts } = user;
  const passwordHash = await core.hasher.hash(password);
  const writtenBy = id === admin.id ? {} : { writtenBy: admin.id };
  await writeUser(core, null, facts, { id, passwordHash, createdAt, updatedAt, ...writtenBy }, caller);
}
