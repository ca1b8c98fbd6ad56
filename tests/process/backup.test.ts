import { Database } from 'bun:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { damageFile } from '../support/damage.ts';
import { doorsOf, tokenOf } from '../support/http.ts';
import { testDatabaseUrl } from '../support/postgres.ts';
import {
  endPrograms,
  type Finished,
  fillGround,
  type Ground,
  makeGround,
  runProgram,
  type Server,
  startServing,
} from '../support/program.ts';

const john = { login: 'jsmith@example.com', password: 'Sup3r$ecret!' };
const johnsKey = 'F9E8D7C6-B5A4-3210-FEDC-BA9876543210';

let ground: Ground;
/** Where backups go: a directory of its own. */
let shelf: string;
beforeEach(async () => {
  ground = makeGround();
  await fillGround(ground);
  shelf = join(ground.directory, 'shelf');
  mkdirSync(shelf);
});
afterEach(async () => {
  await endPrograms();
  ground.remove();
});

const cardea = (...args: string[]) => runProgram(args, { env: ground.env });

/** @returns what the command printed; fails unless it worked */
function printed({ code, output, errors }: Finished): string {
  expect({ code, errors: code === 0 ? '' : errors }).toEqual({ code: 0, errors: '' });
  return output;
}

function expectRefusal({ code, output, errors }: Finished, sentence: RegExp): void {
  expect({ code, output }).toEqual({ code: 1, output: '' });
  expect(errors).toMatch(sentence);
  expect(errors).toMatch(/^(?:.*\n)*cardea: [^\n]+\n$/);
}

async function stop(server: Server): Promise<void> {
  server.signal('SIGTERM');
  expect(await server.exited).toBe(0);
}

async function login(server: Server): Promise<string> {
  return tokenOf(await doorsOf(server.url).restLogin(john.login, john.password));
}

/** What each token is answered at the two doors. */
async function answersTo(server: Server, tokens: readonly string[]): Promise<number[]> {
  const doors = doorsOf(server.url);
  const asked = tokens.flatMap((token) => [doors.restSession(token), doors.webSession(token)]);
  return (await Promise.all(asked)).map(({ status }) => status);
}

const database = () => join(ground.directory, 'cardea.db');

describe('F25, P5: backup and restore', () => {
  test('a backup under load, then revocations: the restore ends every session and keeps users, keys and rights', async () => {
    const server = await startServing(ground.env);
    const doors = doorsOf(server.url);
    const [kept, revoked] = [await login(server), await login(server)];
    let loading = true;
    const load = Array.from({ length: 3 }, async () => {
      while (loading) await doors.restSession(tokenOf(await doors.restLogin(john.login, john.password)));
    });
    const path = join(shelf, 'monday.db');
    expect(printed(await cardea('backup', path))).toMatch(
      /^Wrote \S+monday\.db \(\d\.\d MB, 3 users, .*Z\)\.\nKeep it private/,
    );
    loading = false;
    await Promise.all(load);
    expect((await doors.restLogout(revoked)).status).toBe(200);
    const later = await login(server);
    expect((await doors.makeKey(later, 4821)).status).toBe(200);
    expect((await doors.keySession(johnsKey)).status).toBe(401);
    await stop(server);

    const said = printed(await cardea('restore', path, '--yes'));
    expect(said).toMatch(/^Restored \S+monday\.db \(3 users, .*backup of .*Z.*\)\. Every session has ended\.\n/);
    const next = await startServing(ground.env);
    expect(next.output()).not.toContain('store.sessions_ended');
    expect(new Set(await answersTo(next, [kept, revoked, later]))).toEqual(new Set([401]));
    expect(await answersTo(next, [await login(next)])).toEqual([200, 200]);
    // As in the backup: the help says that a key revoked since lives again.
    expect((await doorsOf(next.url).keySession(johnsKey)).status).toBe(200);
    expect(printed(await cardea('user', 'list'))).toContain('MailboxAdmin');
    expect(printed(await cardea('doctor'))).toMatch(/All is well\.\n$/);
  });

  test('a backup is one whole private file, under a name with the time when a directory is given', async () => {
    const server = await startServing(ground.env);
    const report = JSON.parse(printed(await cardea('backup', shelf, '--json'))) as Record<string, unknown>;
    const [name = '', ...others] = readdirSync(shelf);
    expect({ others, name }).toEqual({ others: [], name: expect.stringMatching(/^cardea-\d{8}T\d{6}Z\.db$/) });
    const path = join(shelf, name);
    expect(report).toMatchObject({ path, users: 3, bytes: statSync(path).size });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const copy = new Database(path, { readonly: true });
    expect(copy.query('pragma integrity_check').values()).toEqual([['ok']]);
    copy.close();
    const keys = readFileSync(join(ground.directory, 'signing-keys.json'), 'utf8');
    const { current } = JSON.parse(keys) as { current: string };
    expect(readFileSync(path).includes(current)).toBe(false);
    await stop(server);
  });

  test('a backup never replaces a file unless told, and leaves nothing behind when it is refused', async () => {
    const path = join(shelf, 'old.db');
    writeFileSync(path, 'precious');
    expectRefusal(await cardea('backup', path), /old\.db exists already; choose another name, or add --replace/);
    expect(readFileSync(path, 'utf8')).toBe('precious');
    expectRefusal(await cardea('backup', join(shelf, 'no', 'where.db')), /There is no directory /);
    expectRefusal(await cardea('backup', join(ground.directory, 'x.db')), /lost together with the database/);
    expectRefusal(await cardea('backup', ground.directory), /lost together with the database/);
    truncateSync(database(), statSync(database()).size - 4096);
    expectRefusal(await cardea('backup', join(shelf, 'new.db')), /damaged|malformed/);
    expect(readdirSync(shelf)).toEqual(['old.db']);
    expect((await cardea('backup')).code).toBe(1);
  });

  test('--replace replaces; a stopped store can be backed up; where there is none, that is said', async () => {
    const path = join(shelf, 'old.db');
    writeFileSync(path, 'precious');
    printed(await cardea('backup', path, '--replace'));
    expect(statSync(path).size).toBeGreaterThan(100_000);
    const elsewhere = makeGround();
    expectRefusal(await runProgram(['backup', shelf], { env: elsewhere.env }), /There is no store at /);
    elsewhere.remove();
  });
});

