import { afterAll, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test';
import { CoreError } from './errors.ts';
import { type Hasher, type HashLaneOptions, startHasher } from './hash-lane.ts';

// Cheap hashes: what is tested here is the lane and the parsing, not argon2's strength.
const cheap: HashLaneOptions = { width: 1, memoryKib: 1_024, passes: 1, queueLength: 16, queueMs: 60_000 };

// The children run at the lowest priority, so a machine busy with other work leaves them very little.
setDefaultTimeout(60_000);

const modulePath = new URL('./hash-lane.ts', import.meta.url).pathname;
const body = `$${'A'.repeat(43)}$${'A'.repeat(43)}`;

const lane = startHasher(cheap);
afterAll(() => lane.close());

/** Process ids of the hash workers below `parent`, with their nice value. */
function listWorkers(parent: number): { pid: number; nice: number }[] {
  const rows = Bun.spawnSync(['ps', '-A', '-o', 'pid=,ppid=,nice=,args=']).stdout.toString().split('\n');
  return rows
    .filter((row) => row.includes('hash-worker.ts'))
    .map((row) => row.trim().split(/\s+/).map(Number))
    .filter(([, ppid]) => ppid === parent)
    .map(([pid = 0, , nice = 0]) => ({ pid, nice }));
}

/** A lane of its own with one child, up and idle, and that child's process id. */
async function startLane(
  options: Partial<HashLaneOptions> = {},
): Promise<{ own: Hasher; pid: number; stored: string }> {
  const before = new Set(listWorkers(process.pid).map(({ pid }) => pid));
  const own = startHasher({ ...cheap, ...options });
  const pid = listWorkers(process.pid).find((worker) => !before.has(worker.pid))?.pid ?? 0;
  expect(pid).toBeGreaterThan(0);
  return { own, pid, stored: await hashOnceUp(own) };
}

/** A hash of `right`, tried again for as long as the child takes to come up: longer, on a busy machine, than a short queue waits. */
async function hashOnceUp(own: Hasher): Promise<string> {
  for (;;) {
    const stored = await own.hash('right').catch(() => null);
    if (stored !== null) return stored;
  }
}

/** The code a promise was refused with, or its value. */
function outcome(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => (error instanceof CoreError ? error.code : error));
}

describe('hash and verify', () => {
  test('a hash is an argon2id PHC string with the parameters given', async () => {
    expect(await lane.hash('correct horse')).toMatch(
      /^\$argon2id\$v=19\$m=1024,t=1,p=1\$[A-Za-z0-9+/]{43}\$[A-Za-z0-9+/]{43}$/,
    );
  });

  test('the right password matches and a wrong one does not', async () => {
    const stored = await lane.hash('correct horse');
    expect(await lane.verify('correct horse', stored)).toBe('match');
    expect(await lane.verify('correct horsf', stored)).toBe('mismatch');
    expect(await lane.verify('Correct horse', stored)).toBe('mismatch');
    expect(await lane.verify('correct horse ', stored)).toBe('mismatch');
  });

  test.each([72, 255, 1_000])('passwords that share their first %p bytes are told apart', async (shared) => {
    const prefix = 'x'.repeat(shared);
    const stored = await lane.hash(`${prefix}a`);
    expect(await lane.verify(`${prefix}a`, stored)).toBe('match');
    const others = ['', 'b', 'A', 'aa', ...Array.from({ length: 30 }, (_, index) => `b${index}`)];
    for (const other of others) expect(await lane.verify(prefix + other, stored)).toBe('mismatch');
  });

  test('what follows a NUL counts', async () => {
    const stored = await lane.hash('before\0after');
    expect(await lane.verify('before\0after', stored)).toBe('match');
    expect(await lane.verify('before\0other', stored)).toBe('mismatch');
    expect(await lane.verify('before', stored)).toBe('mismatch');
  });

  test('bcrypt and the other argon2 kinds of an imported directory are checked', async () => {
    const bcrypt = Bun.password.hashSync('imported', { algorithm: 'bcrypt', cost: 4 });
    const others = (['argon2i', 'argon2d'] as const).map((algorithm) =>
      Bun.password.hashSync('imported', { algorithm, memoryCost: 1_024, timeCost: 1 }),
    );
    for (const stored of [bcrypt, bcrypt.replace('$2b$', '$2y$'), bcrypt.replace('$2b$', '$2a$'), ...others]) {
      expect(await lane.verify('imported', stored)).toBe('match');
      expect(await lane.verify('import', stored)).toBe('mismatch');
    }
  });

  test('a password that cannot be hashed rejects and leaves the lane working', async () => {
    expect(await outcome(lane.hash(''))).toBeInstanceOf(Error);
    expect(await lane.hash('next')).toStartWith('$argon2id$');
  });
});

