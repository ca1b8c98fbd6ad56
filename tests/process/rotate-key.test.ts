import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Doors, doorsOf, tokenOf } from '../support/http.ts';
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

let ground: Ground;
let server: Server;
beforeAll(async () => {
  ground = makeGround();
  await fillGround(ground);
  server = await startServing(ground.env);
});
afterAll(async () => {
  await endPrograms();
  ground.remove();
});

const keyPath = () => join(ground.directory, 'signing-keys.json');
const readKeyFile = () => readFileSync(keyPath(), 'utf8');
const rotate = (...flags: string[]) => runProgram(['key', 'rotate', ...flags], { env: ground.env });
const doors = () => doorsOf(server.url);
const signIn = async () => tokenOf(await doors().restLogin(john.login, john.password));

function printedJson({ code, output, errors }: Finished): Record<string, unknown> {
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  return JSON.parse(output) as Record<string, unknown>;
}

describe('TOK-07: key rotate beside a running server', () => {
  test('signs with a new key, and what the former one signed goes on, to be used and to be refreshed', async () => {
    const before = await signIn();
    const { current, formerUntil, emergency } = printedJson(await rotate('--json'));
    expect(emergency).toBe(false);
    // Twelve hours, the longest life of a token with the default settings, and a minute.
    const lifeSeconds = Number(formerUntil) - Date.now() / 1000;
    expect(lifeSeconds).toBeGreaterThan(12 * 3600);
    expect(lifeSeconds).toBeLessThan(12 * 3600 + 90);
    expect(statSync(keyPath()).mode & 0o777).toBe(0o600);
    expect(readKeyFile()).not.toContain(String(current));

    const after = await signIn();
    for (const token of [before, after]) {
      expect((await doors().restSession(token)).status).toBe(200);
      expect((await doors().webSession(token)).status).toBe(200);
    }
    // The same session, by a token of the new key; its predecessor is dead for being used, not for its key.
    const refreshed = tokenOf(await doors().refresh(before));
    expect((await doors().restSession(refreshed)).status).toBe(200);
    expect((await doors().restSession(before)).status).toBe(401);
    const { output } = await runProgram(['doctor'], { env: ground.env });
    expect(output).toMatch(new RegExp(`^ok {3}signing keys +current ${String(current)}, former [0-9a-f]{8}$`, 'm'));
    expect(output).toMatch(/^ok {3}audit chain +whole$/m);
  });

  test('six times in a row under load, no good token is refused', async () => {
    const statuses = new Map<number, number>();
    let done = false;
    const load = async () => {
      let token = await signIn();
      for (let turn = 1; !done; turn += 1) {
        const { status } = await (turn % 2 === 0 ? doors().restSession(token) : doors().webSession(token));
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (turn % 50 === 0) token = tokenOf(await doors().refresh(token));
        // Well below the requests a second that a session may make.
        await Bun.sleep(8);
      }
    };
    const loads = [load(), load(), load()];
    const ids = new Set<unknown>();
    for (let count = 0; count < 6; count += 1) ids.add(printedJson(await rotate('--json'))['current']);
    done = true;
    await Promise.all(loads);
    expect(ids.size).toBe(6);
    expect([...statuses.keys()]).toEqual([200]);
  });

  test('in an emergency every session is dead when the command is done, and the former keys with them', async () => {
    const tokens = [await signIn(), tokenOf(await doors().webLogin(john.login, john.password))];
    const before = JSON.parse(readKeyFile()) as { current: string };
    const { formerUntil, emergency } = printedJson(await rotate('--emergency', '--yes', '--json'));
    expect({ formerUntil, emergency }).toEqual({ formerUntil: null, emergency: true });
    for (const token of tokens) {
      expect((await doors().restSession(token)).status).toBe(401);
      expect((await doors().webSession(token)).status).toBe(401);
      expect((await doors().refresh(token)).status).toBe(401);
    }
    expect(readKeyFile()).not.toContain(before.current);
    const fresh = await signIn();
    expect((await doors().restSession(fresh)).status).toBe(200);
    const { output } = await runProgram(['session', 'list'], { env: ground.env });
    expect(output.trim().split('\n')).toHaveLength(2);
  });

  test('asks before an emergency, and changes nothing for any other answer than yes', async () => {
    const token = await signIn();
    const before = readKeyFile();
    for (const input of ['', 'y\n', 'no\n', 'YES\n']) {
      const { code, output, errors } = await runProgram(['key', 'rotate', '--emergency'], { env: ground.env, input });
      expect({ code, output }).toEqual({ code: 1, output: '' });
      expect(errors).toMatch(/cardea: Nothing was changed\.\n$/);
    }
    expect(readKeyFile()).toBe(before);
    expect((await doors().restSession(token)).status).toBe(200);
    const agreed = await runProgram(['key', 'rotate', '--emergency'], { env: ground.env, input: 'yes\n' });
    expect(agreed.code).toBe(0);
    expect(agreed.output).toMatch(/^Key [0-9a-f]{8} signs from now on\.\nThe former keys count no more, and every/);
    expect((await doors().restSession(token)).status).toBe(401);
  });
});

