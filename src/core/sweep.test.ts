import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  freshCaller,
  isLive,
  openTestCore,
  outcomeOf,
  signIn,
  type TestCore,
  webPolicy,
} from '../../tests/support/core.ts';
import { engines } from '../../tests/support/server.ts';
import { addUser } from '../../tests/support/users.ts';
import { endAll, listAudit, sweepOnce, verifyAudit } from './index.ts';

const day = 24 * 3600;
const hour = 3600;

describe.each(engines.map((engine) => [engine]))('the sweep on %s', (engine) => {
  let at: TestCore;
  let id: number;
  beforeEach(async () => {
    at = await openTestCore({ engine });
    id = await addUser(at, { login: 'ada' });
  }, 30_000);
  afterEach(() => at.close());

  async function count(table: 'sessions' | 'throttle' | 'known_addresses'): Promise<number> {
    return (await at.core.store.db.selectFrom(table).selectAll().execute()).length;
  }

  test('TS15: an ended session stays for 24 h and goes after; a live one stays', async () => {
    const long = { ...webPolicy, idleSeconds: null };
    await signIn(at.core, 'ada', { policy: long });
    await endAll(at.core, 'system', id, freshCaller());
    at.clock.advance(day);
    const { credential } = await signIn(at.core, 'ada', { policy: long });
    await sweepOnce(at.core);
    expect(await count('sessions')).toBe(2);
    at.clock.advance(1);
    await sweepOnce(at.core);
    expect(await count('sessions')).toBe(1);
    expect(await isLive(at.core, credential)).toBe(true);
  });

  test('TS15: one that ran into its absolute limit goes 24 h after it', async () => {
    await signIn(at.core, 'ada');
    at.clock.advance(12 * hour + day);
    await sweepOnce(at.core);
    expect(await count('sessions')).toBe(1);
    at.clock.advance(1);
    await sweepOnce(at.core);
    expect(await count('sessions')).toBe(0);
  });

  test('SES-06: a swept session stays ended, also when the clock is set back', async () => {
    const { credential } = await signIn(at.core, 'ada');
    await endAll(at.core, 'system', id, freshCaller());
    at.clock.advance(day + 1);
    await sweepOnce(at.core);
    expect(await count('sessions')).toBe(0);
    at.clock.advance(-day - 1);
    expect(await isLive(at.core, credential)).toBe(false);
  });

  test('counters that stood still for 24 h go, moving ones stay; the user’s own count of failures is not forgotten', async () => {
    const wrong = { password: 'not the password' };
    for (let tries = 0; tries < 5; tries += 1) await outcomeOf(signIn(at.core, 'ada', wrong));
    const moving = 'bea';
    await outcomeOf(signIn(at.core, moving, wrong));
    at.clock.advance(day);
    await outcomeOf(signIn(at.core, moving, wrong));
    at.clock.advance(1);
    for (let bites = 0; bites < 5; bites += 1) await sweepOnce(at.core);
    // Name, minute and hour of the last try.
    expect(await count('throttle')).toBe(3);
    const { failed_passwords } = await at.core.store.db
      .selectFrom('users')
      .select('failed_passwords')
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    expect(failed_passwords).toBe(5);
  });

  test('TS15: it takes bites of at most 100 rows of a kind, until nothing is left to take', async () => {
    const { db } = at.core.store;
    const { credential } = await signIn(at.core, 'ada');
    const [row] = await db.selectFrom('sessions').selectAll().execute();
    if (row === undefined) throw new Error('no session');
    const ended = at.clock.nowMs / 1000 - day - 1;
    for (let copy = 0; copy < 250; copy += 1) {
      const own = { id: `copy-${copy}`, live_jti: null, secret_digest: null };
      await db
        .insertInto('sessions')
        .values({ ...row, ...own, ended_at: ended, end_reason: 'logout' })
        .execute();
    }
    const bites: number[] = [];
    do bites.push(await sweepOnce(at.core));
    while ((bites.at(-1) ?? 0) > 0);
    expect(bites).toEqual([100, 100, 50, 0]);
    expect(await isLive(at.core, credential)).toBe(true);
  });

  test('the audit is not swept', async () => {
    await signIn(at.core, 'ada');
    const before = await listAudit(at.core, 0, 1000);
    at.clock.advance(400 * day);
    for (let bites = 0; bites < 5; bites += 1) await sweepOnce(at.core);
    expect(await listAudit(at.core, 0, 1000)).toEqual(before);
    expect(await verifyAudit(at.core)).toBeNull();
  });
});
