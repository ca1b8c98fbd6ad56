import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyRing, type KeyRing } from './core/index.ts';
import { createLog } from './log.ts';
import {
  type KeyWatch,
  loadSigningKeys,
  prepareNextKey,
  promoteNextKey,
  replaceAllKeys,
  watchSigningKeys,
} from './signing-keys.ts';

const now = 1_778_175_000;
const later = now + 43_200;
const oneKey = 'q5Yb0Tn3cE8wJx2LrVd7uKf1oZs6hPaMi9gRtBkXyDQ';
const otherKey = 'W2mZc8pQvN4sHk7yTj1dLx9bRf3gUe6oAi5nKtYqEwM';
const maskKey = 'Zt4nUw8sKd2fGh6jLp0qRx3vBm7cYe1aIo5kNyTzWsQ';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cardea-keys-'));
  path = join(directory, 'signing-keys.json');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const load = (create = false) => loadSigningKeys(directory, create);

async function rotate(at = now, until = later) {
  await prepareNextKey(directory, at);
  return promoteNextKey(directory, at, until);
}

describe('the key file', () => {
  test('is made once, for its owner alone, and nothing lies beside it', async () => {
    const made = await load(true);
    expect(await load(true)).toEqual(made);
    expect(made).toMatchObject({ next: null, previous: [] });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['signing-keys.json']);
  });

  test('of two first starts at once, both use the same keys', async () => {
    const [one, two] = await Promise.all([load(true), load(true)]);
    expect(one).toEqual(two);
  });

  test('as it was before there was rotation is understood, with and without a previous key', async () => {
    const write = (previous: string | null) =>
      writeFileSync(path, JSON.stringify({ current: oneKey, previous, mask: maskKey }), { mode: 0o600 });
    write(null);
    expect(await load()).toMatchObject({ next: null, previous: [] });
    write(otherKey);
    const { current, previous } = await load();
    expect(previous.map(({ bytes }) => Buffer.from(bytes).toString('base64url'))).toEqual([otherKey]);
    expect(previous[0]?.until).toBeNull();
    // Its end is known from the first rotation on.
    const rotated = await rotate();
    expect(rotated.previous.map(({ id, until }) => [id, until])).toEqual([
      [current.id, later],
      [previous[0]?.id ?? '', later],
    ]);
  });

  test.each([
    ['a former key that is no text', { previous: [{ key: 5, until: null }] }],
    ['a former key without a key', { previous: [{ until: 5 }] }],
    ['an end that is no whole second', { previous: [{ key: otherKey, until: 'soon' }] }],
    ['a number for the former keys', { previous: 5 }],
    ['null for a former key', { previous: [null] }],
    ['a number for the next key', { previous: [], next: 5 }],
  ])('with %s is refused, and not quoted', async (_, wrong) => {
    writeFileSync(path, JSON.stringify({ current: oneKey, mask: maskKey, ...wrong }), { mode: 0o600 });
    const refusal = await load().then(String, String);
    expect(refusal).toContain('it is damaged');
    for (const secret of [oneKey, otherKey, maskKey]) expect(refusal).not.toContain(secret);
  });
});

