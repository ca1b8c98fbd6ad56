import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of a few megabytes in memory, which a test may fill. */
export type SmallDisk = {
  readonly path: string;
  /** Takes all the space that is left. */
  readonly fill: () => void;
  readonly free: () => void;
  /** Takes it off; nobody may have a file of it open. */
  readonly remove: () => void;
};

/** What is missing to make one, by name; undefined when nothing is. */
export const missingForSmallDisk: string | undefined = findMissing();

function findMissing(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid?.() !== 0) return 'root';
  try {
    makeSmallDisk(1).remove();
    return undefined;
  } catch {
    return 'the right to mount tmpfs';
  }
}

export function makeSmallDisk(megabytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'cardea-small-disk-'));
  const filler = join(path, 'filler');
  run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'tmpfs', path);
  return {
    path,
    fill: () => fillUp(filler),
    free: () => rmSync(filler, { force: true }),
    remove() {
      run('umount', '-l', path);
      rmSync(path, { recursive: true });
    },
  };
}

function fillUp(filler: string): void {
  const file = openSync(filler, 'a');
  try {
    for (const size of [1_048_576, 4096]) writeUntilFull(file, Buffer.alloc(size, 1));
  } finally {
    closeSync(file);
  }
}

function writeUntilFull(file: number, block: Buffer): void {
  for (;;) {
    try {
      writeSync(file, block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command, { stdout: 'ignore', stderr: 'pipe' });
  if (exitCode !== 0) throw new Error(stderr.toString());
}
