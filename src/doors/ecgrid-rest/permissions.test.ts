import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { apiKey, comparable, type EcgridAnswer, expectRefusal, rest } from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { type AuthLevel, storeApiKey, writeUser } from '../../core/index.ts';

type Sent = Readonly<Record<string, string>>;
type Place = { readonly organizationId: number | null; readonly mailboxId: number | null };

const caller = { address: 'local', userAgent: 'test', requestId: 'test' };
const home = { organizationId: 1, mailboxId: 101 };
const password = 'nine herons on a pond';

let server: TestServer;
let count = 0;
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000' } });
});
afterAll(() => server.close());

/** A user who has no password. @returns the id */
async function addUser(authLevel: AuthLevel, place: Place): Promise<number> {
  count += 1;
  const names = { login: `user-${count}`, email: `user-${count}@users.example.com`, firstName: '', lastName: '' };
  const user = await writeUser(server.core, null, { ...names, authLevel, place }, { passwordHash: null }, caller);
  return user.id;
}

async function addCaller(authLevel: AuthLevel, place: Place): Promise<{ id: number; headers: Sent }> {
  const id = await addUser(authLevel, place);
  const key = randomUUID();
  await storeApiKey(server.core, id, key, { actorId: null, caller });
  return { id, headers: apiKey(key) };
}

/** All callers live in network 1, mailbox 101. The targets, but for the bosses, are of the lowest level. */
const targets: Readonly<Record<string, [AuthLevel, Place] | null>> = {
  mate: ['General', home],
  colleague: ['General', { organizationId: 1, mailboxId: null }],
  foreigner: ['General', { organizationId: 100, mailboxId: 200 }],
  boss: ['Root', home],
  foreignBoss: ['Root', { organizationId: 100, mailboxId: null }],
  homeless: ['General', { organizationId: null, mailboxId: null }],
};
const columns = ['self', 'mate', 'colleague', 'foreigner', 'boss', 'foreignBoss', 'homeless', 'missing'] as const;
type Column = (typeof columns)[number];
type Matrix = readonly (readonly [AuthLevel, string])[];

// Written by hand from section 8.2 of the contract; one column per target, in the order above.
const reading: Matrix = [
  ['Root', '200 200 200 200 200 200 200 404'],
  ['TechOps', '200 200 200 200 200 200 200 404'],
  ['NetOps', '200 200 200 200 200 200 200 404'],
  ['NetworkAdmin', '200 200 200 404 200 404 404 404'],
  ['NetworkUser', '200 200 200 404 200 404 404 404'],
  ['MailboxAdmin', '200 200 404 404 200 404 404 404'],
  ['MailboxUser', '200 404 404 404 404 404 404 404'],
  ['TPUser', '200 404 404 404 404 404 404 404'],
  ['General', '200 404 404 404 404 404 404 404'],
];
const selfOrAdmin: Matrix = [
  ['Root', '200 200 200 200 200 200 200 404'],
  ['TechOps', '200 200 200 200 403 403 200 404'],
  ['NetOps', '200 200 200 200 403 403 200 404'],
  ['NetworkAdmin', '200 200 200 404 403 404 404 404'],
  ['NetworkUser', '200 403 403 403 403 403 403 403'],
  ['MailboxAdmin', '200 403 403 403 403 403 403 403'],
  ['MailboxUser', '200 403 403 403 403 403 403 403'],
  ['TPUser', '200 403 403 403 403 403 403 403'],
  ['General', '200 403 403 403 403 403 403 403'],
];
const othersOnly: Matrix = [
  ['Root', '403 200 200 200 200 200 200 404'],
  ['TechOps', '403 200 200 200 403 403 200 404'],
  ['NetOps', '403 200 200 200 403 403 200 404'],
  ['NetworkAdmin', '403 200 200 404 403 404 404 404'],
  ['NetworkUser', '403 403 403 403 403 403 403 403'],
  ['MailboxAdmin', '403 403 403 403 403 403 403 403'],
  ['MailboxUser', '403 403 403 403 403 403 403 403'],
  ['TPUser', '403 403 403 403 403 403 403 403'],
  ['General', '403 403 403 403 403 403 403 403'],
];
const admin: Matrix = [
  ['Root', '200 200 200 200 200 200 200 404'],
  ['TechOps', '200 200 200 200 403 403 200 404'],
  ['NetOps', '200 200 200 200 403 403 200 404'],
  ['NetworkAdmin', '200 200 200 404 403 404 404 404'],
  ['NetworkUser', '403 403 403 403 403 403 403 403'],
  ['MailboxAdmin', '403 403 403 403 403 403 403 403'],
  ['MailboxUser', '403 403 403 403 403 403 403 403'],
  ['TPUser', '403 403 403 403 403 403 403 403'],
  ['General', '403 403 403 403 403 403 403 403'],
];