describe('TOK-07: a rotation', () => {
  test('first lets the new key verify, then sign; the former one verifies until its end, and the mask stays', async () => {
    const before = await load(true);
    const id = await prepareNextKey(directory, now);
    const between = await load();
    expect(between).toEqual({ ...before, next: between.next });
    expect(between.next?.id).toBe(id);
    const after = await promoteNextKey(directory, now, later);
    expect(after.current.id).toBe(id);
    expect(after).toMatchObject({ next: null, previous: [{ id: before.current.id, until: later }], mask: before.mask });
    expect(await load()).toEqual(after);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['signing-keys.json']);
  });

  test('keeps the former keys of earlier rotations, newest first, and drops those past their end', async () => {
    const first = (await load(true)).current.id;
    const second = (await rotate(now, now + 100)).current.id;
    const third = (await rotate(now + 10, now + 110)).current.id;
    expect((await load()).previous.map(({ id }) => id)).toEqual([second, first]);
    const { previous } = await rotate(now + 100, now + 200);
    expect(previous.map(({ id }) => id)).toEqual([third, second]);
  });

  test('is refused while a hundred former keys count, and possible again once some do not', async () => {
    await load(true);
    for (let count = 0; count < 100; count += 1) await rotate(now + count, later + count);
    const before = readFileSync(path, 'utf8');
    await expect(rotate(now + 100)).rejects.toThrow(/100 earlier signing keys.*until 2026-05-08.*--emergency/);
    expect(readFileSync(path, 'utf8')).toBe(before);
    await rotate(later);
    expect((await load()).previous).toHaveLength(100);
    expect((await replaceAllKeys(directory)).previous).toEqual([]);
  });

  test('in an emergency leaves nothing of before', async () => {
    const before = await rotateOnce();
    await prepareNextKey(directory, now);
    const after = await replaceAllKeys(directory);
    expect(await load()).toEqual(after);
    expect(after).toMatchObject({ next: null, previous: [] });
    expect(after.current.id).not.toBe(before.current.id);
    expect(after.mask).not.toEqual(before.mask);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  async function rotateOnce() {
    await load(true);
    return rotate();
  }

  test('meets another one: no key is lost, and who comes too late is told', async () => {
    await load(true);
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => rotate()));
    const done = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value.current.id] : []));
    const { current, previous } = await load();
    expect(done.length).toBeGreaterThan(0);
    for (const id of done) expect([current, ...previous].map((key) => key.id)).toContain(id);
    for (const one of outcomes) {
      if (one.status === 'rejected') expect(String(one.reason)).toMatch(/Another rotation (is under way|was made)/);
    }
    expect(readdirSync(directory)).toEqual(['signing-keys.json']);
  });

  test('is kept out by the draft of one under way, and not by one that died long ago', async () => {
    await load(true);
    const draft = `${path}.new`;
    writeFileSync(draft, '', { mode: 0o600 });
    await expect(rotate()).rejects.toThrow('Another rotation is under way');
    expect(existsSync(draft)).toBe(true);
    utimesSync(draft, new Date(0), new Date(Date.now() - 60_000));
    await rotate();
    expect(existsSync(draft)).toBe(false);
  });

  test('of a file that is damaged changes nothing', async () => {
    writeFileSync(path, '{"current":', { mode: 0o600 });
    await expect(rotate()).rejects.toThrow('it is damaged');
    await expect(replaceAllKeys(directory)).rejects.toThrow('it is damaged');
    expect(readFileSync(path, 'utf8')).toBe('{"current":');
    expect(readdirSync(directory)).toEqual(['signing-keys.json']);
  });
});

describe('a running server', () => {
  let ring: KeyRing;
  let watch: KeyWatch;
  let lines: string[];
  let changes: number;
  beforeEach(async () => {
    ring = createKeyRing(await load(true));
    changes = 0;
    lines = [];
    watch = watchSigningKeys(
      directory,
      ring,
      createLog('debug', async (text) => void lines.push(text)),
    );
    ring.onChange(() => (changes += 1));
  });
  afterEach(() => watch.stop());

  /** Waits for the watch to have looked; the limit is for a machine under load. */
  async function until(isSo: () => boolean): Promise<void> {
    for (let tries = 0; tries < 500 && !isSo(); tries += 1) await Bun.sleep(10);
    expect(isSo()).toBe(true);
  }

  test('follows an exchange by itself and tells whoever keeps what it concluded from the former keys', async () => {
    const { current } = await rotate();
    await until(() => ring.current.id === current.id);
    expect({ ...ring }).toMatchObject(await load());
    expect(changes).toBe(1);
    await replaceAllKeys(directory);
    await until(() => ring.previous.length === 0);
    expect(changes).toBe(2);
    expect(lines.join('')).toMatch(/"signing_keys\.reloaded"/);
    for (const { bytes } of [ring.current, current]) {
      expect(lines.join('')).not.toContain(Buffer.from(bytes).toString('base64url'));
    }
  });

  test('goes on with the keys it has when the file cannot be used, says so once, and follows it when it can', async () => {
    const { current, mask } = ring;
    writeFileSync(path, '{"current":', { mode: 0o600 });
    await until(() => lines.join('').includes('signing_keys.not_reloaded'));
    expect(() => watch.reload()).toThrow('it is damaged');
    rmSync(path);
    await until(() => lines.join('').split('signing_keys.not_reloaded').length === 3);
    expect(ring).toMatchObject({ current, mask });
    expect(changes).toBe(0);
    writeFileSync(path, JSON.stringify({ current: oneKey, previous: null, mask: maskKey }), { mode: 0o600 });
    await until(() => changes === 1);
    chmodSync(path, 0o644);
    await until(() => lines.join('').includes('chmod 600'));
    expect(changes).toBe(1);
  });

  test('takes the file’s keys when it starts to watch: an exchange during the start is not missed', async () => {
    watch.stop();
    const stale = createKeyRing(await load());
    const { current } = await rotate();
    watch = watchSigningKeys(
      directory,
      stale,
      createLog('error', async () => undefined),
    );
    expect(stale.current.id).toBe(current.id);
  });

  test('reads the file at once when it is told to', async () => {
    const { current } = await rotate();
    watch.reload();
    expect(ring.current.id).toBe(current.id);
  });
});
