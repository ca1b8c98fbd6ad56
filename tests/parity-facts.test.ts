import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { demoKey, demoUsers } from '../src/cli/demo-data.ts';
import {
  removeMembership,
  rename,
  setMembership,
  setRolePermissions,
  setUserRoles,
  updateProfile,
} from '../src/core/index.ts';
import {
  accepted,
  allDoors,
  type Answer,
  caller,
  type Kind,
  kinds,
  open,
  openAll,
  type Place,
  places,
  sessionKinds,
  type Who,
} from './support/four-doors.ts';
import * as rest from './support/ecgrid.ts';
import { startTestServer, type TestServer } from './support/server.ts';
import { call, fieldsOf, resultOf, sessionInfo } from './support/soap.ts';
import type { UserSession } from './support/user-session.ts';

/** What the example data of the documents says of a user, once; the columns of the four contracts follow from it. */
type Facts = {
  readonly who: Who;
  readonly email: string;
  readonly level: string;
  readonly mailbox: number;
  /** Id, key and name, the primary one first. */
  readonly organizations: readonly (readonly [id: number, key: string, name: string])[];
  /** In the order in which they were given. */
  readonly roles: readonly string[];
};

const { john, soap, admin } = demoUsers;
const people: readonly Facts[] = [
  {
    who: { ...john, key: demoKey },
    email: 'jsmith@example.com',
    level: 'MailboxAdmin',
    mailbox: 101,
    organizations: [
      [1, 'DEFAULT', 'Example Trading'],
      [7, 'LOGISTICS', 'Example Logistics'],
    ],
    roles: ['agent', 'user'],
  },
  {
    who: soap,
    email: 'soapuser@example.com',
    level: 'MailboxUser',
    mailbox: 200,
    organizations: [[100, 'NETWORK', 'Example Network']],
    roles: [],
  },
  {
    who: admin,
    email: 'admin@example.com',
    level: 'Root',
    mailbox: 0,
    organizations: [[1, 'DEFAULT', 'Example Trading']],
    roles: ['System Administrator', 'Appliance Administrator'],
  },
];

/** An hour after the frozen clock; a key and a password have no end. */
const hourLater = '2026-05-07T18:30:00';
const keyEnd = '9999-01-01T00:00:00';

function expiryOf(kind: Kind): string {
  return kind === 'API key' ? keyEnd : hourLater;
}

function expectRestFacts({ text }: Answer, { who, level, mailbox, organizations }: Facts, expires: string): void {
  expect(JSON.parse(text)).toEqual({
    success: true,
    data: {
      userId: who.id,
      login: who.login,
      networkId: organizations[0]?.[0],
      mailboxId: mailbox,
      authLevel: level,
      expiresAt: `${expires}Z`,
    },
    errorCode: '',
    message: '',
  });
}

function expectWebFacts({ text }: Answer, { who, email, organizations, roles }: Facts, expires: string): void {
  const body = JSON.parse(text) as UserSession;
  expect({ id: body.id, email: body.email, expiresAt: body.expiresAt }).toEqual({
    id: who.id,
    email,
    expiresAt: `${expires}.000Z`,
  });
  const byId = [...body.accounts].sort((a, b) => Number(a.accountId) - Number(b.accountId));
  expect(byId.map(({ accountId, accountName }) => [Number(accountId), accountName])).toEqual(
    organizations.map(([id, , name]) => [id, name]),
  );
  expect(body.primaryAccount?.accountId).toBe(String(organizations[0]?.[0]));
  expect(body.currentAccountId).toBe(String(organizations[0]?.[0]));
  expect(body.flatRolesList).toEqual([...roles].sort());
}

async function expectSoapFacts(server: TestServer, secret: string, facts: Facts, expires: string): Promise<void> {
  const { who, email, level, mailbox, organizations } = facts;
  const place = {
    UserID: String(who.id),
    NetworkID: String(organizations[0]?.[0]),
    MailboxID: String(mailbox),
  };
  expect(await sessionInfo(server, secret)).toEqual({
    SessionID: secret,
    ...place,
    Created: '2026-05-07T17:30:00Z',
    Expires: `${expires}Z`,
  });
  const whoAmI = fieldsOf(resultOf(await call(server, 'WhoAmI', { SessionID: secret }), 'WhoAmI'));
  expect(whoAmI).toMatchObject({ ...place, Login: who.login, Email: email, AuthLevel: level, Status: 'Active' });
}