describe('a restore', () => {
  let path: string;
  beforeEach(async () => {
    path = join(shelf, 'monday.db');
    printed(await cardea('backup', path));
  });

  test('is refused while a server runs, which goes on', async () => {
    const server = await startServing(ground.env);
    expectRefusal(await cardea('restore', path, '--yes'), /A Cardea server is using .*; stop it first\./);
    expect(await answersTo(server, [await login(server)])).toEqual([200, 200]);
  });

  test('asks before something is lost, and takes only yes for an answer', async () => {
    const before = readFileSync(database());
    for (const input of ['', 'no\n', 'y\n', '\n']) {
      const refused = await runProgram(['restore', path], { env: ground.env, input });
      expectRefusal(refused, /This replaces [^]*3 users[^]*Nothing was changed; answer yes, or add --yes/);
    }
    expect(readFileSync(database()).equals(before)).toBe(true);
    expect(printed(await runProgram(['restore', path], { env: ground.env, input: 'yes\n' }))).toContain('Restored');
  });

  test('refuses what is no sound backup, and changes nothing', async () => {
    const before = readFileSync(database());
    const make = (name: string, work: (file: string) => void) => {
      const file = join(shelf, name);
      copyFileSync(path, file);
      work(file);
      return file;
    };
    const edit = (statement: string) => (file: string) => {
      const copy = new Database(file);
      copy.run(statement);
      copy.close();
    };
    const sources: [file: string, sentence: RegExp][] = [
      [make('cut.db', (file) => truncateSync(file, statSync(file).size / 2)), /is damaged|is not a sound database/],
      [make('holed.db', damageFile), /is damaged/],
      [make('text.db', (file) => writeFileSync(file, 'not a database '.repeat(900))), /is not a sound database/],
      [make('empty.db', (file) => truncateSync(file, 0)), /is not a sound database/],
      [make('other.db', edit('drop table meta')), /is not a sound database/],
      [make('newer.db', edit("update meta set value = '999' where name = 'schema'")), /newer version of Cardea/],
      [make('used.db', (file) => writeFileSync(`${file}-wal`, 'log')), /in use, or was not left cleanly/],
      [join(shelf, 'missing.db'), /There is no file /],
      [database(), /is the database itself; --in-place/],
    ];
    for (const [source, sentence] of sources) expectRefusal(await cardea('restore', source, '--yes'), sentence);
    expectRefusal(await cardea('restore'), /Name the backup to restore, or --in-place/);
    expectRefusal(await cardea('restore', path, '--in-place'), /Name the backup to restore, or --in-place/);
    expect(readFileSync(database()).equals(before)).toBe(true);
    expect(readdirSync(ground.directory).filter((name) => name.includes('restoring'))).toEqual([]);
  });

  test('keeps the replaced database whole beside the new one, from which it can be undone', async () => {
    const server = await startServing(ground.env);
    printed(await cardea('user', 'disable', john.login));
    server.signal('SIGKILL');
    await server.exited;
    const { replaced } = JSON.parse(printed(await cardea('restore', path, '--yes', '--json'))) as { replaced: string };
    expect(
      readdirSync(ground.directory)
        .filter((name) => name.startsWith('cardea.db'))
        .sort(),
    ).toEqual(['cardea.db', replaced.slice(ground.directory.length + 1)]);
    expect(printed(await cardea('user', 'list'))).not.toContain('Suspended');
    printed(await cardea('restore', replaced, '--yes'));
    expect(printed(await cardea('user', 'list'))).toContain('Suspended');
  });

  test('works on a new machine without a question, and the server makes new keys', async () => {
    const machine = makeGround({ CARDEA_DATA: join(shelf, 'new', 'data') });
    const said = printed(await runProgram(['restore', path], { env: machine.env }));
    expect(said).toContain('Every session has ended.');
    expect(said).not.toContain('replaced');
    expect(statSync(join(shelf, 'new', 'data', 'cardea.db')).mode & 0o777).toBe(0o600);
    const server = await startServing(machine.env);
    expect(server.output()).not.toContain('First start');
    expect(await answersTo(server, [await login(server)])).toEqual([200, 200]);
    machine.remove();
  });

  test('leaves a line in the audit, whose chain stays whole', async () => {
    printed(await cardea('restore', path, '--yes'));
    const restored = new Database(database(), { readonly: true });
    const events = restored
      .query("select detail, user_agent from audit_events where event = 'store.restored'")
      .values();
    restored.close();
    expect(events).toEqual([['{"cause":"restored"}', 'cardea command line']]);
    expect(printed(await cardea('doctor'))).toMatch(/audit chain +whole/);
  });

  test('--in-place ends every session of the database as it is', async () => {
    const server = await startServing(ground.env);
    const token = await login(server);
    await stop(server);
    printed(await cardea('user', 'disable', 'soapuser'));
    expectRefusal(
      await runProgram(['restore', '--in-place'], { env: ground.env, input: 'no\n' }),
      /Nothing was changed/,
    );
    expect(printed(await cardea('restore', '--in-place', '--yes'))).toMatch(/^Every session has ended/);
    const next = await startServing(ground.env);
    expect(await answersTo(next, [token])).toEqual([401, 401]);
    expect(printed(await cardea('user', 'list'))).toContain('Suspended');
  });
});

