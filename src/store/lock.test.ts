import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { holdLock } from './lock.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cardea-lock-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('TS11: one holder at a time, and the next after its release', () => {
  const lock = holdLock(directory);
  expect(lock).not.toBeNull();
  expect(holdLock(directory)).toBeNull();
  lock?.release();
  const next = holdLock(directory);
  expect(next).not.toBeNull();
  next?.release();
});

test('TS2: the lock file is the owner’s alone', () => {
  const lock = holdLock(directory);
  expect(statSync(join(directory, 'cardea.lock')).mode & 0o777).toBe(0o600);
  lock?.release();
});

test('TS9: the lock outlives a caller that forgets it', () => {
  holdLock(directory);
  Bun.gc(true);
  expect(holdLock(directory)).toBeNull();
});

test('TS11, F31: another process is kept out until the holder dies, also by kill -9', async () => {
  const code = `import { holdLock } from ${JSON.stringify(join(import.meta.dir, 'lock.ts'))};
    process.stdout.write(String(holdLock(${JSON.stringify(directory)}) !== null));
    setInterval(() => {}, 1000);`;
  const holder = Bun.spawn([process.execPath, '--no-env-file', '-e', code], { stdout: 'pipe' });
  const { value } = await holder.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe('true');
  expect(holdLock(directory)).toBeNull();
  holder.kill('SIGKILL');
  await holder.exited;
  const next = holdLock(directory);
  expect(next).not.toBeNull();
  next?.release();
});
