import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { doorsOf, tokenOf } from '../support/http.ts';
import {
  endPrograms,
  fillGround,
  type Ground,
  makeGround,
  programCommand,
  runProgram,
  type Server,
  startProgram,
  startServing,
} from '../support/program.ts';
import { startTestServer } from '../support/server.ts';
import { makeSmallDisk, missingForSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const john = { login: 'jsmith@example.com', password: 'Sup3r$ecret!' };

let ground: Ground;
beforeEach(async () => {
  ground = makeGround();
  await fillGround(ground);
});
afterEach(async () => {
  await endPrograms();
  ground.remove();
});

const database = () => join(ground.directory, 'cardea.db');

async function login(server: Server): Promise<string> {
  return tokenOf(await doorsOf(server.url).restLogin(john.login, john.password));
}

/** Why the server said that its store is broken: SQLite's word. */
function causeTold(server: Server): string | undefined {
  return /"level":"error","event":"store\.broken","error":\{[^\n]*?"code":"([A-Z_]+)"/.exec(server.output())?.[1];
}

describe('F08: a database that was moved or deleted', () => {
  test.each([
    ['moved', () => renameSync(database(), `${database()}.moved`)],
    ['deleted', () => rmSync(database())],
    ['exchanged', () => renameSync(join(ground.directory, 'other'), database())],
  ])('%s: no change is acknowledged from then on, readiness goes, and the process ends with 1', async (_what, work) => {
    await Bun.write(join(ground.directory, 'other'), Bun.file(database()));
    const server = await startServing(ground.env);
    const token = await login(server);
    work();
    // The next write notices it by itself, whether or not the watch came first: then there is no answer at all.
    expect([503, 0]).toContain((await doorsOf(server.url).restLogout(token)).status);
    expect(await server.exited).toBe(1);
    expect(causeTold(server)).toBe('SQLITE_READONLY_DBMOVED');
  });

  test('is noticed within 5 s also when nobody asks', async () => {
    const server = await startServing(ground.env);
    renameSync(database(), `${database()}.moved`);
    const startedMs = performance.now();
    expect(await server.exited).toBe(1);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    const next = await runProgram(['serve'], { env: ground.env });
    expect(next.code).toBe(1);
    expect(next.errors).toMatch(/cardea\.db is missing, although this directory had a database/);
    renameSync(`${database()}.moved`, database());
    const again = await startServing(ground.env);
    expect((await doorsOf(again.url).restLogin(john.login, john.password)).status).toBe(200);
  });
});

describe('OPS-03: readiness', () => {
  test('goes within 5 s after the file was moved, while checks are answered and no change is', async () => {
    const server = await startTestServer();
    const doors = doorsOf(server.url);
    const token = tokenOf(await doors.restLogin(john.login, john.password));
    const readiness = async () => (await fetch(`${server.url}/readyz`)).status;
    expect(await readiness()).toBe(200);
    const path = join(server.directory, 'cardea.db');
    renameSync(path, `${path}.moved`);
    const startedMs = performance.now();
    while ((await readiness()) === 200 && performance.now() - startedMs < 10_000) await Bun.sleep(50);
    expect(await readiness()).toBe(503);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect((await doors.restSession(token)).status).toBe(200);
    expect((await doors.restLogout(token)).status).toBe(503);
    expect((await doors.restLogin(john.login, john.password)).status).toBe(503);
    // What was moved back is not trusted by this process any more.
    renameSync(`${path}.moved`, path);
    expect((await doors.restLogout(token)).status).toBe(503);
    await server.close();
  });
});

describe('TS13: a database that turns out damaged under a running server', () => {
  test('ends the process with 1, after an answer that is not wrong, and the next start looks at the whole file', async () => {
    // A clean stop folds the log, so that the next server reads from the file.
    const first = await startServing(ground.env);
    const token = await login(first);
    first.signal('SIGTERM');
    await first.exited;
    const server = await startServing(ground.env);
    truncateSync(database(), Math.floor(statSync(database()).size / 3 / 4096) * 4096);
    const statuses = new Set<number>();
    for (let count = 0; count < 20; count += 1) {
      statuses.add((await doorsOf(server.url).restLogin('nobody@example.com', 'wrong password')).status);
      statuses.add((await doorsOf(server.url).restSession(token)).status);
    }
    for (const status of statuses) expect([0, 200, 401, 429, 503]).toContain(status);
    expect(statuses).toContain(503);
    expect(await server.exited).toBe(1);
    expect(causeTold(server)).toMatch(/^SQLITE_(CORRUPT|IOERR|NOTADB)/);
    expect((await runProgram(['serve'], { env: ground.env })).errors).toMatch(/is damaged/);
  });
});

const strace = Bun.which('strace');
const suffix = strace === null ? ' (skipped: needs strace)' : '';

describe.skipIf(strace === null)(`F04, TS13: a flush that fails${suffix}`, () => {
  test('that change is not acknowledged, nothing is acknowledged afterwards, and the process ends with 1', async () => {
    // The start itself flushes a few dozen times; later ones fail, all of them.
    const inject = 'inject=fsync,fdatasync:error=EIO:when=60+';
    const command = [strace ?? '', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', inject];
    const program = startProgram([...programCommand, 'serve'], { env: ground.env, command });
    const [, url = ''] = await program.waitFor(/"event":"server\.started","url":"([^"]+)"/);
    const statuses: number[] = [];
    const tokens: string[] = [];
    for (let count = 0; count < 60 && !statuses.includes(503); count += 1) {
      const answer = await doorsOf(url).restLogin(john.login, john.password);
      statuses.push(answer.status);
      if (answer.status === 200) tokens.push(tokenOf(answer));
    }
    expect(statuses.filter((status) => status !== 200)).toEqual([503]);
    expect([503, 0]).toContain((await doorsOf(url).restLogout(tokens[0] ?? '')).status);
    expect(await program.exited).toBe(1);
    expect(program.output()).toMatch(/"event":"store\.broken"[^\n]*SQLITE_IOERR_FSYNC/);
    const next = await startServing(ground.env);
    for (const token of tokens.slice(1)) expect((await doorsOf(next.url).restSession(token)).status).toBe(200);
  });
});

const diskSuffix = missingForSmallDisk === undefined ? '' : ` (skipped: needs ${missingForSmallDisk})`;

describe.skipIf(missingForSmallDisk !== undefined)(`F06: a disk that becomes read-only${diskSuffix}`, () => {
  let disk: SmallDisk;
  afterEach(() => disk.remove());

  test('checks go on, changes are refused as unavailable, and the process stays: a new one could not start', async () => {
    disk = makeSmallDisk(48);
    const own = makeGround({ CARDEA_DATA: join(disk.path, 'data') });
    await fillGround(own);
    const server = await startServing(own.env);
    const token = await login(server);
    const doors = doorsOf(server.url);
    disk.turnReadOnly();
    for (let count = 0; count < 10; count += 1) {
      expect((await doors.restLogin(john.login, john.password)).status).toBe(503);
      expect((await doors.restLogout(token)).status).toBe(503);
      expect((await doors.restSession(token)).status).toBe(200);
      expect((await doors.webSession(token)).status).toBe(200);
    }
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
    expect(server.output()).toMatch(/"event":"store\.broken"[^\n]*"readOnly":true/);
    server.signal('SIGTERM');
    await server.exited;
    own.remove();
  });
});