describe('on PostgreSQL', () => {
  test('both commands name the database’s own tools, without the password, and --in-place ends every session', async () => {
    const url = await testDatabaseUrl();
    const { password } = new URL(url);
    const own = makeGround({ CARDEA_DATABASE_URL: url });
    await fillGround(own);
    const run = (...args: string[]) => runProgram(args, { env: own.env });
    const dump = await run('backup', join(shelf, "o'clock.dump"));
    expectRefusal(
      dump,
      /: pg_dump --format=custom --file='\S+o'\\''clock\.dump' 'postgres:\/\/postgres@127\.0\.0\.1:\d+\/\w+'$/m,
    );
    const back = await run('restore', join(shelf, 'monday.dump'));
    expectRefusal(
      back,
      /: pg_restore --clean .*--dbname='postgres:\S+' '\S+monday\.dump' && cardea restore --in-place$/m,
    );
    expect(dump.errors + back.errors).not.toContain(password);

    const server = await startServing(own.env);
    const token = await login(server);
    expectRefusal(await run('restore', '--in-place'), /Nothing was changed/);
    expect(await answersTo(server, [token])).toEqual([200, 200]);
    printed(await run('restore', '--in-place', '--yes'));
    expect(await answersTo(server, [token])).toEqual([401, 401]);
    expect(await answersTo(server, [await login(server)])).toEqual([200, 200]);
    own.remove();
  });
});
