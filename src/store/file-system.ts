/** What kind of file system a directory lies on: SQLite's locks and flushes mean something on a disk of this machine only. */
import { readFileSync, statfsSync, statSync } from 'node:fs';

export type FileSystem = {
  /** As the kernel calls it, e.g. `nfs`. */
  readonly name: string;
  /** `network`: others may write too, and locks are a matter of luck. `volatile`: gone with the machine or the container. */
  readonly kind: 'local' | 'volatile' | 'network' | 'unknown';
};

/** Type numbers of statfs(2), linux/magic.h and the sources of those that are not part of the kernel. */
const network = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x01021997, '9p'],
  [0x00c36400, 'ceph'],
  [0x0bd00bd0, 'lustre'],
  [0x47504653, 'gpfs'],
  [0x19830326, 'beegfs'],
  [0x20030528, 'orangefs'],
  [0x7461636f, 'ocfs2'],
  [0x01161970, 'gfs2'],
  [0x5346414f, 'openafs'],
  [0x6b414653, 'afs'],
  [0x73757245, 'coda'],
  [0x564c, 'ncp'],
  [0x786f4256, 'vboxsf'],
  [0xbacbacbc, 'vmhgfs'],
]);
const volatile = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
  [0x794c7630, 'overlay'],
  [0x61756673, 'aufs'],
]);
const fuse = 0x65735546;
/** What programs serve over FUSE is told apart by the name of the mount alone. */
const networkPrograms = [
  'sshfs',
  'glusterfs',
  's3fs',
  'goofys',
  'gcsfuse',
  'blobfuse2',
  'rclone',
  'juicefs',
  'seaweedfs',
  'moosefs',
  'mfs',
  'ceph',
  'ceph-fuse',
  'davfs',
  'davfs2',
  'curlftpfs',
  'smbnetfs',
  'vmhgfs-fuse',
];
const volatilePrograms = ['fuse-overlayfs'];

/** The file system of an existing directory. Only Linux numbers its kinds the same everywhere: elsewhere all count as local. */
export function readFileSystem(directory: string): FileSystem {
  if (process.platform !== 'linux') return { name: process.platform, kind: 'local' };
  return judgeFileSystem(statfsSync(directory).type, () => readMountName(statSync(directory).dev));
}

/** Why a database file may not lie there, for the operator; null where it may. */
export function explainRefusal(directory: string, { name, kind }: FileSystem): string | null {
  if (kind !== 'network') return null;
  return `${directory} lies on a network file system (${name}), where SQLite is not safe; use a local disk, or PostgreSQL.`;
}

/**
 * @param type number that statfs(2) gives
 * @param mountName name of the mount's kind, e.g. `fuse.sshfs`; asked for only where the number does not say enough
 */
export function judgeFileSystem(type: number, mountName: () => string): FileSystem {
  // Some kernels and runtimes give the number with a sign.
  const number = type >>> 0;
  const [far, passing] = [network.get(number), volatile.get(number)];
  if (far !== undefined) return { name: far, kind: 'network' };
  if (passing !== undefined) return { name: passing, kind: 'volatile' };
  if (number !== fuse) return { name: `0x${number.toString(16)}`, kind: 'local' };
  const name = mountName();
  const program = name.replace(/^fuse(blk)?\./, '');
  if (networkPrograms.includes(program)) return { name, kind: 'network' };
  return { name, kind: volatilePrograms.includes(program) ? 'volatile' : 'unknown' };
}

/** The kind that proc(5) `mountinfo` names for a device: `36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw`. */
export function findMountName(mountinfo: string, device: number): string {
  // makedev(3) of glibc.
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  const major = (device >>> 8) & 0xfff;
  const fields = mountinfo
    .split('\n')
    .map((line) => line.split(' '))
    .find((some) => some[2] === `${major}:${minor}`);
  return fields?.[fields.indexOf('-') + 1] ?? 'fuse';
}

function readMountName(device: number): string {
  try {
    return findMountName(readFileSync('/proc/self/mountinfo', 'utf8'), device);
  } catch {
    return 'fuse';
  }
}
