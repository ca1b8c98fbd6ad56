import { dlopen, FFIType, ptr } from 'bun:ffi';
import { chmodSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of its own in a file, mounted, whose power can be cut. */
export type Disk = {
  /** Where it is mounted. */
  readonly path: string;
  /** The file system is dead from now on: nothing that was not flushed before gets to the disk any more. */
  readonly cutPower: () => void;
  /** Takes it off and mounts it again, as after the start of the machine. Nobody may have a file of it open. */
  readonly restart: () => Promise<void>;
  /** As after a broken disk: what is there can be read, nothing can be written. */
  readonly turnReadOnly: () => void;
  /** Everything that was written so far is on the disk. */
  readonly flush: () => void;
  readonly remove: () => Promise<void>;
};

/** What a disk needs and this machine lacks, by name. */
export function missingForDisk(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid?.() !== 0) return 'root';
  const tool = ['mkfs.ext4', 'mount', 'umount', 'truncate', 'sync'].find((name) => Bun.which(name) === null);
  if (tool !== undefined) return tool;
  if (!existsSync('/dev/loop-control')) return 'loop devices';
  mountable ??= isMountable();
  return mountable ? undefined : 'the right to mount a loop device';
}

let mountable: boolean | undefined;

function isMountable(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'cardea-disk-'));
  try {
    const [image, path] = makeImage(directory, 16);
    const mounted = run('mount', '-o', 'loop', image, path);
    if (mounted) run('umount', path);
    return mounted;
  } catch {
    return false;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function makeDisk(megabytes: number): Disk {
  const directory = mkdtempSync(join(tmpdir(), 'cardea-disk-'));
  const [image, path] = makeImage(directory, megabytes);
  const mount = () => must('mount', '-o', 'loop', image, path);
  mount();
  return {
    path,
    cutPower: () => shutDown(path),
    async restart() {
      await unmount(path);
      mount();
    },
    turnReadOnly: () => must('mount', '-o', 'remount,abort', path),
    flush: () => must('sync', '-f', path),
    async remove() {
      await unmount(path);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function makeImage(directory: string, megabytes: number): [image: string, path: string] {
  const [image, path] = [join(directory, 'image'), join(directory, 'mounted')];
  // PostgreSQL runs as a user of its own, who must get through to its directory.
  chmodSync(directory, 0o755);
  mkdirSync(path);
  must('truncate', '-s', `${megabytes}M`, image);
  must('mkfs.ext4', '-q', '-F', image);
  return [image, path];
}

/** The kernel lets go of a file system a moment after the last process with an open file has ended. */
async function unmount(path: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (run('umount', path)) return;
    await Bun.sleep(50);
  }
  throw new Error(`${path} cannot be unmounted`);
}

const shutDownRequest = 0x8004587d;
/** EXT4_GOING_FLAGS_NOLOGFLUSH: the log in memory is lost too. */
const noLogFlush = 2;

/** `EXT4_IOC_SHUTDOWN` of linux/fs/ext4/ext4.h: the file system stops in the middle of whatever it is doing. */
function shutDown(path: string): void {
  const libc = dlopen('libc.so.6', {
    ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  });
  const root = openSync(path, 'r');
  const result = libc.symbols.ioctl(root, shutDownRequest, ptr(new Uint32Array([noLogFlush])));
  closeSync(root);
  libc.close();
  if (result !== 0) throw new Error('the file system cannot be shut down');
}

function run(...command: readonly string[]): boolean {
  return Bun.spawnSync([...command], { stdout: 'ignore', stderr: 'ignore' }).exitCode === 0;
}

function must(...command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], { stdout: 'ignore', stderr: 'pipe' });
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString().trim()}`);
}