test('TOK-07: of two servers that share database and keys, neither refuses what the other signs, whichever has the new key first', async () => {
  const own = makeGround({ CARDEA_DATABASE_URL: await testDatabaseUrl(), CARDEA_LIMITS_CHECKS_PER_SECOND: '100000' });
  try {
    await fillGround(own);
    const pair = [await startServing(own.env), await startServing(own.env)].map(({ url }) => doorsOf(url));
    const [one, other] = pair as [Doors, Doors];
    const refused: string[] = [];
    let [checks, done] = [0, false];
    const load = async (signs: Doors, asks: Doors) => {
      let token = tokenOf(await signs.restLogin(john.login, john.password));
      while (!done) {
        token = tokenOf(await signs.refresh(token));
        const { status } = await asks.restSession(token);
        checks += 1;
        if (status !== 200) refused.push(`${status} after ${checks} checks`);
      }
    };
    const loads = [load(one, other), load(other, one)];
    for (let count = 0; count < 5; count += 1) {
      expect((await runProgram(['key', 'rotate'], { env: own.env })).code).toBe(0);
    }
    done = true;
    await Promise.all(loads);
    // Every server has looked between the moment the new key verifies and the one at which it signs.
    const command = runProgram(['key', 'rotate'], { env: own.env });
    const file = join(own.directory, 'signing-keys.json');
    const next = () => (JSON.parse(readFileSync(file, 'utf8')) as { next: string | null }).next;
    while (next() === null) await Bun.sleep(2);
    const preparedMs = statSync(file).mtimeMs;
    expect((await command).code).toBe(0);
    expect(statSync(file).mtimeMs - preparedMs).toBeGreaterThan(240);
    expect(checks).toBeGreaterThan(50);
    expect(refused).toEqual([]);
  } finally {
    await endPrograms();
    own.remove();
  }
}, 60_000);

describe('TOK-07: key rotate without a server', () => {
  afterEach(endPrograms);

  test('is followed by the next start', async () => {
    const own = makeGround();
    try {
      await fillGround(own);
      let running = await startServing(own.env);
      const token = tokenOf(await doorsOf(running.url).restLogin(john.login, john.password));
      running.signal('SIGTERM');
      await running.exited;
      expect((await runProgram(['key', 'rotate'], { env: own.env })).code).toBe(0);
      running = await startServing(own.env);
      expect((await doorsOf(running.url).restSession(token)).status).toBe(200);
      running.signal('SIGKILL');
      await running.exited;
      expect((await runProgram(['key', 'rotate', '--emergency', '--yes'], { env: own.env })).code).toBe(0);
      running = await startServing(own.env);
      expect((await doorsOf(running.url).restSession(token)).status).toBe(401);
    } finally {
      await endPrograms();
      own.remove();
    }
  });

  test('says in one sentence that there are no keys yet', async () => {
    const own = makeGround();
    try {
      const { code, output, errors } = await runProgram(['key', 'rotate'], { env: own.env });
      expect({ code, output }).toEqual({ code: 1, output: '' });
      expect(errors).toMatch(/^cardea: There are no signing keys in .*; "cardea serve" makes them\.\n$/);
    } finally {
      own.remove();
    }
  });
});
