import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  check,
  callerFrom,
  freshCaller,
  isLive,
  openTestCore,
  outcomeOf,
  signIn,
  tally,
  type TestCore,
  webPolicy,
} from '../../tests/support/core.ts';
import { engines } from '../../tests/support/server.ts';
import { addUser, testPassword } from '../../tests/support/users.ts';
import {
  changePassword,
  type Core,
  endAll,
  endOwnSession,
  generateApiKey,
  listSessions,
  loginWithKey,
  refreshSession,
  setPassword,
  setStatus,
} from './index.ts';

const races = 100;
const caller = callerFrom();
const refreshPolicy = { tokenSeconds: 3600, graceSeconds: 10 };

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe.each(engines.map((engine) => [engine]))('races on %s', (engine) => {
  let at: TestCore;
  let core: Core;
  let names = 0;
  beforeAll(async () => {
    at = await openTestCore({ engine, settings: { CARDEA_THROTTLE_FREE_TRIES: '100' } });
    core = at.core;
  }, 30_000);
  afterAll(() => at.close());

  async function someone(): Promise<{ name: string; id: number }> {
    names += 1;
    const name = `user-${names}`;
    return { name, id: await addUser({ core }, { login: name }) };
  }

  /** How the races of one test came out: both ways must have been seen, or it has raced nothing. */
  type Outcomes = { entered: number; refused: number };

  /**
   * Runs a way in and an end of everything beside it, started at another moment of the way in each time.
   * @returns the credential, if the way in was open
   */
  async function race(
    index: number,
    outcomes: Outcomes,
    enter: (watched: Core) => Promise<{ credential: string }>,
    end: () => Promise<unknown>,
  ): Promise<string | undefined> {
    const { promise: verified, resolve: onVerified } = Promise.withResolvers<void>();
    const verify: Core['hasher']['verify'] = async (password, stored) => {
      const verdict = await core.hasher.verify(password, stored);
      onVerified();
      return verdict;
    };
    const early = index % 8 === 4 ? end() : undefined;
    const entering = enter({ ...core, hasher: { ...core.hasher, verify } });
    void entering.then(
      () => onVerified(),
      () => onVerified(),
    );
    // From before the start, over every step behind the judgement of the password, to the end.
    if (index % 4 > 0) await verified;
    if (index % 4 > 1) for (let turn = 0; turn < index % 16; turn += 1) await nextTurn();
    if (index % 4 === 3) await entering.catch(() => undefined);
    const [session, ended] = await Promise.allSettled([entering, early ?? end()]);
    if (ended.status === 'rejected') throw ended.reason;
    if (session.status === 'rejected') {
      outcomes.refused += 1;
      return undefined;
    }
    outcomes.entered += 1;
    return session.value.credential;
  }

  test('L19: a login with the old password never survives the password change beside it', async () => {
    const { name, id } = await someone();
    let password = testPassword;
    const outcomes: Outcomes = { entered: 0, refused: 0 };
    for (let index = 0; index < races; index += 1) {
      const next = `the old oak, ring ${index}`;
      const old = password;
      const { context } = await signIn(core, name, { password });
      const change = { currentPassword: old, newPassword: next, keepSessions: false };
      const token = await race(
        index,
        outcomes,
        (watched) => signIn(watched, name, { password: old }),
        () => changePassword(core, context, change, freshCaller()),
      );
      if (token !== undefined) expect(await isLive(core, token)).toBe(false);
      password = next;
    }
    expect(outcomes.entered).toBeGreaterThan(0);
    expect(await outcomeOf(signIn(core, name))).toBe('login_refused');
    const own = await listSessions(core, { userId: id, liveOnly: true });
    // The presenting session of the last change; every earlier one was ended by the change after it.
    expect(own).toHaveLength(1);
  });

  test('L19: nor the administrator’s new password', async () => {
    const { name, id } = await someone();
    let password = testPassword;
    const outcomes: Outcomes = { entered: 0, refused: 0 };
    for (let index = 0; index < races; index += 1) {
      const next = `the tall elm, ring ${index}`;
      const old = password;
      const token = await race(
        index,
        outcomes,
        (watched) => signIn(watched, name, { password: old }),
        () => setPassword(core, 'system', id, next, caller),
      );
      if (token !== undefined) expect(await isLive(core, token)).toBe(false);
      password = next;
    }
    expect(Math.min(outcomes.entered, outcomes.refused)).toBeGreaterThan(0);
    expect(await listSessions(core, { userId: id, liveOnly: true })).toEqual([]);
  });

  test('L20: nor the disabling of its user', async () => {
    const { name, id } = await someone();
    const outcomes: Outcomes = { entered: 0, refused: 0 };
    for (let index = 0; index < races; index += 1) {
      const token = await race(
        index,
        outcomes,
        (watched) => signIn(watched, name),
        () => setStatus(core, 'system', id, 'Suspended', caller),
      );
      if (token !== undefined) expect(await isLive(core, token)).toBe(false);
      await setStatus(core, 'system', id, 'Active', caller);
      if (token !== undefined) expect(await isLive(core, token)).toBe(false);
    }
    expect(Math.min(outcomes.entered, outcomes.refused)).toBeGreaterThan(0);
  });

  test('S14, SES-08: a login that was under way before "end all" was asked for is ended by it', async () => {
    const { name, id } = await someone();
    for (let index = 0; index < races; index += 1) {
      const held = Promise.withResolvers<void>();
      const reached = Promise.withResolvers<void>();
      // Holds the login between the judgement of the password and the store: its slowest and most dangerous moment.
      const verify: Core['hasher']['verify'] = async (password, stored) => {
        const verdict = await core.hasher.verify(password, stored);
        reached.resolve();
        await held.promise;
        return verdict;
      };
      const slow: Core = { ...core, hasher: { ...core.hasher, verify } };
      const loggingIn = outcomeOf(signIn(slow, name));
      await reached.promise;
      await endAll(core, 'system', id, caller);
      held.resolve();
      expect(await loggingIn).toBe('login_refused');
      // Refused for its time, not for its password.
      expect(await outcomeOf(signIn(core, name))).toBe('ok');
    }
  });

  test('S15: a refresh beside a logout leaves no token alive', async () => {
    const { name } = await someone();
    const outcomes: Outcomes = { entered: 0, refused: 0 };
    for (let index = 0; index < races; index += 1) {
      const { credential, context } = await signIn(core, name);
      const refresh = () => refreshSession(core, credential, refreshPolicy, caller);
      const successor = await race(index, outcomes, refresh, () => endOwnSession(core, context, caller));
      expect(await isLive(core, credential)).toBe(false);
      if (successor !== undefined) expect(await isLive(core, successor)).toBe(false);
    }
    expect(Math.min(outcomes.entered, outcomes.refused)).toBeGreaterThan(0);
  });

  test('TOK-05: of 32 parallel refreshes of one token all get the one successor, and the session lives', async () => {
    const { name } = await someone();
    for (let index = 0; index < 10; index += 1) {
      const { credential } = await signIn(core, name);
      const refresh = () => refreshSession(core, credential, refreshPolicy, caller);
      const opened = await Promise.all(Array.from({ length: 32 }, refresh));
      const successors = new Set(opened.map((one) => one.credential));
      expect(successors.size).toBe(1);
      expect(await isLive(core, [...successors][0] ?? '')).toBe(true);
      expect(await isLive(core, credential)).toBe(false);
    }
  });

  test('SES-11: 64 logins in parallel never leave more than 100 sessions, and 101 in a row end the oldest', async () => {
    const { name, id } = await someone();
    const tokens: string[] = [];
    for (let count = 0; count < 100; count += 1) {
      tokens.push((await signIn(core, name)).credential);
      at.clock.advance(1);
    }
    expect(await isLive(core, tokens[0] ?? '')).toBe(true);
    tokens.push((await signIn(core, name)).credential);
    expect(await Promise.all(tokens.slice(0, 3).map((token) => isLive(core, token)))).toEqual([false, true, true]);
    const crowd = await tally(Array.from({ length: 64 }, () => signIn(core, name, { policy: webPolicy })));
    expect(Object.keys(crowd)).toEqual(['ok']);
    const open = await listSessions(core, { userId: id, liveOnly: true });
    expect(open).toHaveLength(100);
    const web = open.filter((session) => session.entry === webPolicy.entry).length;
    const live = await Promise.all(tokens.map((token) => isLive(core, token)));
    // The oldest went, the youngest stayed.
    expect(live).toEqual(tokens.map((_, index) => index >= tokens.length - (100 - web)));
  });

  test('of two racing key generations one key lives, and no session of the other', async () => {
    const { id } = await someone();
    for (let index = 0; index < races; index += 1) {
      const keys = await Promise.all([1, 2].map(() => generateApiKey(core, 'system', id, caller)));
      const outcomes = await Promise.all(keys.map((key) => outcomeOf(check(core, { kind: 'api_key', key }))));
      expect(outcomes.toSorted()).toEqual(['api_key_invalid', 'ok']);
    }
  });

  test('a session opened with a key ends with the key, also when its login was under way', async () => {
    const outcomes: Outcomes = { entered: 0, refused: 0 };
    for (let index = 0; index < races; index += 1) {
      const { id } = await someone();
      const keySecret = await generateApiKey(core, 'system', id, caller);
      const input = { keyName: `apiKey-${id}`, keySecret, policy: webPolicy, caller: freshCaller() };
      const token = await race(
        index,
        outcomes,
        (watched) => loginWithKey(watched, input),
        () => generateApiKey(core, 'system', id, caller),
      );
      if (token !== undefined) expect(await isLive(core, token)).toBe(false);
      expect(await outcomeOf(loginWithKey(core, { ...input, caller: freshCaller() }))).toBe('login_refused');
    }
    expect(Math.min(outcomes.entered, outcomes.refused)).toBeGreaterThan(0);
  });
});
