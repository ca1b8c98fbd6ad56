import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { openTestCore, outcomeOf, signIn, tally, type TestCore } from '../../tests/support/core.ts';
import { engines } from '../../tests/support/server.ts';
import { addUser, testPassword } from '../../tests/support/users.ts';
import { type Core, listAudit, startHasher } from './index.ts';

/** What a small server stored before the operator raised the parameters: m 1,024 KiB, t 1 (`openTestCore`); and after. */
const raised = { width: 2, memoryKib: 2048, passes: 2, queueLength: 1000, queueMs: 20_000 };

describe.each(engines.map((engine) => [engine]))('stored hashes on %s', (engine) => {
  let at: TestCore;
  let core: Core;
  let dearer: Core;
  beforeAll(async () => {
    at = await openTestCore({ engine, settings: { CARDEA_THROTTLE_FREE_TRIES: '100' } });
    core = at.core;
    dearer = { ...core, hasher: startHasher(raised) };
  }, 30_000);
  afterAll(async () => {
    await dearer.hasher.close();
    await at.close();
  });

  async function storedHash(id: number): Promise<string> {
    const row = await core.store.db
      .selectFrom('users')
      .select('password_hash')
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    return row.password_hash ?? '';
  }

  async function storeHash(id: number, hash: string): Promise<void> {
    await core.store.db.updateTable('users').set({ password_hash: hash }).where('id', '=', id).execute();
  }

  test('AUT-14: the parameters rise at the next right login only, once, and never fall again', async () => {
    const id = await addUser({ core }, { login: 'rise' });
    const before = await storedHash(id);
    expect(before).toStartWith('$argon2id$v=19$m=1024,t=1,p=1$');
    expect(await outcomeOf(signIn(dearer, 'rise', { password: 'not the password' }))).toBe('login_refused');
    expect(await storedHash(id)).toBe(before);
    expect(await outcomeOf(signIn(dearer, 'rise'))).toBe('ok');
    const after = await storedHash(id);
    expect(after).toStartWith('$argon2id$v=19$m=2048,t=2,p=1$');
    for (const one of [dearer, core, dearer]) {
      expect(await outcomeOf(signIn(one, 'rise'))).toBe('ok');
      expect(await storedHash(id)).toBe(after);
    }
  });

  test('AUT-14: 32 logins race for it, all sign in, and one of them stores a hash', async () => {
    for (let race = 0; race < 3; race += 1) {
      const login = `race-${race}`;
      const id = await addUser({ core }, { login });
      const seen = new Set([await storedHash(id)]);
      const watch = async () => {
        const outcome = await signIn(dearer, login);
        seen.add(await storedHash(id));
        return outcome;
      };
      expect(Object.keys(await tally(Array.from({ length: 32 }, watch)))).toEqual(['ok']);
      expect(seen.size).toBe(2);
      expect(await storedHash(id)).toStartWith('$argon2id$v=19$m=2048,t=2,p=1$');
    }
  });

  test('AUT-14: a server of lower parameters beside it takes nothing back in such a race', async () => {
    const id = await addUser({ core }, { login: 'mixed' });
    const tries = Array.from({ length: 32 }, (_, index) => signIn(index % 2 === 0 ? core : dearer, 'mixed'));
    expect(Object.keys(await tally(tries))).toEqual(['ok']);
    expect(await storedHash(id)).toStartWith('$argon2id$v=19$m=2048,t=2,p=1$');
  });

  const salt = 'c29tZXNhbHRzb21lc2FsdA';
  const damages: [damage: string, hash: string][] = [
    ['empty', ''],
    ['cut', '$argon2id$v=19$m=1024,t=1,p=1$c29tZ'],
    ['no hash at all', testPassword],
    ['of 4 GB, which would run for 14 s', `$argon2id$v=19$m=4194304,t=1,p=1$${salt}$${'A'.repeat(43)}`],
    ['of 1,000 passes', `$argon2id$v=19$m=1024,t=1000,p=1$${salt}$${'A'.repeat(43)}`],
    ['of bcrypt at cost 31', `$2b$31$${'a'.repeat(53)}`],
    ['of another algorithm', `$scrypt$ln=16,r=8,p=1$${salt}$${'A'.repeat(43)}`],
  ];
  test.each(damages)(
    'TC3, L27: a stored hash %s is a wrong password, an alarm, and costs one hash of ours',
    async (damage, hash) => {
      const login = `damaged ${damage}`.slice(0, 60);
      const id = await addUser({ core }, { login });
      await storeHash(id, hash);
      const lines = at.log.length;
      const evaluated = core.hasher.evaluated();
      const startedMs = performance.now();
      expect(await outcomeOf(signIn(core, login))).toBe('login_refused');
      expect(performance.now() - startedMs).toBeLessThan(3000);
      // One dummy, so that the damage is not told by the time; none of the damaged kind.
      expect(core.hasher.evaluated() - evaluated).toBe(1);
      const events = (await listAudit(core, 0, 1000)).filter((row) => row.target_user_id === id);
      const kinds = events.map((row) => row.event).filter((event) => event !== 'user.created');
      expect(kinds).toContain('login.damaged_hash');
      const alarms = at.log.slice(lines).map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(alarms.filter(({ level, event }) => level === 'error' && event === 'login.damaged_hash')).toHaveLength(1);
      if (hash !== '') expect(JSON.stringify(alarms)).not.toContain(hash);
      expect(await storedHash(id)).toBe(hash);
    },
  );

  test('AUT-15: a success after five failures or more tells of them in its one event; after four it is like any other', async () => {
    for (const failures of [0, 4, 5, 9]) {
      const login = `late-${failures}`;
      const id = await addUser({ core }, { login });
      for (let count = 0; count < failures; count += 1) {
        expect(await outcomeOf(signIn(core, login, { password: 'not the password' }))).toBe('login_refused');
      }
      expect(await outcomeOf(signIn(core, login))).toBe('ok');
      const events = (await listAudit(core, 0, 1000)).filter((row) => row.actor_user_id === id);
      expect(events.map((row) => row.event)).toEqual(['login.succeeded']);
      expect(JSON.parse(events[0]?.detail ?? '')).toMatchObject({ failuresBefore: failures });
    }
  });
});
