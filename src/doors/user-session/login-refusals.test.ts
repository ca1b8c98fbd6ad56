import { change } from '../../core/change.ts';
import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { comparable, expectRefusal, messages, postLogin, type WebAnswer } from '../../../tests/support/user-session.ts';
import { demoKey } from '../../cli/demo-data.ts';

const settings = {
  CARDEA_THROTTLE_FREE_TRIES: '100',
  CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
  CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
};
/** So many wrong passwords in a row lock a user. */
const lockAfter = 100;

const byPassword: [string, object][] = [
  ['a wrong password', { email: 'plain', password: 'wrong password' }],
  ['an unknown name', { email: 'nobody-at-all', password: testPassword }],
  ['a suspended user, right password', { email: 'suspended', password: testPassword }],
  ['a terminated user, right password', { email: 'terminated', password: testPassword }],
  ['a locked user, right password', { email: 'locked', password: testPassword }],
  ['a locked user, wrong password', { email: 'locked', password: 'wrong password' }],
  ['an e-mail of two users, right password', { email: 'twins@example.com', password: testPassword }],
  ['a login name that is the e-mail of another', { email: 'shared@example.com', password: testPassword }],
  ['a user who has no password', { email: 'keyonly', password: testPassword }],
];
const byKey: [string, object][] = [
  ['an unknown apiKey', { apiKey: 'apiKey-0', apiSecret: demoKey }],
  ['a wrong secret', { apiKey: 'apiKey-4821', apiSecret: '00000000-0000-0000-0000-000000000000' }],
  ['a secret that is no key', { apiKey: 'apiKey-4821', apiSecret: 'Sup3r$ecret!' }],
];

async function addRefusedUsers(server: TestServer): Promise<void> {
  await addUser(server, { login: 'plain' });
  await addUser(server, { login: 'suspended', status: 'Suspended' });
  await addUser(server, { login: 'terminated', status: 'Terminated' });
  await addUser(server, { login: 'twin-a', email: 'twins@example.com' });
  const twin = await addUser(server, { login: 'twin-b' });
  await addUser(server, { login: 'sharer', email: 'shared@example.com' });
  const shared = await addUser(server, { login: 'shared' });
  const locked = await addUser(server, { login: 'locked' });
  const keyOnly = await addUser(server, { login: 'keyonly' });
  // No operation makes these; an import of old data can.
  const force = (id: number, columns: object) =>
    change(server.core, (trx) => trx.updateTable('users').set(columns).where('id', '=', id).execute());
  await force(twin, { email_key: 'twins@example.com' });
  await force(shared, { login_key: 'shared@example.com' });
  await force(locked, { failed_passwords: lockAfter });
  await force(keyOnly, { password_hash: null });
}

describe('[9] refused logins look alike', () => {
  let server: TestServer;
  let reference: WebAnswer;
  beforeAll(async () => {
    server = await startTestServer({ settings });
    await addRefusedUsers(server);
    reference = await postLogin(server, { email: 'plain', password: 'wrong password' });
  });
  afterAll(() => server.close());

  test.each([...byPassword, ...byKey])('L01: %s: status, headers and bytes of a wrong password', async (_, body) => {
    const answer = await postLogin(server, body);
    expectRefusal(answer, 401, messages.refused);
    expect(comparable(answer)).toEqual(comparable(reference));
  });

  test.each(byPassword)('L01: %s costs one hash', async (_, body) => {
    const { hasher } = server.core;
    const runs = [spyOn(hasher, 'verify'), spyOn(hasher, 'verifyDummy'), spyOn(hasher, 'hash')];
    try {
      await postLogin(server, body);
      expect(runs.reduce((count, run) => count + run.mock.calls.length, 0)).toBe(1);
    } finally {
      for (const run of runs) run.mockRestore();
    }
  });

  test('the challenge says nothing of a token: none was refused', () => {
    expect(reference.headers.get('www-authenticate')).toBe('Bearer realm="Cardea"');
  });

  test('L27: a damaged or ruinous stored hash is a wrong login like any other', async () => {
    const ruinous =
      '$argon2id$v=19$m=4194304,t=4,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g';
    for (const [login, stored] of [
      ['damaged', 'not a hash'],
      ['ruinous', ruinous],
    ] as const) {
      const id = await addUser(server, { login });
      await server.core.store.db.updateTable('users').set({ password_hash: stored }).where('id', '=', id).execute();
      const answer = await postLogin(server, { email: login, password: testPassword });
      expect(comparable(answer)).toEqual(comparable(reference));
    }
  });
});

describe('[9] refused logins take the same time at the real cost of a hash', () => {
  const rounds = 6;
  const names = [
    'a wrong password',
    'an unknown name',
    'a suspended user, right password',
    'a locked user, right password',
  ];
  const bodies = byPassword.filter(([name]) => names.includes(name)).map(([, body]) => body);
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings, realHashes: true });
    await addRefusedUsers(server);
  });
  afterAll(() => server.close());

  test('tried in turn, no case is ten times as fast as another', async () => {
    const times = bodies.map((): number[] => []);
    for (let round = 0; round < rounds; round += 1) {
      for (const [index, body] of bodies.entries()) {
        const startedMs = performance.now();
        expect((await postLogin(server, body)).status).toBe(401);
        times[index]?.push(performance.now() - startedMs);
      }
    }
    const medians = times.map((each) => each.sort((a, b) => a - b)[rounds / 2] ?? 0);
    expect(medians).toHaveLength(4);
    expect(Math.max(...medians) / Math.min(...medians)).toBeLessThan(10);
  }, 30_000);
});
