import { Database } from 'bun:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  copyFileSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { startApp } from '../../src/app.ts';
import { writeDemoData } from '../../src/cli/demo-data.ts';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { doorsOf, tokenOf } from '../support/http.ts';
import { testDatabaseUrl } from '../support/postgres.ts';
import {
  endPrograms,
  fillGround,
  type Ground,
  makeGround,
  programCommand,
  runProgram,
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

function zero(path: string, from: number, length: number): void {
  writeSync(openSync(path, 'r+'), Buffer.alloc(length), 0, length, from);
}

describe('F07, DUR-02: a start on a damaged database is refused and changes nothing', () => {
  const damages: [damage: string, work: (path: string, size: number) => void, sentence: RegExp][] = [
    ['emptied', (path) => truncateSync(path, 0), /cardea\.db is empty; restore a backup with "cardea restore <file>"/],
    ['cut to half', (path, size) => truncateSync(path, size / 2), /is damaged \(.+\); restore a backup/],
    ['cut by its last page', (path, size) => truncateSync(path, size - 4096), /is damaged \(.+\); restore a backup/],
    ['cut within its header', (path) => truncateSync(path, 60), /is damaged \(.+\); restore a backup/],
    ['with a zeroed header', (path) => zero(path, 0, 100), /is damaged \(.+\); restore a backup/],
    ['with a zeroed page', (path) => zero(path, 8 * 4096, 4096), /is damaged \(.+\); restore a backup/],
    ['overwritten with text', (path) => writeFileSync(path, 'not a database '.repeat(2000)), /is damaged/],
  ];
  test.each(damages)('%s', async (_damage, work, sentence) => {
    await fillGround(ground);
    const path = join(ground.directory, 'cardea.db');
    work(path, statSync(path).size);
    const before = readFileSync(path);
    const { code, output, errors } = await runProgram(['serve'], { env: ground.env });
    expect(errors).toMatch(/^cardea: [^\n]+\n$/);
    expect(errors).toMatch(sentence);
    expect(output).toBe('');
    expect(code).toBe(1);
    expect(readFileSync(path).equals(before)).toBe(true);
    const doctor = await runProgram(['doctor'], { env: ground.env });
    expect(doctor.code).toBe(1);
    expect(doctor.output).toMatch(/^BAD {2}(database|integrity) .*(restore a backup|no store)/m);
  });

  test('a restored file serves again', async () => {
    await fillGround(ground);
    const path = join(ground.directory, 'cardea.db');
    copyFileSync(path, join(ground.directory, 'copy'));
    truncateSync(path, 0);
    expect((await runProgram(['serve'], { env: ground.env })).code).toBe(1);
    copyFileSync(join(ground.directory, 'copy'), path);
    const server = await startServing(ground.env);
    expect((await doorsOf(server.url).restLogin(john.login, john.password)).status).toBe(200);
  });

  test('a command beside a missing store says so and makes none', async () => {
    for (const args of [
      ['user', 'list'],
      ['session', 'list'],
      ['key', 'revoke', 'admin'],
    ]) {
      const { code, output, errors } = await runProgram(args, { env: ground.env });
      expect({ code, output }).toEqual({ code: 1, output: '' });
      expect(errors).toMatch(/^cardea: There are no signing keys in [^\n]+; "cardea serve" makes them\.\n$/);
    }
    await fillGround(ground);
    rmSync(join(ground.directory, 'cardea.db'));
    const { code, errors } = await runProgram(['user', 'list'], { env: ground.env });
    expect(code).toBe(1);
    expect(errors).toMatch(/^cardea: [^\n]+cardea\.db is missing, although this directory had a database[^\n]+\n$/);
    rmSync(join(ground.directory, 'database-mark.json'));
    const unknown = await runProgram(['user', 'list'], { env: ground.env });
    expect(unknown.code).toBe(1);
    expect(unknown.errors).toMatch(/^cardea: There is no store at [^\n]+cardea\.db\.\n$/);
  });
});

test('F08: a start waits for a moment while a command holds the file, and no command waits', async () => {
  await fillGround(ground);
  const holder = new Database(join(ground.directory, 'cardea.db'));
  holder.run('pragma locking_mode = exclusive');
  holder.run('begin exclusive');
  const command = await runProgram(['user', 'list'], { env: ground.env });
  expect(command.errors).toMatch(/^cardea: the store is busy; try again\. \([^\n]+\)\n$/);
  const starting = startProgram(['serve'], { env: ground.env });
  await starting.waitFor(/"event":"store\.not_reached"/);
  holder.close();
  const [, url = ''] = await starting.waitFor(/"event":"server\.started","url":"([^"]+)"/);
  expect((await doorsOf(url).restLogin(john.login, john.password)).status).toBe(200);
});

