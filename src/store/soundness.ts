/** Whether a SQLite file is whole: looked at before it answers anything, as far as that is a matter of moments. */
import { statSync } from 'node:fs';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { StoreError } from './errors.ts';
import type { Store } from './open.ts';

export type Patience = {
  /** A start waits so long for a large file. */
  readonly waitMs: number;
  /** Files up to this size are read by this process, at 1,500 MB a second or so. */
  readonly smallBytes: number;
};

export const usualPatience: Patience = { waitMs: 2_000, smallBytes: 64_000_000 };

const workerPath = fileURLToPath(new URL('./check-worker.ts', import.meta.url));

/**
 * Reads through the whole file. What takes longer than `waitMs` goes on in a child at the lowest priority: damage that it finds
 * then breaks the store.
 * @param file null on PostgreSQL, which looks after its own files
 * @returns a function that ends what is still under way, and tells whether the file was found whole
 * @throws StoreError 'unavailable' with what was found in time
 */
export async function checkFile(
  store: Store,
  file: string | null,
  patience: Patience,
): Promise<() => Promise<boolean>> {
  if (file === null) return async () => true;
  if (statSync(file).size <= patience.smallBytes) {
    await requireSoundFile(store);
    return async () => true;
  }
  const child = startChild(file);
  const found = new Response(child.stdout).text();
  const early = await Promise.race([found, ...(patience.waitMs === Infinity ? [] : [Bun.sleep(patience.waitMs)])]);
  if (typeof early === 'string') requireOk(early);
  else void found.then((late) => late.trim() === '' || late.trim() === 'ok' || store.health.note(damaged(late)));
  // Awaited, since the log cannot be folded and removed while another process reads the file.
  return async () => {
    child.kill('SIGKILL');
    await child.exited;
    return (await found).trim() === 'ok';
  };
}

function startChild(file: string): Bun.Subprocess<'ignore', 'pipe', 'inherit'> {
  const flags = ['--no-env-file', '--config=/dev/null', '--no-install'];
  const child = Bun.spawn([process.execPath, ...flags, workerPath, file], {
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  lowerPriority(child.pid);
  return child;
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, 19);
  } catch {
    // It is over already, or a sandbox forbids it.
  }
}

/**
 * Reads through a whole SQLite file in this process.
 * @throws StoreError 'unavailable' with what was found
 */
export async function requireSoundFile(store: Store): Promise<void> {
  if (store.engine === 'postgres') return;
  const { rows } = await sql<{ quick_check: string }>`pragma quick_check(1)`.execute(store.lists);
  requireOk(rows[0]?.quick_check ?? '');
}

function requireOk(found: string): void {
  if (found.trim() !== 'ok') throw new StoreError('unavailable', damaged(found));
}

/** Looks like the driver's own error for a damaged file. */
function damaged(found: string): Error {
  const text = found.trim() === '' ? 'the check gave no answer' : found.replace(/\s+/g, ' ').trim();
  return Object.assign(new Error(text), { code: 'SQLITE_CORRUPT' });
}
