import { Database } from 'bun:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { SQL } from 'bun';
import { doorsOf, tokenOf } from '../support/http.ts';
import { testDatabaseUrl } from '../support/postgres.ts';
import {
  endPrograms,
  fillGround,
  type Ground,
  makeGround,
  type Program,
  runProgram,
  type Server,
  startProgram,
  startServing,
} from '../support/program.ts';

const john = { login: 'jsmith@example.com', password: 'Sup3r$ecret!' };

let ground: Ground;
beforeEach(() => {
  ground = makeGround();
});
afterEach(async () => {
  await endPrograms();
  ground.remove();
});

const cardea = (...args: string[]) => runProgram(args, { env: ground.env });
const inGround = (name: string) => join(ground.directory, name);

async function login(server: Server): Promise<string> {
  return tokenOf(await doorsOf(server.url).restLogin(john.login, john.password));
}

async function answerTo(server: Server, token: string): Promise<number> {
  return (await doorsOf(server.url).webSession(token)).status;
}

async function end(server: Program, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  server.signal(signal);
  await server.exited;
}

/** Whether the start said that it ended every session, and why. */
function causeTold(server: Program): string | undefined {
  return /"level":"warn","event":"store\.sessions_ended","cause":"([a-z_]+)"/.exec(server.output())?.[1];
}

/** What an operator does who restores by hand: the files of the database go, the copy comes. */
function copyBack(copy: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(inGround(`cardea.db${suffix}`), { force: true });
  copyFileSync(copy, inGround('cardea.db'));
}

describe('F25, P5: a file copied back by hand is noticed, and every session ends', () => {
  test.each(['SIGTERM', 'SIGKILL'] as const)('a backup, after %s of the server that made it', async (signal) => {
    await fillGround(ground);
    const server = await startServing(ground.env);
    const [kept, revoked] = [await login(server), await login(server)];
    const other = makeGround();
    const backup = join(other.directory, 'shelf.db');
    expect((await cardea('backup', backup)).code).toBe(0);
    await doorsOf(server.url).restLogout(revoked);
    await end(server, signal);
    copyBack(backup);

    const refused = await cardea('user', 'list');
    expect(refused.errors).toMatch(/^cardea: The database is a copy from the past[^\n]+\n$/);
    expect((await cardea('doctor')).output).toMatch(/^BAD {2}lineage +a copy from the past/m);
    const next = await startServing(ground.env);
    expect(causeTold(next)).toBe('backup_copied');
    expect([await answerTo(next, kept), await answerTo(next, revoked)]).toEqual([401, 401]);
    const fresh = await login(next);
    expect(await answerTo(next, fresh)).toBe(200);
    await end(next, 'SIGTERM');
    const again = await startServing(ground.env);
    expect(causeTold(again)).toBeUndefined();
    expect(await answerTo(again, fresh)).toBe(200);
    other.remove();
  });

  test('a plain copy made while the server was stopped', async () => {
    await fillGround(ground);
    const first = await startServing(ground.env);
    const token = await login(first);
    await end(first, 'SIGTERM');
    copyFileSync(inGround('cardea.db'), inGround('copy'));
    const second = await startServing(ground.env);
    expect(await answerTo(second, token)).toBe(200);
    await doorsOf(second.url).restLogout(token);
    await end(second, 'SIGTERM');
    copyBack(inGround('copy'));
    const third = await startServing(ground.env);
    expect(causeTold(third)).toBe('older_database');
    expect(await answerTo(third, token)).toBe(401);
    const audit = new Database(inGround('cardea.db'), { readonly: true });
    const events = audit.query("select detail from audit_events where event = 'store.restored'").values();
    audit.close();
    expect(events).toEqual([['{"cause":"older_database"}']]);
  });

  test('a plain copy made in the same run, by the audit that had gone further', async () => {
    await fillGround(ground);
    const server = await startServing(ground.env);
    const token = await login(server);
    for (const suffix of ['', '-wal']) copyFileSync(inGround(`cardea.db${suffix}`), inGround(`copy${suffix}`));
    await doorsOf(server.url).restLogout(token);
    await end(server, 'SIGTERM');
    copyFileSync(inGround('copy'), inGround('cardea.db'));
    copyFileSync(inGround('copy-wal'), inGround('cardea.db-wal'));
    const next = await startServing(ground.env);
    expect(causeTold(next)).toBe('older_database');
    expect(await answerTo(next, token)).toBe(401);
  });

  test('the database of another installation, and a mark that cannot be read', async () => {
    await fillGround(ground);
    const other = makeGround();
    await fillGround(other);
    copyBack(join(other.directory, 'cardea.db'));
    const server = await startServing(ground.env);
    expect(causeTold(server)).toBe('other_database');
    await end(server, 'SIGTERM');
    for (const text of ['', '{"engine":"sqlite"}', '[]', 'null', '{"engine":"sqlite","starts":-1}']) {
      writeFileSync(inGround('database-mark.json'), text);
      const next = await startServing(ground.env);
      expect(causeTold(next)).toBe('mark_damaged');
      await end(next, 'SIGTERM');
    }
    other.remove();
  });

  test('a database that a PostgreSQL tool brought back', async () => {
    const url = await testDatabaseUrl();
    const { name, admin } = { name: new URL(url).pathname.slice(1), admin: new SQL(postgresOf(url), { max: 1 }) };
    ground.remove();
    ground = makeGround({ CARDEA_DATABASE_URL: url });
    await fillGround(ground);
    await admin.unsafe(`create database ${name}_dump template ${name}`);
    const server = await startServing(ground.env);
    const token = await login(server);
    await end(server, 'SIGTERM');
    await admin.unsafe(`drop database ${name} with (force)`);
    await admin.unsafe(`create database ${name} template ${name}_dump`);
    await admin.close();
    const next = await startServing(ground.env);
    expect(causeTold(next)).toBe('older_database');
    expect(await answerTo(next, token)).toBe(401);
    expect(await answerTo(next, await login(next))).toBe(200);
  });
});

