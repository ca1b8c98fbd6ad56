import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { createFirstAdministrator, listUsers } from '../../src/core/index.ts';
import { call, doorsOf, tokenOf } from '../support/http.ts';
import { testDatabaseUrl } from '../support/postgres.ts';
import { endPrograms, type Ground, makeGround, type Server, startProgram, startServing } from '../support/program.ts';
import { startTestServer } from '../support/server.ts';

const grounds: Ground[] = [];

function newGround(settings: Readonly<Record<string, string>> = {}): Ground {
  const ground = makeGround(settings);
  grounds.push(ground);
  return ground;
}

afterEach(async () => {
  await endPrograms();
  for (const ground of grounds.splice(0)) ground.remove();
});

const passwordLine = /^ {2}password {2}(\S+)$/gm;

function printedPasswords(...outputs: readonly string[]): string[] {
  return outputs.flatMap((output) => [...output.matchAll(passwordLine)].map((match) => match[1] ?? ''));
}

async function stop(server: Server): Promise<void> {
  server.signal('SIGTERM');
  expect(await server.exited).toBe(0);
}

async function userCount(server: Server, password: string): Promise<number> {
  const login = await doorsOf(server.url).restLogin('admin', password);
  const list = await call(`${server.url}/v2/users/list`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${tokenOf(login)}` },
    body: {},
  });
  expect(list.status).toBe(200);
  return (list.body['data'] as unknown[]).length;
}

describe('AUT-12, L22: the first start', () => {
  test('prints the one administrator’s random password once, and the second start prints none', async () => {
    const ground = newGround();
    const first = await startServing(ground.env);
    await stop(first);
    const second = await startServing(ground.env);
    const [password = '', ...more] = printedPasswords(first.output(), second.output());
    expect(more).toEqual([]);
    expect(first.output().split(password)).toHaveLength(2);
    expect(first.errors() + second.output() + second.errors()).not.toContain(password);
    // 24 characters of 64 are 144 bits; 120 would be 20.
    expect(password).toMatch(/^[A-Za-z0-9_-]{24}$/);
    expect(await userCount(second, password)).toBe(1);
  });

  test('chooses another password on every installation', async () => {
    const servers = await Promise.all([newGround(), newGround(), newGround()].map(({ env }) => startServing(env)));
    const passwords = printedPasswords(...servers.map((server) => server.output()));
    expect(new Set(passwords).size).toBe(3);
  });

  test('knows none of the usual default accounts', async () => {
    const server = await startServing(newGround({ CARDEA_THROTTLE_FREE_TRIES: '50' }).env);
    const pairs = ['admin', 'password', 'changeme', 'cardea', 'VMware1!', 'root', 'administrator', '12345678'];
    for (const password of pairs) {
      expect((await doorsOf(server.url).restLogin('admin', password)).status).toBe(401);
    }
    for (const demo of ['jsmith@example.com', 'soapuser']) {
      expect((await doorsOf(server.url).webLogin(demo, 'Sup3r$ecret!')).status).toBe(401);
    }
    expect((await doorsOf(server.url).keySession('F9E8D7C6-B5A4-3210-FEDC-BA9876543210')).status).toBe(401);
  });

  test('L22: the printed password is dead after the first change', async () => {
    const server = await startServing(newGround().env);
    const doors = doorsOf(server.url);
    const [password = ''] = printedPasswords(server.output());
    const token = tokenOf(await doors.restLogin('admin', password));
    expect((await doors.changePassword(token, password, 'seven grey geese')).status).toBe(200);
    expect((await doors.restLogin('admin', password)).status).toBe(401);
    expect((await doors.webLogin('admin', password)).status).toBe(401);
    expect((await doors.restLogin('admin', 'seven grey geese')).status).toBe(200);
  });

  test('P07, S25: two parallel first starts on one directory make one administrator; the second is refused', async () => {
    const { env } = newGround();
    const programs = [startProgram(['serve'], { env }), startProgram(['serve'], { env })];
    const winner = await Promise.any(programs.map((program) => program.waitFor(/server\.started/).then(() => program)));
    const loser = programs.find((program) => program !== winner);
    expect(await loser?.exited).toBe(1);
    expect(loser?.errors()).toMatch(/^cardea: Another Cardea server is using [^\n]+\n$/);
    const passwords = printedPasswords(...programs.map((program) => program.output()));
    expect(passwords).toHaveLength(1);
    const [, url = ''] = await winner.waitFor(/"url":"([^"]+)"/);
    expect(await userCount({ ...winner, url }, passwords[0] ?? '')).toBe(1);
  });

  test('P07: three parallel first starts on one PostgreSQL make one administrator, and all serve', async () => {
    const CARDEA_DATABASE_URL = await testDatabaseUrl();
    const envs = [newGround(), newGround(), newGround()].map(({ env }) => ({ ...env, CARDEA_DATABASE_URL }));
    const servers = await Promise.all(envs.map(startServing));
    const passwords = printedPasswords(...servers.map((server) => server.output()));
    expect(passwords).toHaveLength(1);
    for (const server of servers) expect(await userCount(server, passwords[0] ?? '')).toBe(1);
  }, 30_000);
});

describe('AUT-12, L22: the first password in time', () => {
  const caller = { address: 'local', userAgent: 'test', requestId: 'test' };
  let password: string | null = null;
  let server: Awaited<ReturnType<typeof startTestServer>>;
  beforeEach(async () => {
    server = await startTestServer({
      prepare: async (core) => {
        password = await createFirstAdministrator(core, caller);
      },
    });
  });
  afterEach(() => server.close());

  const signIn = async () => (await doorsOf(server.url).restLogin('admin', password ?? '')).status;

  test('it signs in through the last second of its 24 hours and never after', async () => {
    server.clock.advance(24 * 3600 - 1);
    expect(await signIn()).toBe(200);
    server.clock.advance(1);
    expect(await signIn()).toBe(401);
    server.clock.advance(365 * 24 * 3600);
    expect(await signIn()).toBe(401);
  });

  test('a changed one goes on after 24 hours', async () => {
    const doors = doorsOf(server.url);
    const token = tokenOf(await doors.restLogin('admin', password ?? ''));
    expect((await doors.changePassword(token, password ?? '', 'seven grey geese')).status).toBe(200);
    server.clock.advance(48 * 3600);
    expect((await doors.restLogin('admin', 'seven grey geese')).status).toBe(200);
  });

  test('a first start that is repeated on the same store makes nobody', async () => {
    expect(await createFirstAdministrator(server.core, caller)).toBeNull();
    const users = await listUsers(server.core, 'system', { page: 1, perPage: 500 });
    expect(users.map(({ login, authLevel }) => ({ login, authLevel }))).toEqual([
      { login: 'admin', authLevel: 'Root' },
    ]);
  });
});
