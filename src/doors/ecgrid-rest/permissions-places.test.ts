import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { apiKey, bearer, type EcgridAnswer, expectRefusal, login, rest } from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';
import { type AuthLevel, storeApiKey } from '../../core/index.ts';

type Sent = Readonly<Record<string, string>>;
const levels: readonly AuthLevel[] = [
  'Root',
  'TechOps',
  'NetOps',
  'NetworkAdmin',
  'NetworkUser',
  'MailboxAdmin',
  'MailboxUser',
  'TPUser',
  'General',
];
const home = { organizationId: 1, mailboxId: 101 };

let server: TestServer;
let people: Readonly<Record<AuthLevel, { id: number; headers: Sent }>>;
let count = 0;
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000' } });
  people = Object.fromEntries(
    await Promise.all(levels.map(async (level) => [level, await addCaller(level)] as const)),
  ) as typeof people;
});
afterAll(() => server.close());

async function addCaller(authLevel: AuthLevel): Promise<{ id: number; headers: Sent }> {
  const id = await addUser(server, { login: `caller-${authLevel}`, authLevel, place: home });
  const key = randomUUID();
  await storeApiKey(server.core, id, key, {
    actorId: null,
    caller: { address: 'local', userAgent: 'test', requestId: 'test' },
  });
  return { id, headers: apiKey(key) };
}

function create(level: AuthLevel, more: object): Promise<EcgridAnswer> {
  count += 1;
  const body = { login: `made-${count}`, email: `made-${count}@users.example.com`, password: testPassword, ...more };
  return rest(server, 'POST', '/v2/users', { headers: people[level].headers, body });
}

function expectDenied(answer: EcgridAnswer): void {
  expectRefusal(answer, 403, 'AccessDenied', 'Access denied.');
}

// By hand from 6.7 and 8.2: the levels, highest first, that a caller may hand out.
const grants: [AuthLevel, string][] = [
  ['Root', '200 200 200 200 200 200 200 200 200'],
  ['TechOps', '403 200 200 200 200 200 200 200 200'],
  ['NetOps', '403 403 200 200 200 200 200 200 200'],
  ['NetworkAdmin', '403 403 403 200 200 200 200 200 200'],
  ['NetworkUser', '403 403 403 403 403 403 403 403 403'],
  ['MailboxAdmin', '403 403 403 403 403 403 403 403 403'],
  ['MailboxUser', '403 403 403 403 403 403 403 403 403'],
  ['TPUser', '403 403 403 403 403 403 403 403 403'],
  ['General', '403 403 403 403 403 403 403 403 403'],
];

describe('AUZ-01 who may hand out which level', () => {
  test.each(grants)('POST /v2/users by %s', async (level, row) => {
    const answers = [];
    for (const authLevel of levels) answers.push(await create(level, { authLevel }));
    expect(answers.map(({ status }) => status).join(' ')).toBe(row);
    for (const answer of answers) if (answer.status !== 200) expectDenied(answer);
  });

  test.each(grants)('POST /v2/users/role by %s', async (level, row) => {
    const answers = [];
    for (const authLevel of levels) {
      count += 1;
      const userId = await addUser(server, { login: `grown-${count}`, authLevel: 'General', place: home });
      const body = { userId, authLevel };
      answers.push(await rest(server, 'POST', '/v2/users/role', { headers: people[level].headers, body }));
    }
    expect(answers.map(({ status }) => status).join(' ')).toBe(row);
    for (const answer of answers) if (answer.status !== 200) expectDenied(answer);
  });
});

describe('AUZ-01 S16 networks and mailboxes of others', () => {
  test.each<[AuthLevel, object, number]>([
    ['NetOps', { networkId: 100 }, 200],
    ['NetOps', { networkId: 100, mailboxId: 200 }, 200],
    ['NetworkAdmin', {}, 200],
    ['NetworkAdmin', { networkId: 1, mailboxId: 101 }, 200],
    ['NetworkAdmin', { networkId: 100 }, 403],
    ['NetworkAdmin', { networkId: 99 }, 403],
    ['NetworkAdmin', { mailboxId: 200 }, 400],
  ])('POST /v2/users by %s with %j: %j', async (level, place, status) => {
    expect((await create(level, place)).status).toBe(status);
  });

  test('a NetworkAdmin without a network creates nobody', async () => {
    await addUser(server, { login: 'lone-admin', authLevel: 'NetworkAdmin' });
    const headers = bearer((await login(server, { login: 'lone-admin', password: testPassword })).token);
    const body = { login: 'lost', email: 'lost@users.example.com', password: testPassword };
    expectDenied(await rest(server, 'POST', '/v2/users', { headers, body }));
  });

  test.each(['/v2/users/set-network-mailbox', '/v2/users/role'])(
    '%s by a NetworkAdmin: within the network yes, out of it no',
    async (path) => {
      count += 1;
      const userId = await addUser(server, { login: `moved-${count}`, authLevel: 'General', place: home });
      const { headers } = people.NetworkAdmin;
      const move = (more: object) =>
        rest(server, 'POST', path, { headers, body: { userId, authLevel: 'NoChange', ...more } });
      expect((await move({ mailboxId: 0 })).status).toBe(200);
      expect((await move({ networkId: 1, mailboxId: 101 })).status).toBe(200);
      for (const networkId of [100, 99]) expectDenied(await move({ networkId }));
      const { body } = await rest(server, 'GET', `/v2/users/${userId}`, { headers });
      expect(body.data).toMatchObject({ networkId: 1, mailboxId: 101 });
    },
  );
});

