import { beforeAll, describe, expect, test } from 'bun:test';
import { underAttack, useAttackGround } from '../support/attack.ts';
import { logins, timeless } from '../support/login-ways.ts';
import { naughtyStrings } from '../support/naughty-strings.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { breakStore } from '../support/store-trouble.ts';
import { addUser, testPassword } from '../support/users.ts';

const ground = useAttackGround();
const ways = logins.map(([name, login, expected]) => [name, login, expected] as const);
const isSoap = (way: string) => /SOAP|form/.test(way);
const usesJson = (way: string) => !isSoap(way) && !way.startsWith('Basic');

const accents = 'déjà vu — ﬁne Ångström';
beforeAll(async () => {
  await addUser(ground.server, { login: 'plain' });
  for (const bytes of [72, 255, 1_000]) {
    await addUser(ground.server, { login: `long-${bytes}`, password: `${'p'.repeat(bytes)}-right` });
  }
  await addUser(ground.server, { login: 'nul', password: 'nine herons\u0000b' });
  await addUser(ground.server, { login: 'accents', password: accents.normalize('NFKC') });
});

describe.each(ways)('attacks L at %s', (way, login, expected) => {
  const refuse = async (name: string, password: string) =>
    expect({
      name,
      password: password.slice(0, 60),
      ...timeless(await login(ground.server, name, password)),
    }).toMatchObject({
      name,
      password: password.slice(0, 60),
      ...expected,
    });

  test('L03 passwords equal in the first 72, 255 and 1,000 bytes: C401', async () => {
    await underAttack(ground, async () => {
      for (const bytes of [72, 255, 1_000]) {
        await refuse(`long-${bytes}`, 'p'.repeat(bytes));
        await refuse(`long-${bytes}`, `${'p'.repeat(bytes)}-wrong`);
        expect((await login(ground.server, `long-${bytes}`, `${'p'.repeat(bytes)}-right`)).status).toBe(200);
      }
    });
  });

  test('L04 passwords of 1,025 bytes to 16 KB: refused without a hash', async () => {
    const before = ground.server.core.hasher.evaluated();
    for (const password of ['x'.repeat(1_025), 'é'.repeat(513), 'x'.repeat(12_000)]) {
      const { status } = await underAttack(ground, () => login(ground.server, 'plain', password));
      expect({ way, status }).toEqual({
        way,
        status: isSoap(way) ? (way.includes('1.2') ? 400 : 500) : way.startsWith('Basic') ? 401 : 400,
      });
    }
    expect(ground.server.core.hasher.evaluated()).toBe(before);
  });

  test('L05 a NUL does not end a password, and a name with control characters is nobody', async () => {
    if (usesJson(way) || way.startsWith('Basic')) {
      await refuse('nul', 'nine herons');
      expect((await login(ground.server, 'nul', 'nine herons\u0000b')).status).toBe(200);
      for (const name of ['pla\u0000in', 'plain\u0000', 'plain\n', '\u001bplain']) {
        expect([400, 401]).toContain(
          (await underAttack(ground, () => login(ground.server, name, testPassword))).status,
        );
      }
    }
    for (const name of ['plain\u0085', 'plain\r']) {
      expect([400, 401, 500]).toContain((await login(ground.server, name, testPassword)).status);
    }
  });

  test('L06 composed, decomposed and compatible forms of a password are one', async () => {
    for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD'] as const) {
      expect((await login(ground.server, 'accents', accents.normalize(form))).status).toBe(200);
    }
    await refuse('accents', 'deja vu — fine Angstrom');
  });

  test('L07 the name in other case or width is the same; with anything added it is nobody', async () => {
    for (const name of ['PLAIN', 'Plain', 'ｐｌａｉｎ']) {
      expect((await login(ground.server, name, testPassword)).status).toBe(200);
    }
    for (const name of [' plain', 'plain ', 'plain.', 'pla\u200bin', '\u202eplain', 'plаin', 'plain\ufeff']) {
      await refuse(name, testPassword);
    }
  });

  test('L17 D01 fragments of queries and naughty strings as name and as password: refused, and no row is another', async () => {
    const before = await fingerprint(ground.server);
    const fragments = [
      "' or '1'='1",
      "admin'--",
      '" or ""="',
      "'; drop table users; --",
      "1' union select 1--",
      '%',
      '_%',
    ];
    // Every way speaks its own syntax; what one cannot carry another does.
    const texts = [...fragments, ...naughtyStrings.filter((text) => text.isWellFormed() && text.length < 200)];
    const some = texts.filter((_, at) => at % ways.length === ways.findIndex(([name]) => name === way) || at < 4);
    await underAttack(ground, async () => {
      for (const text of some) {
        for (const answer of [
          await login(ground.server, text, testPassword),
          await login(ground.server, 'plain', text),
        ]) {
          expect([400, 401, 500]).toContain(answer.status);
          expect(answer.text).not.toContain(text.length > 6 && /[^\w ]/.test(text) ? text : '\u0000never');
        }
      }
    });
    expect(await fingerprint(ground.server)).toBe(before);
  });

  test('L25 a store that cannot be written: U503 and no session', async () => {
    const before = (await ground.server.core.store.db.selectFrom('sessions').select('id').execute()).length;
    const trouble = breakStore(ground.server, { ways: ['db'] });
    try {
      const { status, headers } = await login(ground.server, 'plain', testPassword);
      expect({ way, status }).toEqual({ way, status: way.startsWith('SOAP') ? 500 : 503 });
      expect(headers.get('retry-after')).toMatch(/^[1-5]$/);
    } finally {
      trouble.mend();
    }
    expect((await ground.server.core.store.db.selectFrom('sessions').select('id').execute()).length).toBe(before);
    expect((await login(ground.server, 'plain', testPassword)).status).toBe(200);
  });

  test('L27 a damaged stored hash, and one that would take 4 GB: C401, neither is run, and the audit says so', async () => {
    const { server } = ground;
    const cases = ['$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$aGFzaA', 'damaged', '', '$2b$04$abc'];
    for (const [at, stored] of cases.entries()) {
      const name = `l27-${way.replace(/\W/g, '')}-${at}`;
      const id = await addUser(server, { login: name });
      await server.core.store.db.updateTable('users').set({ password_hash: stored }).where('id', '=', id).execute();
      const startMs = performance.now();
      await refuse(name, testPassword);
      // 4 GB take 14 s.
      expect(performance.now() - startMs).toBeLessThan(5_000);
      const events = await server.core.store.db
        .selectFrom('audit_events')
        .select('event')
        .where('target_user_id', '=', id)
        .execute();
      expect(events.map(({ event }) => event)).toContain('login.damaged_hash');
    }
  });
});