function expectApplianceFacts({ text, headers }: Answer, { email, organizations, roles }: Facts): void {
  const { data } = JSON.parse(text) as { data: unknown };
  expect(data).toEqual({
    user: {
      enterprise: 'HybridityAdmin',
      organization: organizations.map(([, key]) => key),
      currentOrganization: organizations[0]?.[1],
      roles,
      username: email,
      transactionId: headers.get('x-transaction-id'),
    },
    cloud: { name: 'Cardea', type: 'vsphere' },
    organizations: organizations.map(([id, , name]) => ({ name, id: String(id) })),
  });
}

async function expectFacts(server: TestServer, place: Place, secret: string, facts: Facts, expires: string) {
  const answer = await places[place].ask(server, secret);
  expect({ place, status: answer.status }).toEqual({ place, status: 200 });
  if (place.startsWith('REST')) expectRestFacts(answer, facts, expires);
  else if (place.startsWith('web')) expectWebFacts(answer, facts, expires);
  else if (place.startsWith('SOAP')) await expectSoapFacts(server, secret, facts, expires);
  else expectApplianceFacts(answer, facts);
}

describe('four contracts tell one truth', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings: allDoors });
  });
  afterAll(() => server.close());

  const cases = people.flatMap((facts) => {
    const held = kinds.filter((kind) => facts.who.key !== undefined || !/key/.test(kind.toLowerCase()));
    return held.map((kind) => [facts.who.login, kind, facts] as const);
  });
  test.each(cases)(
    '%s by %s: ids, names, organizations, roles and expiry agree wherever it counts',
    async (_, kind, facts) => {
      const secret = await open(server, facts.who, kind);
      for (const place of accepted[kind]) await expectFacts(server, place, secret, facts, expiryOf(kind));
    },
  );

  test('what changes in the directory shows at every door on the next request of sessions that are open', async () => {
    const who = { ...john, key: demoKey };
    const secrets = await openAll(server, who);
    const facts = { actorId: null, caller };
    await updateProfile(server.core, 'system', who.id, { email: 'john@new.example.com' }, caller);
    await setUserRoles(server.core, who.id, ['auditor'], facts);
    await setRolePermissions(server.core, 'auditor', ['readAudit'], facts);
    await removeMembership(server.core, who.id, 7, facts);
    await setMembership(server.core, who.id, { organizationId: 100, isAdmin: false }, facts);
    await rename(server.core, 'role', 'auditor', 'inspector', facts);
    const changed: Facts = {
      who,
      email: 'john@new.example.com',
      level: 'MailboxAdmin',
      mailbox: 101,
      organizations: [
        [1, 'DEFAULT', 'Example Trading'],
        [100, 'NETWORK', 'Example Network'],
      ],
      roles: ['inspector'],
    };
    for (const kind of kinds) {
      for (const place of accepted[kind]) await expectFacts(server, place, secrets[kind], changed, expiryOf(kind));
    }
  });

  test('a use at one door moves the expiry that another door shows', async () => {
    const { id, login, password } = soap;
    const token = await open(server, { id, login, password }, 'web token');
    server.clock.advance(1_800);
    const moved = places['appliance bearer'].ask(server, token);
    expect((await moved).status).toBe(200);
    const answer = await rest.session(server, rest.bearer(token));
    expect(answer.body.data).toMatchObject({ userId: 12345, expiresAt: '2026-05-07T19:00:00Z' });
    expect(JSON.parse((await places['web bearer'].ask(server, token)).text)).toMatchObject({
      id: 12345,
      expiresAt: '2026-05-07T19:00:00.000Z',
    });
  });

  test('every kind of session that one user has is listed for that user over SOAP', async () => {
    const secrets = await openAll(server, { ...john, key: demoKey });
    const { SessionIDInfo: _, ...own } = await sessionInfo(server, secrets.SessionID);
    const log = await call(server, 'SessionLog', { SessionID: secrets.SessionID, UserID: 0, MaxRecords: 7 });
    const listed = resultOf(log, 'SessionLog').match(/<Created>2026-05-07T18:00:00Z<\/Created>/g) ?? [];
    expect(own['UserID']).toBe('4821');
    expect(listed).toHaveLength(sessionKinds.length);
  });
});