describe('F33: a database server that is not there', () => {
  const nowhere = 'postgres://cardea:s3cret-of-the-test@no-such-host.invalid/cardea';

  /** Everything a start logs, with the limit of a test in a hurry. */
  function start(databaseUrl: string, storeLimitMs: number, onLine: (line: string) => void = () => undefined) {
    const config = loadConfig({ ...ground.env, CARDEA_DATABASE_URL: databaseUrl });
    const log = createLog('debug', async (text) => text.trim().split('\n').forEach(onLine));
    const hashCost = { memoryKib: 1024, passes: 1 };
    return startApp({ config, log, hashCost, storeLimitMs, prepare: writeDemoData });
  }

  test('is asked again until the limit, with one warning a try and without the password, then the start fails', async () => {
    const lines: string[] = [];
    const failure = await start(nowhere, 2500, (line) => lines.push(line)).catch((error: unknown) => error);
    expect(String(failure)).toContain('store: unavailable');
    expect(lines.length).toBeGreaterThanOrEqual(2);
    expect(lines.length).toBeLessThanOrEqual(4);
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({ level: 'warn', event: 'store.not_reached' });
      expect(line).not.toContain('s3cret-of-the-test');
    }
  });

  test('is waited for: once it answers, the start goes on by itself', async () => {
    const target = new URL(await testDatabaseUrl());
    const gate = createServer((socket) => {
      const upstream = connect(Number(target.port), '127.0.0.1');
      for (const one of [socket, upstream]) one.on('error', () => undefined);
      socket.pipe(upstream).pipe(socket);
    });
    const port = await freePort(gate);
    const through = new URL(target);
    through.port = String(port);
    const app = await start(through.href, 20_000, (line) => {
      if (line.includes('store.not_reached') && !gate.listening) gate.listen(port, '127.0.0.1');
    });
    expect((await doorsOf(app.url).restLogin(john.login, john.password)).status).toBe(200);
    await app.stop();
    gate.close();
  });

  test('does not keep the program from being stopped, nor a command waiting', async () => {
    const env = { ...ground.env, CARDEA_DATABASE_URL: nowhere };
    const waiting = startProgram(['serve'], { env });
    await waiting.waitFor(/store\.not_reached/);
    expect(waiting.output()).toMatch(/"retryForSeconds":2\d,/);
    waiting.signal('SIGTERM');
    expect(await waiting.exited).not.toBe(0);
    // The keys are there now, so the command gets as far as the store.
    const { code, errors } = await runProgram(['user', 'list'], { env });
    expect(code).toBe(1);
    expect(errors).toMatch(/^cardea: the store cannot be reached or used \([^\n]+\)\.\n$/);
    expect(errors + waiting.output()).not.toContain('s3cret-of-the-test');
  });
});

/** A port that nobody listens on until the server is told to. */
async function freePort(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('TR1, LOG-04: a log that nobody reads', () => {
  test.each([
    ['a pipe that is closed', '> >(head -n 1 >/dev/null)'],
    ['a full disk', '>/dev/full'],
  ])('into %s does not end the server, which stops as ever', async (_sink, sink) => {
    await fillGround(ground);
    const port = await freePort(createServer());
    const server = startProgram([...programCommand, 'serve'], {
      env: { ...ground.env, CARDEA_HTTP_PORT: String(port), CARDEA_LOG_LEVEL: 'debug' },
      command: ['bash', '-c', `exec "$@" ${sink}`, 'bash'],
    });
    const doors = doorsOf(`http://127.0.0.1:${port}`);
    const login = await untilAnswered(() => doors.restLogin(john.login, john.password));
    for (let count = 0; count < 20; count += 1) {
      // The server writes a line for each.
      server.signal('SIGHUP');
      expect((await doors.restSession(tokenOf(login))).status).toBe(200);
    }
    server.signal('SIGTERM');
    expect(await server.exited).toBe(0);
    expect(server.errors()).toBe('');
  });
});

test('TR1, LOG-04: a log whose reader stalls stops no request, no command and no stop', async () => {
  await fillGround(ground);
  const port = await freePort(createServer());
  const server = startProgram([], {
    env: { ...ground.env, CARDEA_HTTP_PORT: String(port), CARDEA_HCX_ENABLED: 'false' },
    command: ['bash', '-c', 'exec "$@" > >(exec sleep 60 >/dev/null 2>&1)', 'bash', ...programCommand, 'serve'],
  });
  const doors = doorsOf(`http://127.0.0.1:${port}`);
  const token = tokenOf(await untilAnswered(() => doors.restLogin(john.login, john.password)));
  // The server writes two lines for each, far more than a pipe holds; then nothing can be written any more.
  for (let count = 0; count < 2_000; count += 1) {
    server.signal('SIGHUP');
    await Bun.sleep(1);
    if (count % 100 === 0) expect((await doors.restSession(token)).status).toBe(200);
  }
  expect((await runProgram(['key', 'rotate'], { env: ground.env })).code).toBe(0);
  expect((await doors.restLogin(john.login, john.password)).status).toBe(200);
  expect((await doors.restSession(token)).status).toBe(200);
  server.signal('SIGTERM');
  expect(await server.exited).toBe(0);
}, 60_000);

/** Asks until somebody listens: the start itself is what cannot be read here. */
async function untilAnswered<T extends { readonly status: number }>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer.status !== 0) return answer;
    await Bun.sleep(20);
  }
}
