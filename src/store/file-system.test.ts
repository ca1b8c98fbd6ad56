import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { explainRefusal, type FileSystem, findMountName, judgeFileSystem, readFileSystem } from './file-system.ts';

const kinds: [type: number, mountName: string, name: string, kind: FileSystem['kind']][] = [
  [0x6969, '', 'nfs', 'network'],
  [0xff534d42, '', 'cifs', 'network'],
  [0xff534d42 | 0, '', 'cifs', 'network'],
  [0xfe534d42, '', 'smb2', 'network'],
  [0x01021997, '', '9p', 'network'],
  [0x65735546, 'fuse.sshfs', 'fuse.sshfs', 'network'],
  [0x65735546, 'fuse.glusterfs', 'fuse.glusterfs', 'network'],
  [0x65735546, 'fuse.fuse-overlayfs', 'fuse.fuse-overlayfs', 'volatile'],
  [0x65735546, 'fuseblk.ntfs-3g', 'fuseblk.ntfs-3g', 'unknown'],
  [0x65735546, 'fuse', 'fuse', 'unknown'],
  [0x01021994, '', 'tmpfs', 'volatile'],
  [0x858458f6, '', 'ramfs', 'volatile'],
  [0x794c7630, '', 'overlay', 'volatile'],
  [0xef53, '', '0xef53', 'local'],
  [0x58465342, '', '0x58465342', 'local'],
  [0x9123683e, '', '0x9123683e', 'local'],
];

describe('F34: the file system of the data directory', () => {
  test.each(kinds)('of type %d, mounted as "%s", is %s: %s', (type, mountName, name, kind) => {
    expect(judgeFileSystem(type, () => mountName)).toEqual({ name, kind });
  });

  test('is refused only where it is a network', () => {
    expect(explainRefusal('/data', { name: 'nfs', kind: 'network' })).toMatch(
      /^\/data lies on a network file system \(nfs\)/,
    );
    expect(explainRefusal('/data', { name: 'overlay', kind: 'volatile' })).toBeNull();
  });

  test('is named by its mount only where its number does not say enough', () => {
    const asked = () => {
      throw new Error('asked');
    };
    expect(judgeFileSystem(0xef53, asked).kind).toBe('local');
    expect(() => judgeFileSystem(0x65735546, asked)).toThrow('asked');
  });

  test('is found in the list of mounts by its device, also behind optional fields', () => {
    const mounts = [
      '22 27 0:21 / /proc rw,relatime - proc proc rw',
      '36 35 0:300 / /mnt/far\\040away rw shared:7 master:1 - fuse.sshfs them:/there rw',
      '40 35 254:0 / / rw,relatime - ext4 /dev/vda rw',
    ].join('\n');
    expect(findMountName(mounts, 21)).toBe('proc');
    expect(findMountName(mounts, (300 & 0xff) | ((300 & ~0xff) << 12))).toBe('fuse.sshfs');
    expect(findMountName(mounts, 254 << 8)).toBe('ext4');
    expect(findMountName(mounts, 99)).toBe('fuse');
  });

  test('is read of a real directory', () => {
    const directory = mkdtempSync(join(tmpdir(), 'cardea-test-'));
    try {
      expect(readFileSystem(directory).name).not.toBe('');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