type Operation = (id: number, headers: Sent) => Promise<EcgridAnswer>;
const post =
  (path: string, more: object): Operation =>
  (userId, headers) =>
    rest(server, 'POST', path, { headers, body: { userId, ...more } });

const matrices: [string, Matrix, Operation][] = [
  ['GET /v2/users/{id}', reading, (id, headers) => rest(server, 'GET', `/v2/users/${id}`, { headers })],
  [
    'PUT /v2/users',
    selfOrAdmin,
    (userId, headers) => rest(server, 'PUT', '/v2/users', { headers, body: { userId, lastName: 'Changed' } }),
  ],
  [
    'POST /v2/users/reset/{id}',
    selfOrAdmin,
    (id, headers) => rest(server, 'POST', `/v2/users/reset/${id}`, { headers }),
  ],
  [
    'POST /v2/users/key-generate/{id}',
    selfOrAdmin,
    (id, headers) => rest(server, 'POST', `/v2/users/key-generate/${id}`, { headers }),
  ],
  ['POST /v2/users/password', othersOnly, post('/v2/users/password', { newPassword: password })],
  ['POST /v2/users/role', othersOnly, post('/v2/users/role', { authLevel: 'NoChange' })],
  ['POST /v2/users/set-network-mailbox', admin, post('/v2/users/set-network-mailbox', {})],
  ['DELETE /v2/users/{id}', othersOnly, (id, headers) => rest(server, 'DELETE', `/v2/users/${id}`, { headers })],
];

/** Whom the columns stand for; whoever was deleted is made anew. */
const standing = new Map<Column, number>();

async function idOf(column: Column, self: number): Promise<number> {
  const target = targets[column];
  if (column === 'self') return self;
  if (!target) return 2_000_000_000;
  const id = standing.get(column) ?? (await addUser(...target));
  standing.set(column, id);
  return id;
}

describe.each(matrices)('AUZ-01 S05 %s', (operation, matrix, operate) => {
  test.each([...matrix])(
    '%s: self, same mailbox, same network, other network, two of higher rank, nowhere, missing',
    async (level, row) => {
      const answers: Record<string, EcgridAnswer> = {};
      const { id, headers } = await addCaller(level, home);
      // Oneself comes last, since a new key ends the one in use.
      for (const column of columns.toReversed()) {
        answers[column] = await operate(await idOf(column, id), headers);
        if (operation.startsWith('DELETE') && answers[column].status === 200) standing.delete(column);
      }
      expect(columns.map((column) => answers[column]?.status).join(' ')).toBe(row);
      expectNoOracle(Object.values(answers));
    },
  );
});

/** Refusals of one status never differ, so that none tells whether the user is there. */
function expectNoOracle(answers: readonly EcgridAnswer[]): void {
  const refused = answers.filter(({ status }) => status !== 200);
  for (const answer of refused) {
    if (answer.status === 404) expectRefusal(answer, 404, 'ObjectNotFound', 'User not found.');
    else expectRefusal(answer, 403, 'AccessDenied', 'Access denied.');
    const first = refused.find(({ status }) => status === answer.status) as EcgridAnswer;
    expect(comparable(answer)).toEqual(comparable(first));
  }
}

describe('AUZ-01 network and mailbox 0 are never the same', () => {
  const nowhere = { organizationId: null, mailboxId: null };
  test.each<[AuthLevel, Place, number, number]>([
    ['NetworkAdmin', nowhere, 404, 404],
    ['NetworkUser', nowhere, 404, 403],
    ['MailboxAdmin', nowhere, 404, 403],
    ['MailboxAdmin', { organizationId: 1, mailboxId: null }, 404, 403],
  ])('a %s without (%j) neither reads nor administers another without', async (level, place, read, administer) => {
    const { headers } = await addCaller(level, place);
    const other = await addUser('General', place);
    expect((await rest(server, 'GET', `/v2/users/${other}`, { headers })).status).toBe(read);
    expect((await rest(server, 'POST', `/v2/users/reset/${other}`, { headers })).status).toBe(administer);
  });
});

describe('AUZ-01 equal rank is not above: peers administer each other', () => {
  test.each<[AuthLevel]>([['Root'], ['TechOps'], ['NetOps'], ['NetworkAdmin']])('%s', async (level) => {
    const { headers } = await addCaller(level, home);
    const peer = await addUser(level, home);
    expect((await rest(server, 'DELETE', `/v2/users/${peer}`, { headers })).status).toBe(200);
  });

  test('the one rank between NetworkAdmin and NetOps counts', async () => {
    const { headers } = await addCaller('NetworkAdmin', home);
    const above = await addUser('NetOps', home);
    const below = await addUser('NetworkUser', home);
    expect((await rest(server, 'DELETE', `/v2/users/${above}`, { headers })).status).toBe(403);
    expect((await rest(server, 'DELETE', `/v2/users/${below}`, { headers })).status).toBe(200);
  });
});
