import { Database } from 'bun:sqlite';
import { copyFileSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SQL } from 'bun';
import { currentSchema } from '../../src/store/migrations/index.ts';
import { doorsOf, tokenOf } from '../support/http.ts';
import { type Ground, type Program, runProgram } from '../support/program.ts';
import { testPassword } from '../support/users.ts';
import type { Fault, Scene } from './fault.ts';
import { createRandom } from './history/random.ts';
import { fillWithPlayers, historySettings } from './history/run.ts';
import { signIn } from './probe.ts';

type StoreName = 'SQLite' | 'PostgreSQL';
const stores: readonly StoreName[] = ['SQLite', 'PostgreSQL'];

/** F23, as far as one schema version goes: its migration makes an empty store ready. */
export const upgradeFaults: readonly Fault[] = [
  ...stores.map(
    (store): Fault => ({
      id: 'F23',
      title: `kill -9 inside a migration, ${store}`,
      guard: 'migration in one transaction',
      run: async (scene) => playKills(scene, await (store === 'SQLite' ? onSqlite : onPostgres)(scene)),
    }),
  ),
  {
    id: 'F23',
    title: 'two servers start together on an empty PostgreSQL',
    guard: 'migration lock',
    run: playTogether,
  },
  ...stores.map(
    (store): Fault => ({
      id: 'F23',
      title: `a database of a newer version, ${store}`,
      guard: 'refusing a newer schema',
      run: async (scene) => playNewer(scene, await (store === 'SQLite' ? onSqlite : onPostgres)(scene)),
    }),
  ),
];

/** Empty places of one kind of store, and what can be seen of them from outside. */
type Places = {
  readonly make: () => Promise<Ground>;
  /** Changes as soon as a start touches its store. */
  readonly trace: (ground: Ground) => Promise<string>;
  /** Names of tables and indexes, with the schema version where there is one; looking leaves no trace. */
  readonly look: (ground: Ground) => Promise<string>;
  readonly change: (ground: Ground, statement: string) => Promise<void>;
};

/** What an empty store shows. */
const nothing = '';

async function onSqlite(scene: Scene): Promise<Places> {
  const fileOf = ({ directory }: Ground) => join(directory, 'cardea.db');
  return {
    make: async () => scene.ground(historySettings),
    async trace({ directory }) {
      const names = readdirSync(directory).filter((name) => name.startsWith('cardea.db'));
      return names.map((name) => `${name} ${statSync(join(directory, name)).mtimeMs}`).join();
    },
    async look(ground) {
      // With its log, which an opened copy takes in.
      const copy = join(scene.directory(), 'look.db');
      if (!existsSync(fileOf(ground))) return nothing;
      for (const suffix of ['', '-wal']) {
        if (existsSync(fileOf(ground) + suffix)) copyFileSync(fileOf(ground) + suffix, copy + suffix);
      }
      using db = new Database(copy, { readwrite: true });
      const names = db.query('select name from sqlite_schema order by name').values().flat().join(' ');
      return names === ''
        ? nothing
        : `${names} ${String(db.query("select value from meta where name = 'schema'").values()[0])}`;
    },
    async change(ground, statement) {
      using db = new Database(fileOf(ground), { readwrite: true });
      db.run(statement);
    },
  };
}

async function onPostgres(scene: Scene): Promise<Places> {
  const cluster = await scene.cluster();
  const admin = new SQL(cluster.url, { max: 1 });
  scene.atEnd(() => admin.close({ timeout: 0 }));
  let made = 0;
  const run = async <Row>({ env }: Ground, text: string): Promise<Row[]> => {
    await using sql = new SQL(env['CARDEA_DATABASE_URL'] ?? '', { max: 1 });
    return [...(await sql.unsafe<Row[]>(text))];
  };
  const countConnections = async () => {
    const [row] = (await admin`
      select count(*)::int as count from pg_stat_activity where application_name = 'cardea'`) as { count: number }[];
    return row?.count ?? 0;
  };
  return {
    async make() {
      made += 1;
      return scene.ground({ ...historySettings, CARDEA_DATABASE_URL: await cluster.createDatabase(`empty_${made}`) });
    },
    trace: async () => ((await countConnections()) === 0 ? 'none' : 'some'),
    async look(ground) {
      // What was sent before the end is still done.
      while ((await countConnections()) > 0) await Bun.sleep(5);
      const rows = await run<{ name: string }>(
        ground,
        "select relname as name from pg_class where relnamespace = 'public'::regnamespace order by relname",
      );
      if (rows.length === 0) return nothing;
      const [schema] = await run<{ value: string }>(ground, "select value from meta where name = 'schema'");
      return `${rows.map(({ name }) => name).join(' ')} ${schema?.value ?? ''}`;
    },
    change: async (ground, statement) => void (await run(ground, statement)),
  };
}

/** A first start, in ms, until it serves. */
async function playUndisturbed(scene: Scene, places: Places): Promise<{ readonly ms: number; readonly whole: string }> {
  const ground = await places.make();
  const startMs = performance.now();
  const server = await scene.serve(ground.env);
  const ms = performance.now() - startMs;
  await kill(server);
  return { ms, whole: await places.look(ground) };
}

async function untilTouched({ trace }: Places, ground: Ground, before: string, program: Program): Promise<void> {
  let isOver = false;
  void program.exited.then(() => {
    isOver = true;
  });
  while (!isOver && (await trace(ground)) === before) await Bun.sleep(1);
}

async function kill(program: Program): Promise<void> {
  program.signal('SIGKILL');
  await program.exited;
}

/** After the first trace of the store its migration is a matter of so many milliseconds. */
const aimedWithinMs = 40;