function postgresOf(url: string): string {
  const target = new URL(url);
  target.pathname = '/postgres';
  return target.href;
}

describe('F07: a log that is missing after an unclean stop', () => {
  test('keeps start, commands and backups from running, and the way out is named', async () => {
    await fillGround(ground);
    const server = await startServing(ground.env);
    const token = await login(server);
    await end(server, 'SIGKILL');
    renameSync(inGround('cardea.db-wal'), inGround('lost'));
    const before = readFileSync(inGround('cardea.db'));
    const sentence = /^cardea: \S+cardea\.db-wal is missing[^\n]+"cardea restore <file>"[^\n]+--in-place[^\n]+\n$/;
    for (const args of [['serve'], ['user', 'list'], ['backup', '/nowhere.db']]) {
      const { code, output, errors } = await cardea(...args);
      expect({ code, output }).toEqual({ code: 1, output: '' });
      expect(errors).toMatch(sentence);
    }
    expect((await cardea('doctor')).output).toMatch(/^BAD {2}database +\S+-wal is missing/m);
    expect(readFileSync(inGround('cardea.db')).equals(before)).toBe(true);
    expect(existsSync(inGround('cardea.db-wal'))).toBe(false);

    renameSync(inGround('lost'), inGround('cardea.db-wal'));
    const next = await startServing(ground.env);
    expect(await answerTo(next, token)).toBe(200);
    await end(next, 'SIGKILL');
    rmSync(inGround('cardea.db-wal'));
    expect((await cardea('restore', '--in-place', '--yes')).code).toBe(0);
    const last = await startServing(ground.env);
    expect(await answerTo(last, token)).toBe(401);
    expect(await answerTo(last, await login(last))).toBe(200);
  });

  test('is not suspected after a clean stop, a kill at any moment, a command after a kill, or a start that failed', async () => {
    await fillGround(ground);
    for (let round = 0; round < 6; round += 1) {
      const starting = startProgram(['serve'], { env: ground.env });
      await Bun.sleep(60 * round);
      await end(starting, 'SIGKILL');
    }
    const first = await startServing(ground.env);
    const token = await login(first);
    await end(first, 'SIGKILL');
    expect((await cardea('user', 'list')).code).toBe(0);
    expect((await cardea('doctor')).code).toBe(0);
    expect(statSync(inGround('cardea.db-wal')).size).toBe(0);
    const second = await startServing(ground.env);
    await end(second, 'SIGKILL');
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    const env = { ...ground.env, CARDEA_HTTP_PORT: String(port) };
    expect((await runProgram(['serve'], { env })).errors).toMatch(/the port is in use/);
    taken.close();
    const third = await startServing(ground.env);
    expect(await answerTo(third, token)).toBe(200);
    await end(third, 'SIGTERM');
    expect(existsSync(inGround('cardea.db-wal'))).toBe(false);
    const last = await startServing(ground.env);
    expect(await answerTo(last, token)).toBe(200);
    expect(causeTold(last)).toBeUndefined();
  });

  test('of another database, which would be played onto a backup that was copied to its place, is refused', async () => {
    await fillGround(ground);
    const other = makeGround();
    const server = await startServing(ground.env);
    expect((await cardea('backup', join(other.directory, 'shelf.db'))).code).toBe(0);
    await login(server);
    await end(server, 'SIGKILL');
    copyFileSync(join(other.directory, 'shelf.db'), inGround('cardea.db'));
    for (const args of [['serve'], ['user', 'list'], ['restore', '--in-place', '--yes']]) {
      const { code, errors } = await cardea(...args);
      expect(code).toBe(1);
      expect(errors).toMatch(/was exchanged, but the log of the former database still lies beside it/);
    }
    expect((await cardea('restore', join(other.directory, 'shelf.db'), '--yes')).code).toBe(0);
    const next = await startServing(ground.env);
    expect(await answerTo(next, await login(next))).toBe(200);
    other.remove();
  });
});

describe('a database that is gone', () => {
  test('is not taken for a first start, which would make a new administrator', async () => {
    await fillGround(ground);
    rmSync(inGround('cardea.db'));
    const { code, output, errors } = await cardea('serve');
    expect({ code, output }).toEqual({ code: 1, output: '' });
    expect(errors).toMatch(
      /cardea\.db is missing, although this directory had a database: restore a backup with "cardea/,
    );
    expect(existsSync(inGround('cardea.db'))).toBe(false);
    rmSync(inGround('database-mark.json'));
    expect((await startServing(ground.env)).output()).toContain('First start');
  });

  test('F23: nor is an empty file, but where there never was a database: there a first start was killed', async () => {
    writeFileSync(inGround('cardea.db'), '');
    const first = await startServing(ground.env);
    expect(first.output()).toContain('First start');
    await end(first, 'SIGTERM');
    writeFileSync(inGround('cardea.db'), '');
    expect((await cardea('serve')).errors).toMatch(/cardea\.db is empty; restore a backup/);
    expect(statSync(inGround('cardea.db')).size).toBe(0);
  });
});
