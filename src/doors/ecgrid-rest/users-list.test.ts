import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { bearer, expectRefusal, login, rest } from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';

let server: TestServer;
const tokens = new Map<string, string>();

/** Six users beside the demo's three: two networks, two mailboxes of network 1, one of no network. */
beforeAll(async () => {
  server = await startTestServer();
  const at = (organizationId: number, mailboxId: number | null) => ({ place: { organizationId, mailboxId } });
  await addUser(server, { login: 'net-admin', authLevel: 'NetworkAdmin', ...at(1, null) });
  await addUser(server, { login: 'net-user', authLevel: 'NetworkUser', ...at(1, null) });
  await addUser(server, { login: 'box-user', authLevel: 'MailboxUser', ...at(1, 101) });
  await addUser(server, { login: 'gone', authLevel: 'MailboxUser', ...at(1, 101), status: 'Suspended' });
  await addUser(server, { login: 'far-admin', authLevel: 'NetworkAdmin', ...at(100, 200) });
  await addUser(server, { login: 'nowhere', authLevel: 'NetworkAdmin' });
  for (const name of ['net-admin', 'net-user', 'box-user', 'far-admin', 'nowhere']) {
    tokens.set(name, (await login(server, { login: name, password: testPassword })).token);
  }
  for (const who of [demoUsers.admin, demoUsers.john]) tokens.set(who.login, (await login(server, who)).token);
});
afterAll(() => server.close());

const asked = (who: string, path: string, body: unknown) =>
  rest(server, 'POST', path, { headers: bearer(tokens.get(who) ?? ''), body });

async function listed(who: string, body: unknown = {}): Promise<string[]> {
  const answer = await asked(who, '/v2/users/list', body);
  expect(answer.status).toBe(200);
  return (answer.body.data as { login: string }[]).map((user) => user.login);
}

const everybody = [
  'admin',
  'jsmith@example.com',
  'soapuser',
  'net-admin',
  'net-user',
  'box-user',
  'gone',
  'far-admin',
  'nowhere',
];

describe('6.7 POST /v2/users/list', () => {
  test('shows all users to Root, by userId, as an empty body asks', async () => {
    expect(await listed('admin')).toEqual(everybody);
    const empty = await rest(server, 'POST', '/v2/users/list', { headers: bearer(tokens.get('admin') ?? '') });
    expect((empty.body.data as unknown[]).length).toBe(everybody.length);
  });

  // READ of section 8.2, written by hand.
  test.each([
    ['net-admin', ['admin', 'jsmith@example.com', 'net-admin', 'net-user', 'box-user', 'gone']],
    ['net-user', ['admin', 'jsmith@example.com', 'net-admin', 'net-user', 'box-user', 'gone']],
    ['jsmith@example.com', ['jsmith@example.com', 'box-user', 'gone']],
    ['box-user', ['box-user']],
    ['far-admin', ['soapuser', 'far-admin']],
    ['nowhere', ['nowhere']],
  ])('AUZ-01: shows %s only whom it may read', async (who, expected) => {
    expect(await listed(who)).toEqual(expected);
  });

  test.each([
    [{ networkId: 100 }, ['soapuser', 'far-admin']],
    [{ networkId: 1, mailboxId: 101 }, ['jsmith@example.com', 'box-user', 'gone']],
    [{ authLevel: 'NetworkAdmin' }, ['net-admin', 'far-admin', 'nowhere']],
    [{ authLevel: 'NoChange' }, everybody],
    [{ status: 'Suspended' }, ['gone']],
    [{ networkId: 1, authLevel: 'MailboxUser', status: 'Active' }, ['box-user']],
    [{ networkId: 0, mailboxId: 0 }, everybody],
    [{ networkId: 2_147_483_647 }, []],
  ])('filters by %j', async (filter, expected) => {
    expect(await listed('admin', filter)).toEqual(expected);
  });

  test('a filter widens nobody’s view', async () => {
    expect(await listed('far-admin', { networkId: 1 })).toEqual([]);
    expect(await listed('box-user', { networkId: 1, mailboxId: 101 })).toEqual(['box-user']);
  });

  test('pages are slices of one order, and one beyond the end is empty', async () => {
    expect(await listed('admin', { pageNo: 1, recordsPerPage: 4 })).toEqual(everybody.slice(0, 4));
    expect(await listed('admin', { pageNo: 2, recordsPerPage: 4 })).toEqual(everybody.slice(4, 8));
    expect(await listed('admin', { pageNo: 3, recordsPerPage: 4 })).toEqual(everybody.slice(8));
    expect(await listed('admin', { pageNo: 4, recordsPerPage: 4 })).toEqual([]);
    expect(await listed('admin', { recordsPerPage: 1 })).toEqual(['admin']);
    expect(await listed('admin', { recordsPerPage: 500, pageNo: 1 })).toEqual(everybody);
  });

  test.each([
    ['recordsPerPage', 0],
    ['recordsPerPage', 501],
    ['recordsPerPage', -1],
    ['recordsPerPage', 1.5],
    ['recordsPerPage', '25'],
    ['recordsPerPage', null],
    ['pageNo', 0],
    ['pageNo', 1e308],
    ['networkId', -1],
    ['mailboxId', 2_147_483_648],
    ['authLevel', 'root'],
    ['status', 'active'],
  ])('%s %j: 400 that names it', async (field, value) => {
    const answer = await asked('admin', '/v2/users/list', { [field]: value });
    expectRefusal(answer, 400, 'InvalidParameter', new RegExp(`^${field} [^\\r\\n]+\\.$`));
  });
});

describe('6.7 POST /v2/users/by-name', () => {
  test('finds a readable user in any letter case, and tells nothing of others', async () => {
    const find = async (who: string, name: string) =>
      ((await asked(who, '/v2/users/by-name', { login: name })).body.data as { login: string }[]).map(
        (user) => user.login,
      );
    expect(await find('net-admin', 'BOX-user')).toEqual(['box-user']);
    expect(await find('net-admin', 'far-admin')).toEqual([]);
    expect(await find('net-admin', 'no-such-user')).toEqual([]);
    expect(await find('box-user', 'net-admin')).toEqual([]);
    expect(await find('box-user', 'box-user')).toEqual(['box-user']);
  });
});