describe('section 4: fields are judged before permission', () => {
  test.each<[string, object, RegExp]>([
    ['/v2/users', { login: 7 }, /^login /],
    ['/v2/users', { email: 'no-at-sign' }, /^email /],
    ['/v2/users', { login: 'x'.repeat(257) }, /^login /],
    ['/v2/users', { firstName: 'x'.repeat(101) }, /^firstName /],
    ['/v2/users/role', { userId: 1, authLevel: 'Boss' }, /^authLevel /],
    ['/v2/users/password', { userId: 1 }, /^newPassword /],
    ['/v2/users/set-network-mailbox', { userId: 0 }, /^userId /],
  ])('POST %s with a wrong field by a General is 400', async (path, wrong, message) => {
    const good = path === '/v2/users' ? { login: 'x', email: 'x@users.example.com', password: testPassword } : {};
    const answer = await rest(server, 'POST', path, { headers: people.General.headers, body: { ...good, ...wrong } });
    expectRefusal(answer, 400, 'InvalidParameter', message);
  });
});

describe('section 4: fields of PUT /v2/users are judged before the user is looked for', () => {
  test.each([{ email: 'no-at-sign' }, { firstName: 'x'.repeat(101) }, { lastName: 'x\0' }])(
    '%j is 400',
    async (wrong) => {
      for (const userId of [12345, 2_000_000_000]) {
        const { headers } = people.General;
        const answer = await rest(server, 'PUT', '/v2/users', { headers, body: { userId, ...wrong } });
        expectRefusal(answer, 400, 'InvalidParameter', new RegExp(`^${Object.keys(wrong)[0]} `));
      }
    },
  );
});

describe.each(engines.map((engine) => [engine]))('the last Root on %s', (engine) => {
  let own: TestServer;
  beforeEach(async () => {
    own = await startTestServer({ engine });
  }, 30_000);
  afterEach(() => own.close());

  /** Two Root users and nobody else of that level. */
  async function twoRoots(): Promise<[{ id: number; headers: Sent }, { id: number; headers: Sent }]> {
    count += 1;
    const second = { login: `root-${count}`, password: testPassword };
    const id = await addUser(own, { ...second, authLevel: 'Root' });
    return [
      { id: 1, headers: bearer((await login(own, demoUsers.admin)).token) },
      { id, headers: bearer((await login(own, second)).token) },
    ];
  }

  test('two Root users who delete each other at once: one remains, and the other is refused', async () => {
    const [first, second] = await twoRoots();
    const answers = await Promise.all([
      rest(own, 'DELETE', `/v2/users/${second.id}`, { headers: first.headers }),
      rest(own, 'DELETE', `/v2/users/${first.id}`, { headers: second.headers }),
    ]);
    expectOneRefused(answers);
  });

  test('two Root users who demote each other at once: one remains, and the other is refused', async () => {
    const [first, second] = await twoRoots();
    const demote = (userId: number, headers: Sent) =>
      rest(own, 'POST', '/v2/users/role', { headers, body: { userId, authLevel: 'General' } });
    expectOneRefused(await Promise.all([demote(second.id, first.headers), demote(first.id, second.headers)]));
  });
});

/** Whoever comes second is the would-be remover of the last Root, or no Root and no user any more when it is judged. */
function expectOneRefused(answers: readonly EcgridAnswer[]): void {
  const refused = answers.filter(({ status }) => status !== 200);
  expect(refused).toHaveLength(1);
  for (const answer of refused) {
    if (answer.status === 400) expectRefusal(answer, 400, 'InvalidParameter', /^id [^\r\n]+\.$/);
    else expect([401, 403, 404]).toContain(answer.status);
  }
}

describe('the last Root', () => {
  test('a suspended Root user does not count as another one', async () => {
    const own = await startTestServer();
    try {
      const second = await addUser(own, { login: 'second', authLevel: 'Root' });
      await setUserStatus(own, second, 'Suspended');
      expect(await setUserStatus(own, 1, 'Suspended').then(() => 'done', String)).toContain('input_invalid');
      const { token } = await login(own, demoUsers.admin);
      expect((await rest(own, 'DELETE', `/v2/users/${second}`, { headers: bearer(token) })).status).toBe(200);
    } finally {
      await own.close();
    }
  });
});
