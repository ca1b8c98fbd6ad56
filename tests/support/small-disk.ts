import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of a few megabytes of its own, which a test may fill or break. */
export type SmallDisk = {
  readonly path: string;
  /** Takes all the space that is left. */
  readonly fill: () => void;
  readonly free: () => void;
  /** As after a broken disk: what is there can be read, and nothing can be written any more. */
  readonly turnReadOnly: () => void;
  /** Takes it off; nobody may have a file of it open. */
  readonly remove: () => void;
};

/** What is missing to make one, by name; undefined when nothing is. */
export const missingForSmallDisk: string | undefined = findMissing();

function findMissing(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid?.() !== 0) return 'root';
  try {
    makeSmallDisk(8).remove();
    return undefined;
  } catch {
    return 'mkfs.ext4 and the right to mount a loop device';
  }
}

export function makeSmallDisk(megabytes: number): SmallDisk {
  const directory = mkdtempSync(join(tmpdir(), 'cardea-small-disk-'));
  const [image, path] = [join(directory, 'image'), join(directory, 'mounted')];
  const filler = join(path, 'filler');
  mkdirSync(path);
  run('truncate', '-s', `${megabytes}M`, image);
  run('mkfs.ext4', '-q', '-F', image);
  run('mount', '-o', 'loop', image, path);
  return {
    path,
    fill: () => fillUp(filler),
    free: () => rmSync(filler, { force: true }),
    turnReadOnly: () => run('mount', '-o', 'remount,abort', path),
    remove() {
      run('umount', '-l', path);
      rmSync(directory, { recursive: true });
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