async function playKills(scene: Scene, places: Places): Promise<void> {
  const random = createRandom(scene.seed);
  const { ms, whole } = await playUndisturbed(scene, places);
  const rounds = scene.times(8, 30);
  const seen = { none: 0, whole: 0, part: 0 };
  let unseen = 0;
  for (let round = 0; round < rounds; round += 1) {
    const ground = await places.make();
    const programs: Program[] = [];
    for (let count = 0; count < 3; count += 1) {
      const before = await places.trace(ground);
      const program = scene.start(ground.env);
      programs.push(program);
      // At any moment of the start, around the migration, and just as the store is made.
      if (count === 0) await Bun.sleep(random.below(Math.ceil(ms)));
      else {
        await untilTouched(places, ground, before, program);
        await Bun.sleep(random.below(count === 1 ? aimedWithinMs : 4));
      }
      await kill(program);
      const found = await places.look(ground).catch(String);
      seen[found === nothing ? 'none' : found === whole ? 'whole' : 'part'] += 1;
    }
    const server = await scene.serve(ground.env).catch((error: unknown) => {
      scene.require(false, `a clean start after kills fails: ${String(error)}`);
    });
    if (server === undefined) continue;
    unseen += (await signInAsAdministrator(scene, ground, [...programs, server], server.url)) ? 0 : 1;
    await kill(server);
  }
  scene.figure('a first start ms', ms);
  scene.figure('kills', rounds * 3);
  scene.figure('found empty, whole, in part', `${seen.none}, ${seen.whole}, ${seen.part}`);
  scene.figure('administrators made but not yet announced', unseen);
  scene.require(seen.part === 0, `${seen.part} kills left a part of a schema`);
  scene.require(
    scene.guardOff || (seen.none > 0 && seen.whole > 0),
    'no kill came before a migration, or none after one',
  );
}

/** Of all starts one has made the administrator. @returns whether the password was printed, which the kill may have kept from happening */
async function signInAsAdministrator(
  scene: Scene,
  ground: Ground,
  programs: readonly Program[],
  url: string,
): Promise<boolean> {
  const printed = programs.flatMap((program) => /^ {2}password {2}(\S+)$/m.exec(program.output())?.[1] ?? []);
  const isPrinted = printed.length > 0;
  scene.require(printed.length <= 1, `${printed.length} administrators were announced`);
  // As the operator does who has not seen it.
  if (!isPrinted) printed.push(await resetPassword(scene, ground));
  const { status } = await doorsOf(url).restLogin('admin', printed[0] ?? '');
  scene.require(status === 200, `the first administrator is answered with ${status}`);
  const { code, output } = await runProgram(['doctor'], { env: ground.env });
  scene.require(code === 0, `the doctor says: ${output}`);
  return isPrinted;
}

async function resetPassword(scene: Scene, { env }: Ground): Promise<string> {
  const { code, errors } = await runProgram(['user', 'passwd', 'admin', '--password-stdin'], {
    env,
    input: testPassword,
  });
  scene.require(code === 0, `a new password for the first administrator: ${errors}`);
  return testPassword;
}

async function playTogether(scene: Scene): Promise<void> {
  const places = await onPostgres(scene);
  const { whole } = await playUndisturbed(scene, places);
  const rounds = scene.times(6, 20);
  for (let round = 0; round < rounds; round += 1) {
    const ground = await places.make();
    const started = await Promise.allSettled([scene.serve(ground.env), scene.serve(ground.env)]);
    const servers = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    for (const one of started) {
      if (one.status === 'rejected') scene.require(false, String(one.reason));
    }
    const [first, second] = servers;
    if (first !== undefined && second !== undefined) {
      const announced = servers.flatMap((server) => /^ {2}password {2}(\S+)$/m.exec(server.output())?.[1] ?? []);
      scene.require(announced.length === 1, `${announced.length} administrators were announced`);
      const answer = await doorsOf(first.url).restLogin('admin', announced[0] ?? '');
      const { status } = await doorsOf(second.url).restSession(tokenOf(answer));
      scene.require(status === 200, `the other server answers with ${status}`);
    }
    await Promise.all(servers.map(kill));
    scene.require((await places.look(ground)) === whole, 'the schema is another than that of one start');
  }
  scene.figure('pairs', rounds);
}

async function playNewer(scene: Scene, places: Places): Promise<void> {
  const ground = await places.make();
  await fillWithPlayers(ground, 1);
  const before = await scene.serve(ground.env);
  const token = await signIn(before.url, 'player-0', testPassword);
  before.signal('SIGTERM');
  await before.exited;
  const setSchema = (version: number) =>
    places.change(ground, `update meta set value = '${version}' where name = 'schema'`);
  await setSchema(currentSchema + 1);
  const newer = await places.look(ground);
  const outcome = await scene.serve(ground.env).then(
    (server) => kill(server).then(() => 'served'),
    (error: unknown) => String(error),
  );
  const said = /cardea: (.*)/.exec(outcome)?.[1] ?? outcome;
  scene.figure('said', said);
  scene.require(/was written by a newer version of Cardea/.test(said), `a newer database: ${said}`);
  scene.require((await places.look(ground)) === newer, 'the start changed the schema');
  if (outcome === 'served') return;
  const { code } = await runProgram(['user', 'list'], { env: ground.env });
  scene.require(code !== 0, 'a command uses the newer database');
  await setSchema(currentSchema);
  const again = await scene.serve(ground.env);
  const { status } = await doorsOf(again.url).restSession(token);
  scene.require(status === 200, `its session is answered with ${status} by the version that can read it`);
}
