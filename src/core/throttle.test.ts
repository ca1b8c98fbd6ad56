import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  check,
  callerFrom,
  freshCaller,
  isLive,
  openTestCore,
  outcomeOf,
  type SignIn,
  signIn,
  tally,
  type TestCore,
  webPolicy,
} from '../../tests/support/core.ts';
import { engines } from '../../tests/support/server.ts';
import { addUser } from '../../tests/support/users.ts';
import { type Core, CoreError, generateApiKey, resetUser } from './index.ts';

const wrong: SignIn = { password: 'not the password' };

/** Seconds that a refused try was told to wait; fails unless it was refused as throttled. */
async function waitOf(work: Promise<unknown>): Promise<number> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(CoreError);
  expect((error as CoreError).code).toBe('throttled');
  return (error as CoreError).detail.retryAfterSeconds ?? Number.NaN;
}

describe.each(engines.map((engine) => [engine]))('the throttle on %s', (engine) => {
  let at: TestCore;
  let core: Core;
  let names = 0;
  beforeAll(async () => {
    at = await openTestCore({ engine });
    core = at.core;
  }, 30_000);
  afterAll(() => at.close());

  /** A user nobody else in this file touches. */
  async function someone(): Promise<{ name: string; id: number }> {
    names += 1;
    const name = `user-${names}`;
    return { name, id: await addUser({ core }, { login: name }) };
  }

  async function fail(name: string, times: number): Promise<void> {
    for (let count = 0; count < times; count += 1) {
      expect(await outcomeOf(signIn(core, name, wrong))).toBe('login_refused');
      at.clock.advance(900);
    }
  }

  test('AUT-08: five tries are free, then the wait doubles from 1 to 60 s, is true to the second, and grows to 15 min at 30', async () => {
    const { name } = await someone();
    for (let count = 0; count < 5; count += 1) expect(await outcomeOf(signIn(core, name, wrong))).toBe('login_refused');
    const waits = [1, 2, 4, 8, 16, 32, ...Array.from({ length: 18 }, () => 60), 60, 900, 900];
    expect(waits).toHaveLength(27);
    for (const seconds of waits) {
      expect(await waitOf(signIn(core, name, wrong))).toBe(seconds);
      at.clock.advance(seconds - 0.4);
      expect(await waitOf(signIn(core, name, wrong))).toBe(1);
      at.clock.advance(0.4);
      expect(await outcomeOf(signIn(core, name, wrong))).toBe('login_refused');
    }
  });

  test('AUT-08: tries that are refused as throttled do not lengthen the wait', async () => {
    const { name } = await someone();
    for (let count = 0; count < 8; count += 1) {
      expect(await outcomeOf(signIn(core, name, wrong))).toBe('login_refused');
      at.clock.advance(60);
    }
    expect(await outcomeOf(signIn(core, name, wrong))).toBe('login_refused');
    for (let count = 0; count < 15; count += 1) {
      expect(await waitOf(signIn(core, name, wrong))).toBe(16 - count);
      at.clock.advance(1);
    }
    at.clock.advance(1);
    expect(await outcomeOf(signIn(core, name))).toBe('ok');
  });

  test('AUT-11: success resets the counter, so five tries are free again', async () => {
    const { name } = await someone();
    await fail(name, 7);
    expect(await outcomeOf(signIn(core, name))).toBe('ok');
    for (let count = 0; count < 5; count += 1) expect(await outcomeOf(signIn(core, name, wrong))).toBe('login_refused');
    expect(await waitOf(signIn(core, name))).toBe(1);
  });

  test('AUT-11: a disabled user’s right password counts as a failure', async () => {
    names += 1;
    const name = `user-${names}`;
    await addUser({ core }, { login: name, status: 'Suspended' });
    for (let count = 0; count < 5; count += 1) expect(await outcomeOf(signIn(core, name))).toBe('login_refused');
    expect(await waitOf(signIn(core, name))).toBe(1);
  });

  test('AUT-09: after 100 failures in a row the password is not even looked at, until a reset; sessions go on', async () => {
    const { name, id } = await someone();
    const { credential } = await signIn(core, name);
    let looked = 0;
    const verify: Core['hasher']['verify'] = (password, stored) => {
      looked += 1;
      return core.hasher.verify(password, stored);
    };
    const watched: Core = { ...core, hasher: { ...core.hasher, verify } };
    for (let count = 0; count < 100; count += 1) {
      const as = count % 2 === 0 ? name : `${name}@users.example.com`;
      expect(await outcomeOf(signIn(watched, as, wrong))).toBe('login_refused');
      at.clock.advance(60);
      if (count === 50) expect(await isLive(core, credential)).toBe(true);
      if (count > 50) at.clock.advance(900);
    }
    expect(looked).toBe(100);
    at.clock.advance(90 * 24 * 3600);
    expect(await outcomeOf(signIn(watched, name))).toBe('login_refused');
    expect(looked).toBe(100);
    await resetUser(core, 'system', id, callerFrom());
    expect(await outcomeOf(signIn(core, name))).toBe('ok');
  });

  test('L11: twenty failures a minute from one address, over any names; other addresses go on', async () => {
    const caller = freshCaller();
    for (let count = 0; count < 20; count += 1) {
      expect(await outcomeOf(signIn(core, `nobody-${names}-${count}`, { ...wrong, caller }))).toBe('login_refused');
      at.clock.advance(1);
    }
    const { name } = await someone();
    expect(await waitOf(signIn(core, name, { caller }))).toBe(40);
    expect(await outcomeOf(signIn(core, name))).toBe('ok');
    at.clock.advance(40);
    expect(await outcomeOf(signIn(core, name, { caller }))).toBe('ok');
  });

  test('L11: two hundred failures an hour from one address', async () => {
    const caller = freshCaller();
    for (let count = 0; count < 200; count += 1) {
      expect(await outcomeOf(signIn(core, `no-one-${count}`, { ...wrong, caller }))).toBe('login_refused');
      at.clock.advance(6);
    }
    expect(await waitOf(signIn(core, 'no-one-200', { ...wrong, caller }))).toBe(3600 - 1200);
    at.clock.advance(2400);
    expect(await outcomeOf(signIn(core, 'no-one-200', { ...wrong, caller }))).toBe('login_refused');
  });

  test('right passwords from one address are not counted: a whole office signs in through it', async () => {
    const caller = freshCaller();
    const { name } = await someone();
    for (let count = 0; count < 25; count += 1) expect(await outcomeOf(signIn(core, name, { caller }))).toBe('ok');
  });

  test('AUT-10: where the user signed in before, one try per 30 s stays open however the name is flooded', async () => {
    const home = freshCaller();
    const { name, id } = await someone();
    const web = { ...webPolicy, idleSeconds: null };
    const { credential } = await signIn(core, name, { caller: home, policy: web });
    const key = await generateApiKey(core, 'system', id, home);
    await fail(name, 30);
    at.clock.advance(-899);
    expect(await waitOf(signIn(core, name))).toBe(899);
    expect(await isLive(core, credential)).toBe(true);
    expect(await outcomeOf(check(core, { kind: 'api_key', key }))).toBe('ok');
    expect(await outcomeOf(signIn(core, name, { ...wrong, caller: home }))).toBe('login_refused');
    expect(await waitOf(signIn(core, name, { caller: home }))).toBe(30);
    at.clock.advance(29);
    expect(await waitOf(signIn(core, name, { caller: home }))).toBe(1);
    at.clock.advance(1);
    expect(await outcomeOf(signIn(core, name, { caller: home }))).toBe('ok');
  });

  test('F12: a clock that is set back locks nobody out for ever', async () => {
    const { name } = await someone();
    const caller = freshCaller();
    await fail(name, 35);
    for (let count = 0; count < 20; count += 1) await outcomeOf(signIn(core, `x-${count}`, { ...wrong, caller }));
    at.clock.advance(-10 * 24 * 3600);
    expect(await outcomeOf(signIn(core, name, { caller }))).toBe('ok');
    at.clock.advance(10 * 24 * 3600);
  });

  test('L08, AUT-08: of 100 parallel wrong passwords exactly five are evaluated; for an unknown name alike', async () => {
    const { name } = await someone();
    for (const target of [name, 'nobody-at-all']) {
      const before = core.hasher.evaluated();
      const crowd = await tally(Array.from({ length: 100 }, () => signIn(core, target, wrong)));
      expect(Object.keys(crowd).toSorted()).toEqual(['login_refused', 'throttled']);
      expect(core.hasher.evaluated() - before).toBeLessThanOrEqual(5);
      // A store that sheds part of the crowd evaluates the rest of the five later, and no sixth.
      for (let count = 0; count < 6; count += 1) await outcomeOf(signIn(core, target, wrong));
      expect(core.hasher.evaluated() - before).toBe(5);
    }
  });

  test('a burst of right passwords is no burst of failures: 20 in parallel from one address all sign in', async () => {
    const caller = freshCaller();
    const { name } = await someone();
    const crowd = await tally(Array.from({ length: 20 }, () => signIn(core, name, { caller })));
    expect(Object.keys(crowd)).toEqual(['ok']);
    // Those of a greater burst who are turned away count as nothing either.
    const burst = await tally(Array.from({ length: 60 }, () => signIn(core, name, { caller })));
    expect(Object.keys(burst).filter((outcome) => outcome !== 'ok' && outcome !== 'throttled')).toEqual([]);
    // From where nobody signed in before, since a known address has a try of its own.
    const stranger = freshCaller();
    for (let count = 0; count < 5; count += 1) {
      expect(await outcomeOf(signIn(core, name, { ...wrong, caller: stranger }))).toBe('login_refused');
    }
    expect(await waitOf(signIn(core, name, { caller: stranger }))).toBeGreaterThan(0);
  });

  test('L07: one counter for every spelling that is the same name', async () => {
    const { name } = await someone();
    const spellings = [name, name.toUpperCase(), name.replace('user', 'ｕｓｅｒ'), name.replace('u', 'U'), name];
    for (const spelling of spellings) expect(await outcomeOf(signIn(core, spelling, wrong))).toBe('login_refused');
    expect(await waitOf(signIn(core, name.toUpperCase()))).toBe(1);
  });
});

test('L10, AUT-08: two instances on one PostgreSQL evaluate five of 60 parallel wrong passwords in total', async () => {
  const at = await openTestCore({ engine: 'postgres' });
  const other = await at.openAnother();
  await addUser(at, { login: 'ada' });
  const tries = Array.from({ length: 60 }, (_, index) => signIn(index % 2 === 0 ? at.core : other, 'ada', wrong));
  const { login_refused: evaluated = 0, ...rest } = await tally(tries);
  expect(evaluated).toBeLessThanOrEqual(5);
  expect(Object.keys(rest)).toEqual(['throttled']);
  for (let count = 0; count < 6; count += 1) await outcomeOf(signIn(other, 'ada', wrong));
  expect(at.core.hasher.evaluated() + other.hasher.evaluated()).toBe(5);
  await at.close();
}, 30_000);