describe('stored hashes', () => {
  const damaged = [
    '',
    '$argon2id$',
    `$argon2id$v=19$m=262145,t=2,p=1${body}`,
    `$argon2id$v=19$m=4194304,t=2,p=1${body}`,
    `$argon2id$v=19$m=1024,t=11,p=1${body}`,
    `$argon2id$v=19$m=1024,t=0,p=1${body}`,
    `$argon2id$v=19$m=1024,t=1,p=17${body}`,
    `$argon2id$v=19$m=15,t=1,p=2${body}`,
    `$argon2id$v=19$m=01024,t=1,p=1${body}`,
    `$argon2id$v=19$m=1e3,t=1,p=1${body}`,
    `$argon2id$v=16$m=1024,t=1,p=1${body}`,
    `$argon2id$m=1024,t=1,p=1${body}`,
    `$argon2id$v=19$t=1,m=1024,p=1${body}`,
    `$argon2id$v=19$m=1024,t=1,p=1${body}\n`,
    `$argon2id$v=19$m=1024,t=1,p=1${body}=`,
    `$argon2id$v=19$m=1024,t=1,p=1$$${'A'.repeat(43)}`,
    `$argon2id$v=19$m=1024,t=1,p=1$${'A'.repeat(43)}$AAAA`,
    `$argon2x$v=19$m=1024,t=1,p=1${body}`,
    `$2b$15$${'a'.repeat(53)}`,
    `$2b$03$${'a'.repeat(53)}`,
    `$2x$10$${'a'.repeat(53)}`,
  ];

  test.each(damaged)('%p is damaged and runs no hash', async (stored) => {
    const before = lane.evaluated();
    expect(await lane.verify('anything', stored)).toBe('damaged');
    expect(lane.evaluated()).toBe(before);
    expect(lane.isOutdated(stored)).toBe(true);
  });

  test('one that only the hash function itself finds odd is damaged as well', async () => {
    const result = 'A'.repeat(42);
    expect(await lane.verify('anything', `$argon2id$v=19$m=1024,t=1,p=1$${result}B$${result}B`)).not.toBe('match');
    // 45 characters are no whole number of bytes.
    expect(await lane.verify('anything', `$argon2id$v=19$m=1024,t=1,p=1$${'A'.repeat(45)}$${result}A`)).toBe('damaged');
  });

  test('each check handed to a child is counted, dummies included, and hashes are not', async () => {
    const stored = await lane.hash('counted');
    const before = lane.evaluated();
    await lane.verify('counted', stored);
    await lane.verifyDummy('counted');
    expect(lane.evaluated()).toBe(before + 2);
  });

  test('a hash is outdated when it is weaker than the parameters of today', () => {
    const own = startHasher({ ...cheap, memoryKib: 19_456, passes: 2 });
    const form = (kind: string, memoryKib: number, passes: number) =>
      `$${kind}$v=19$m=${memoryKib},t=${passes},p=1${body}`;
    expect(own.isOutdated(form('argon2id', 19_456, 2))).toBe(false);
    expect(own.isOutdated(form('argon2id', 65_536, 3))).toBe(false);
    expect(own.isOutdated(form('argon2id', 65_536, 1))).toBe(false);
    expect(own.isOutdated(form('argon2id', 19_456, 1))).toBe(true);
    expect(own.isOutdated(form('argon2id', 7_168, 10))).toBe(true);
    expect(own.isOutdated(form('argon2i', 65_536, 3))).toBe(true);
    expect(own.isOutdated(`$2b$12$${'a'.repeat(53)}`)).toBe(true);
    return own.close();
  });
});

test('a check for an unknown name costs what a check of a real hash costs', async () => {
  const own = startHasher({ ...cheap, memoryKib: 8_192, passes: 2 });
  const stored = await own.hash('known');
  const [known, unknown]: [number[], number[]] = [[], []];
  const time = async (into: number[], run: () => Promise<unknown>) => {
    const start = performance.now();
    await run();
    into.push(performance.now() - start);
  };
  for (let round = 0; round < 15; round++) {
    await time(unknown, () => own.verifyDummy('wrong'));
    await time(known, () => own.verify('wrong', stored));
  }
  await own.close();
  // The best of many runs is what the machine's other work disturbs least; the statistics of AUT-02 are a test of their own.
  const ratio = Math.min(...unknown) / Math.min(...known);
  expect(ratio).toBeGreaterThan(0.5);
  expect(ratio).toBeLessThan(2);
});

