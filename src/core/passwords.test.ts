import { describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import common from '@zxcvbn-ts/language-common/src/passwords.json';
import {
  createBlocklist,
  generatePassword,
  newPasswordFault,
  normalizeName,
  normalizePassword,
  type PasswordFacts,
} from './passwords.ts';

const facts: PasswordFacts = {
  minLength: 12,
  composition: false,
  blocked: createBlocklist(''),
  login: 'jane.smith.2026',
  email: 'Postmaster.Jane@example.com',
  host: 'auth.example.com',
};
const isCommon = 'must not be a commonly used password';
const isOwn = 'must not be your login, your e-mail address or the name of this server';
const isShort = 'must be at least 12 characters';
const isLong = 'must be at most 1,024 bytes';
const lacksClass = 'must contain a lower-case letter, an upper-case letter, a digit and another character';

describe('normalizePassword', () => {
  test('composed and decomposed forms become one', () => {
    expect(normalizePassword('Cafe\u0301')).toBe('Caf\u00e9');
    expect(normalizePassword('Caf\u00e9')).toBe('Caf\u00e9');
    expect(normalizePassword('\uff21\ufb01')).toBe('Afi');
  });

  test('nothing is trimmed, folded or cut', () => {
    for (const text of [' a ', 'A', 'a\0b', '\t', 'x'.repeat(1_024), '\u{1f600}'.repeat(256)])
      expect(normalizePassword(text)).toBe(text);
  });

  test.each([
    ['nothing', ''],
    ['1,025 bytes', 'x'.repeat(1_025)],
    ['1,028 bytes of emoji', '\u{1f600}'.repeat(257)],
    ['more than 1,024 bytes after NFKC only', '\ufdfa'.repeat(100)],
    ['more than 1,024 bytes before NFKC only', '\uff21'.repeat(342)],
    ['a lone high surrogate', 'abc\ud83d'],
    ['a lone low surrogate', '\ude00abc'],
    ['a reversed pair', '\ude00\ud83d'],
  ])('%s is refused', (_, text) => expect(normalizePassword(text)).toBeNull());
});

describe('normalizeName', () => {
  test('names are compared in NFKC and lower-case, untrimmed', () => {
    expect(normalizeName('JSmith@Example.COM')).toBe('jsmith@example.com');
    expect(normalizeName('\uff2aose\u0301')).toBe('jos\u00e9');
    expect(normalizeName(' a ')).toBe(' a ');
  });

  test('the canonical form of a canonical form is itself, for every code point', () => {
    for (let point = 0; point < 0x110000; point++) {
      if (point >= 0xd800 && point < 0xe000) continue;
      const name = normalizeName(String.fromCodePoint(point));
      if (normalizeName(name) !== name) throw new Error(`U+${point.toString(16)}`);
    }
  });
});

describe('newPasswordFault', () => {
  test.each([
    ['twelve characters', 'Sup3r$ecret!', null],
    ['eleven characters', 'Sup3r$ecret', isShort],
    ['nothing', '', isShort],
    ['twelve emoji', '\u{1f600}'.repeat(12), null],
    ['eleven emoji, 22 code units', '\u{1f600}'.repeat(11), isShort],
    ['twelve characters before NFC, eleven after', 'qqqqqqqqqqe\u0301', isShort],
    ['thirteen before NFC, twelve after', 'qqqqqqqqqqqe\u0301', null],
    ['twelve after NFKC only', `qqqqqqqqqq\ufb01`, null],
    ['1,024 bytes', 'q'.repeat(1_024), null],
    ['1,025 bytes', 'q'.repeat(1_025), isLong],
    ['1,025 bytes after NFKC only', '\ufdfa'.repeat(100), isLong],
    ['a lone surrogate', 'long enough \ud83d', 'must not contain half a surrogate pair'],
    ['spaces only', ' '.repeat(12), 'must not consist of spaces only'],
    ['wide spaces only', '\u3000'.repeat(12), 'must not consist of spaces only'],
    ['spaces at both ends', ' a '.repeat(4), null],
    ['the login', 'jane.smith.2026', isOwn],
    ['the login in other letters', 'JANE.Smith.2026', isOwn],
    ['the e-mail address', 'postmaster.jane@example.com', isOwn],
    ['its local part', 'postmaster.jane', isOwn],
    ['the host', 'Auth.Example.Com', isOwn],
    ['the login and more', 'jane.smith.2026!', null],
    ['a common password', 'qwertyuiop123', isCommon],
    ['a common password in capitals', 'QWERTYUIOP123', isCommon],
    ['a common password in wide letters', '\uff31WERTYUIOP123', isCommon],
  ])('%s', async (_, password, fault) => expect(await newPasswordFault(password, facts)).toBe(fault));

  test('the product name is refused when it is long enough', async () => {
    expect(await newPasswordFault('Cardea', { ...facts, minLength: 6 })).toBe(isOwn);
  });

  test('the composition rule counts only when it is on', async () => {
    const on = { ...facts, composition: true };
    expect(await newPasswordFault('correct horse battery', facts)).toBeNull();
    for (const lacking of ['correct horse battery', 'Correct Horse Battery', 'CORRECT HORSE 1', 'CorrectHorse1234'])
      expect(await newPasswordFault(lacking, on)).toBe(lacksClass);
    expect(await newPasswordFault('Sup3r$ecret!', on)).toBeNull();
    expect(await newPasswordFault('CORRECT1!\nhorse', on)).toBeNull();
  });

  test('a megabyte is refused within 5 ms', async () => {
    const huge = '\ufdfa'.repeat(350_000);
    const start = performance.now();
    expect(await newPasswordFault(huge, facts)).toBe(isLong);
    expect(normalizePassword(huge)).toBeNull();
    expect(performance.now() - start).toBeLessThan(5);
  });
});

describe('the blocklist', () => {
  test('has at least 40,000 words', () => expect(new Set(common.map(normalizeName)).size).toBeGreaterThan(40_000));

  test('every common password that is long enough is refused, however its letters are cased', async () => {
    const long = common.filter((word) => [...word].length >= 12);
    expect(long.length).toBeGreaterThan(300);
    for (const word of long) {
      expect(await newPasswordFault(word, facts)).toBe(isCommon);
      expect(await newPasswordFault(word.toUpperCase(), facts)).toBe(isCommon);
    }
  });

  test('2,000 words spread over the list are refused at the least length that can be set', async () => {
    const long = common.filter((word) => [...word].length >= 8);
    const step = Math.floor(long.length / 2_000);
    const sample = Array.from({ length: 2_000 }, (_, index) => long[index * step] ?? '');
    for (const word of sample) expect(await newPasswordFault(word, { ...facts, minLength: 8 })).toBe(isCommon);
  });

  test('a lookup takes less than a millisecond once the list is read', async () => {
    const list = createBlocklist('');
    await list.includes('first');
    const start = performance.now();
    for (let round = 0; round < 1_000; round++) await list.includes(`not in the list ${round}`);
    expect((performance.now() - start) / 1_000).toBeLessThan(1);
  });

  test('the list takes less than 20 MB', () => {
    const script = `const { createBlocklist } = await import(${JSON.stringify(new URL('./passwords.ts', import.meta.url).pathname)});
      Bun.gc(true); const before = process.memoryUsage.rss();
      if (!(await createBlocklist('').includes('123456'))) process.exit(1);
      Bun.gc(true); console.log(process.memoryUsage.rss() - before);`;
    const grown = Bun.spawnSync([process.execPath, '-e', script]).stdout.toString();
    expect(Number(grown)).toBeGreaterThan(0);
    expect(Number(grown)).toBeLessThan(20_000_000);
  });

  test("the operator's words are added, case-folded, one per line", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cardea-'));
    const path = join(folder, 'words.txt');
    await Bun.write(path, '\ufeffFirst Of Them All\r\n\r\nacme hardware ltd\n  with its spaces');
    const own = { ...facts, blocked: createBlocklist(path) };
    for (const word of ['first of them all', 'ACME Hardware Ltd', '  with its spaces', 'qwertyuiop123'])
      expect(await newPasswordFault(word, own)).toBe(isCommon);
    for (const word of ['acme hardware', 'acme hardware ltd!', 'with its spaces'])
      expect(await newPasswordFault(`${word}    `, own)).toBeNull();
    expect(await own.blocked.includes('')).toBe(false);
    await rm(folder, { recursive: true });
  });

  test('a file that cannot be read refuses to answer rather than let a password pass, until it can be read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cardea-'));
    const list = createBlocklist(join(folder, 'late.txt'));
    await expect(list.includes('anything at all')).rejects.toThrow();
    await Bun.write(join(folder, 'late.txt'), 'anything at all\n');
    expect(await list.includes('anything at all')).toBe(true);
    await rm(folder, { recursive: true });
  });
});

describe('generatePassword', () => {
  test('has the length asked for and all four classes, and passes the policy with composition', async () => {
    for (let round = 0; round < 500; round++) {
      const password = generatePassword(12 + (round % 20));
      expect(password.length).toBe(12 + (round % 20));
      expect(await newPasswordFault(password, { ...facts, composition: true })).toBeNull();
    }
  });

  test('no two are alike', () => {
    expect(new Set(Array.from({ length: 1_000 }, () => generatePassword(20))).size).toBe(1_000);
  });

  test('every character is about as frequent as the others of its class', () => {
    const counts = new Map<string, number>();
    for (let round = 0; round < 200; round++)
      for (const letter of generatePassword(1_000)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    expect(counts.size).toBe(64);
    // 200,000 draws over 64 characters: 3,125 each, standard deviation 55.
    for (const count of counts.values()) expect(Math.abs(count - 3_125)).toBeLessThan(8 * 55);
  });

  test('fewer than twelve characters are refused', () => {
    expect(() => generatePassword(11)).toThrow(RangeError);
    expect(() => generatePassword(Number.NaN)).toThrow(RangeError);
    expect(() => generatePassword(1_025)).toThrow(RangeError);
  });
});
