import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { doorsOf, tokenOf } from '../support/http.ts';
import {
  endPrograms,
  fillGround,
  type Ground,
  makeGround,
  runProgram,
  type Server,
  startServing,
} from '../support/program.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { makeSmallDisk, missingForSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const john = { login: 'jsmith@example.com', password: 'Sup3r$ecret!' };
const reserveBytes = 4 * 1024 * 1024;

type Doors = ReturnType<typeof doorsOf>;

async function statusOfLogin(doors: Doors): Promise<number> {
  return (await doors.restLogin(john.login, john.password)).status;
}

/** Signs in until that is refused: the log may have room left from before. @returns how the last tries ended */
async function loginUntilRefused(doors: Doors): Promise<number> {
  for (let count = 0; count < 200; count += 1) {
    const status = await statusOfLogin(doors);
    if (status !== 200) return status;
  }
  return 200;
}

async function untilLoginWorks(doors: Doors, limitMs: number): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    const status = await statusOfLogin(doors);
    const passedMs = performance.now() - startedMs;
    if (status === 200 || passedMs > limitMs) return passedMs;
    await Bun.sleep(100);
  }
}

describe('F05, TS12: a file that may not grow', () => {
  let server: TestServer;
  let doors: Doors;
  beforeEach(async () => {
    server = await startTestServer({ settings: { CARDEA_SESSION_MAX_PER_USER: '10000' } });
    doors = doorsOf(server.url);
  });
  afterEach(() => server.close());

  const eventsTold = () => server.log.map((line) => (JSON.parse(line) as { event: string }).event);

  test('refuses logins as unavailable and nothing else as wrong; once it may grow, they work again', async () => {
    const token = tokenOf(await doors.restLogin(john.login, john.password));
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(server.core.store.db);
    await sql`pragma max_page_count = ${sql.lit(rows[0]?.page_count ?? 0)}`.execute(server.core.store.db);
    expect(await loginUntilRefused(doors)).toBe(503);
    expect(eventsTold()).toContain('store.disk_full');
    for (let count = 0; count < 20; count += 1) {
      expect((await doors.restSession(token)).status).toBe(200);
      expect((await doors.webSession(token)).status).toBe(200);
      expect((await doors.webLogin('jsmith@example.com', john.password)).status).toBe(503);
    }
    await sql`pragma max_page_count = 1000000`.execute(server.core.store.db);
    expect(await untilLoginWorks(doors, 10_000)).toBeLessThan(10_000);
    expect(eventsTold()).toContain('store.space_back');
    expect(statSync(join(server.directory, 'reserve.bin')).size).toBe(reserveBytes);
    expect((await doors.restLogout(token)).status).toBe(200);
  });
});

const suffix = missingForSmallDisk === undefined ? '' : ` (skipped: needs ${missingForSmallDisk})`;

describe.skipIf(missingForSmallDisk !== undefined)(`F05, TS12: a full disk${suffix}`, () => {
  let disk: SmallDisk;
  let ground: Ground;
  beforeEach(async () => {
    disk = makeSmallDisk(24);
    ground = makeGround({ CARDEA_DATA: join(disk.path, 'data'), CARDEA_SESSION_MAX_PER_USER: '10000' });
    await fillGround(ground);
  });
  afterEach(async () => {
    await endPrograms();
    ground.remove();
    disk.remove();
  });

  const reserve = () => statSync(join(disk.path, 'data', 'reserve.bin'), { throwIfNoEntry: false })?.size;

  async function fillDisk(server: Server): Promise<string[]> {
    const doors = doorsOf(server.url);
    const tokens: string[] = [];
    for (let count = 0; count < 30; count += 1) tokens.push(tokenOf(await doors.webLogin(john.login, john.password)));
    disk.fill();
    expect(await loginUntilRefused(doors)).toBe(503);
    return tokens;
  }

  test('checks go on, logins are refused, revocations pass through the reserve, and all works once there is space', async () => {
    const server = await startServing(ground.env);
    expect(reserve()).toBe(reserveBytes);
    const doors = doorsOf(server.url);
    const tokens = await fillDisk(server);
    expect(reserve()).toBeUndefined();
    for (const token of tokens) {
      expect(await statusOfLogin(doors)).toBe(503);
      expect((await doors.restSession(token)).status).toBe(200);
      expect((await doors.webLogout(token)).status).toBe(200);
      expect((await doors.restSession(token)).status).toBe(401);
    }
    disk.free();
    expect(await untilLoginWorks(doors, 10_000)).toBeLessThan(10_000);
    expect(reserve()).toBe(reserveBytes);
    expect(server.output()).toMatch(/"level":"error","event":"store\.disk_full"[^]*"event":"store\.space_back"/);
  });

  test('a server that is killed, and one that is stopped, starts again on it, and nothing revoked lives', async () => {
    let server = await startServing(ground.env);
    const [kept = '', revoked = ''] = await fillDisk(server);
    expect((await doorsOf(server.url).restLogout(revoked)).status).toBe(200);
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
      server.signal(signal);
      await server.exited;
      server = await startServing(ground.env);
      const doors = doorsOf(server.url);
      expect((await doors.webSession(kept)).status).toBe(200);
      expect((await doors.webSession(revoked)).status).toBe(401);
      expect(await statusOfLogin(doors)).toBe(503);
    }
    server.signal('SIGKILL');
    await server.exited;
    disk.fill();
    const { code, errors } = await runProgram(['serve'], { env: ground.env });
    expect(errors).toMatch(/^cardea: [^\n]*full[^\n]*\n$/);
    expect(code).toBe(1);
    disk.free();
    server = await startServing(ground.env);
    expect((await doorsOf(server.url).webSession(kept)).status).toBe(200);
    expect(await statusOfLogin(doorsOf(server.url))).toBe(200);
  });
});