describe('the queue', () => {
  test('a job beyond the queue is refused at once, and those inside it are done', async () => {
    const { own, pid, stored } = await startLane();
    process.kill(pid, 'SIGSTOP');
    const accepted = Array.from({ length: 17 }, () => own.verify('right', stored));
    const start = performance.now();
    expect(await outcome(own.verify('right', stored))).toBe('unavailable');
    expect(performance.now() - start).toBeLessThan(50);
    expect(own.evaluated()).toBe(1);
    process.kill(pid, 'SIGCONT');
    expect(new Set(await Promise.all(accepted))).toEqual(new Set(['match']));
    expect(own.evaluated()).toBe(17);
    await own.close();
  });

  test('a job that waits too long is refused, and never reaches a child', async () => {
    const { own, pid, stored } = await startLane({ queueMs: 200 });
    process.kill(pid, 'SIGSTOP');
    const running = own.verify('right', stored);
    const start = performance.now();
    expect(await outcome(own.verify('right', stored))).toBe('unavailable');
    expect(performance.now() - start).toBeGreaterThan(150);
    process.kill(pid, 'SIGCONT');
    expect(await running).toBe('match');
    expect(own.evaluated()).toBe(1);
    await own.close();
  });
});

describe('the children', () => {
  test('as many run as the width says, at the lowest priority', async () => {
    const before = listWorkers(process.pid).length;
    const own = startHasher({ ...cheap, width: 2 });
    const workers = listWorkers(process.pid);
    expect(workers.length).toBe(before + 2);
    expect(workers.map(({ nice }) => nice)).toEqual(workers.map(() => 19));
    await own.close();
  });

  test('a width of zero means one', async () => {
    const { own, stored } = await startLane({ width: 0 });
    expect(await own.verify('right', stored)).toBe('match');
    await own.close();
  });

  test('one that is killed loses its job only, and is replaced', async () => {
    const { own, pid, stored } = await startLane();
    process.kill(pid, 'SIGSTOP');
    const lost = own.verify('right', stored);
    const waiting = own.verify('right', stored);
    process.kill(pid, 'SIGKILL');
    expect(await outcome(lost)).toBe('unavailable');
    expect(await waiting).toBe('match');
    expect(await own.verify('wrong', stored)).toBe('mismatch');
    await own.close();
  });

  test('one that is killed before it is up is replaced, and jobs wait for its successor', async () => {
    const spawned = spyOn(Bun, 'spawn');
    const own = startHasher(cheap);
    const first = spawned.mock.results[0]?.value as Bun.Subprocess;
    spawned.mockRestore();
    first.kill('SIGKILL');
    expect(await own.hash('later')).toStartWith('$argon2id$');
    await own.close();
  });

  test('a signal meant for the whole group does not end them, the parent does', async () => {
    const { own, pid, stored } = await startLane();
    process.kill(pid, 'SIGTERM');
    process.kill(pid, 'SIGINT');
    expect(await own.verify('right', stored)).toBe('match');
    expect(listWorkers(process.pid).map((worker) => worker.pid)).toContain(pid);
    await own.close();
  });

  test('they are gone after close, and open and later jobs are refused', async () => {
    const before = listWorkers(process.pid).length;
    const { own, pid, stored } = await startLane();
    process.kill(pid, 'SIGSTOP');
    const open = [own.verify('right', stored), own.hash('waiting')].map(outcome);
    await own.close();
    expect(await Promise.all(open)).toEqual(['unavailable', 'unavailable']);
    expect(await outcome(own.verifyDummy('late'))).toBe('unavailable');
    expect(listWorkers(process.pid).length).toBe(before);
    await own.close();
  });

  test('a closed lane does not keep its process alive', async () => {
    const script = `import { startHasher } from ${JSON.stringify(modulePath)};
      const lane = startHasher(${JSON.stringify(cheap)});
      await lane.hash('some'); await lane.close();`;
    const child = Bun.spawn([process.execPath, '-e', script], {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 50_000,
    });
    expect(await child.exited).toBe(0);
  });

  test('they die with a parent that is killed outright', async () => {
    const script = `import { startHasher } from ${JSON.stringify(modulePath)};
      const lane = startHasher(${JSON.stringify({ ...cheap, width: 2 })});
      await Promise.all([lane.hash('some'), lane.hash('more')]); console.log('up'); await new Promise(() => {});`;
    const parent = Bun.spawn([process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    await parent.stdout.getReader().read();
    const pids = listWorkers(parent.pid).map(({ pid }) => pid);
    expect(pids.length).toBe(2);
    parent.kill('SIGKILL');
    // The children hold the parent's standard error open, so its end is the last one's death.
    await new Response(parent.stderr).text();
    for (const pid of pids) expect(isRunning(pid)).toBe(false);
  });
});

/** False for a process that is gone or waits as a zombie for whoever adopted it. */
function isRunning(pid: number): boolean {
  const state = Bun.spawnSync(['ps', '-o', 'stat=', '-p', String(pid)])
    .stdout.toString()
    .trim();
  return state !== '' && !state.startsWith('Z');
}
