import { change } from './change.ts';
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  check,
  callerFrom,
  isLive,
  openTestCore,
  outcomeOf,
  restPolicy,
  signIn,
  type TestCore,
  webPolicy,
} from '../../tests/support/core.ts';
import { engines } from '../../tests/support/server.ts';
import { addUser } from '../../tests/support/users.ts';
import { authenticate, type Core, endAll, generateApiKey, listSessions, refreshSession, setStatus } from './index.ts';

const hour = 3600;
const caller = callerFrom();

describe.each(engines.map((engine) => [engine]))('limits of a session on %s', (engine) => {
  let at: TestCore;
  let core: Core;
  let id: number;
  beforeEach(async () => {
    at = await openTestCore({ engine });
    core = at.core;
    id = await addUser(at, { login: 'ada' });
  }, 30_000);
  afterEach(() => at.close());

  test('SES-04: the absolute limit of 12 h is exact, and neither use nor refresh nor restart passes it', async () => {
    const openedMs = at.clock.nowMs;
    const policy = { ...webPolicy, idleSeconds: 2 * hour };
    const { credential: used } = await signIn(core, 'ada', { policy });
    let { credential: refreshed } = await signIn(core, 'ada', { policy: restPolicy });
    for (let passed = 0.75; passed < 12; passed += 0.75) {
      at.clock.nowMs = openedMs + passed * hour * 1000;
      expect(await isLive(core, used)).toBe(true);
      const next = await refreshSession(core, refreshed, { tokenSeconds: hour, graceSeconds: 10 }, caller);
      refreshed = next.credential;
      expect(next.credentialExpiresAt).toBeLessThanOrEqual(openedMs / 1000 + 12 * hour);
    }
    const other = await at.openAnother();
    at.clock.nowMs = openedMs + 12 * hour * 1000 - 1000;
    for (const one of [core, other])
      expect([await isLive(one, used), await isLive(one, refreshed)]).toEqual([true, true]);
    for (const seconds of [0, 1, 3600]) {
      at.clock.nowMs = openedMs + (12 * hour + seconds) * 1000;
      for (const one of [core, other]) {
        expect([await isLive(one, used), await isLive(one, refreshed)]).toEqual([false, false]);
      }
    }
    const late = refreshSession(core, refreshed, { tokenSeconds: hour, graceSeconds: 60 }, caller);
    expect(await outcomeOf(late)).toBe('session_invalid');
  });

  test('SES-04: the idle limit ends a session that nobody used, at its second and not before', async () => {
    for (const [seconds, live] of [
      [-1, true],
      [0, false],
      [1, false],
    ] as const) {
      const { credential } = await signIn(core, 'ada', { policy: webPolicy });
      at.clock.advance(hour + seconds);
      expect(await isLive(core, credential)).toBe(live);
    }
  });

  test('SES-04: use moves the idle limit; it ends at most 60 s early and never late', async () => {
    const { credential } = await signIn(core, 'ada', { policy: webPolicy });
    for (const pause of [10, 59, 61, 1800, 3539, 3539, 30, 3500]) {
      at.clock.advance(pause);
      const { expiresAt } = await authenticate(core, { kind: 'bearer', token: credential });
      // The end that is told is the end that is kept.
      const end = at.clock.nowMs / 1000 + hour;
      expect(expiresAt).toBeLessThanOrEqual(end);
      expect(expiresAt).toBeGreaterThan(end - 60);
    }
    at.clock.advance(hour);
    expect(await isLive(core, credential)).toBe(false);
    at.clock.advance(-hour);
    const { credential: other } = await signIn(core, 'ada', { policy: webPolicy });
    at.clock.advance(59);
    expect(await isLive(core, other)).toBe(true);
    at.clock.advance(hour - 60);
    expect(await isLive(core, other)).toBe(true);
  });

  test('SES-04: asking in vain moves nothing: a refused session is not used', async () => {
    const { credential } = await signIn(core, 'ada', { policy: webPolicy });
    at.clock.advance(hour);
    for (let count = 0; count < 3; count += 1) expect(await isLive(core, credential)).toBe(false);
    at.clock.advance(-1);
    expect(await isLive(core, credential)).toBe(true);
  });

  test('F12: a clock that is set back revives nothing that was ended', async () => {
    const { credential } = await signIn(core, 'ada');
    await endAll(core, 'system', id, caller);
    at.clock.advance(-2 * hour);
    expect(await isLive(core, credential)).toBe(false);
    const { credential: early } = await signIn(core, 'ada');
    at.clock.advance(-60);
    expect(await isLive(core, early)).toBe(true);
  });

  test('promise 4: an older generation is dead whatever its row says', async () => {
    const { credential } = await signIn(core, 'ada');
    await change(core, (trx) =>
      trx
        .updateTable('users')
        .set((row) => ({ session_generation: row('session_generation', '+', 1) }))
        .execute(),
    );
    expect(await isLive(core, credential)).toBe(false);
    expect(await isLive(core, (await signIn(core, 'ada')).credential)).toBe(true);
  });

  test('promise 5: raising the session epoch ends every session of everybody, keys go on', async () => {
    await addUser(at, { login: 'bea' });
    const policies = [restPolicy, webPolicy];
    const tokens: string[] = [];
    for (const name of ['ada', 'bea']) {
      for (const policy of policies) tokens.push((await signIn(core, name, { policy })).credential);
    }
    const { credential: secret } = await signIn(core, 'ada', { policy: { ...webPolicy, form: 'cookie' } });
    const key = await generateApiKey(core, 'system', id, caller);
    await change(core, (trx) =>
      trx
        .updateTable('counters')
        .set((row) => ({ value: row('value', '+', 1) }))
        .where('name', '=', 'session_epoch')
        .execute(),
    );
    for (const token of tokens) expect(await isLive(core, token)).toBe(false);
    expect(await outcomeOf(check(core, { kind: 'cookie', secret }))).toBe('session_invalid');
    const rotation = refreshSession(core, tokens[0] ?? '', { tokenSeconds: hour, graceSeconds: 10 }, caller);
    expect(await outcomeOf(rotation)).toBe('session_invalid');
    expect((await listSessions(core, { liveOnly: true })).length).toBe(0);
    expect(await outcomeOf(check(core, { kind: 'api_key', key }))).toBe('ok');
    expect(await isLive(core, (await signIn(core, 'ada')).credential)).toBe(true);
  });

  test('SES-10: a status that may not sign in ends sessions and stops keys; another one is none of their business', async () => {
    const key = await generateApiKey(core, 'system', id, caller);
    for (const [status, live] of [
      ['Development', true],
      ['Preproduction', true],
      ['Active', true],
      ['Suspended', false],
      ['Terminated', false],
    ] as const) {
      await setStatus(core, 'system', id, 'Active', caller);
      const { credential } = await signIn(core, 'ada');
      await addUser(at, { login: `root-${status}`, authLevel: 'Root' });
      await setStatus(core, 'system', id, status, caller);
      expect(await isLive(core, credential)).toBe(live);
      expect(await outcomeOf(check(core, { kind: 'api_key', key }))).toBe(live ? 'ok' : 'api_key_invalid');
    }
  });
});
