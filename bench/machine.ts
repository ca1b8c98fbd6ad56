import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** What one process has used so far and holds now. */
type ProcessRow = {
  readonly pid: number;
  readonly parent: number;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
};

/** CPU time (user and system) used so far, and resident memory held now, of one or more processes. */
export type Use = { readonly cpuSeconds: number; readonly residentBytes: number };

/** The kernel's unit in `/proc/<pid>/stat`; it is 100 wherever Bun runs, whatever the kernel's own clock. */
const ticksPerSecond = 100;
const pageBytes = 4096;

/** The use of a process by itself. */
export function useOfProcess(pid: number): Use {
  return sum(readProcesses().filter((row) => row.pid === pid));
}

/** The use of everything that a process has started, at any depth, without the process itself. */
export function useOfChildren(pid: number): Use {
  const rows = readProcesses();
  const family = new Set([pid]);
  // A parent may be listed after its child.
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const row of rows) if (family.has(row.parent)) family.add(row.pid);
  }
  return sum(rows.filter((row) => row.pid !== pid && family.has(row.pid)));
}

export function addUse(a: Use, b: Use): Use {
  return { cpuSeconds: a.cpuSeconds + b.cpuSeconds, residentBytes: a.residentBytes + b.residentBytes };
}

export const noUse: Use = { cpuSeconds: 0, residentBytes: 0 };

function sum(rows: readonly ProcessRow[]): Use {
  return rows.reduce<Use>(addUse, noUse);
}

function readProcesses(): ProcessRow[] {
  return process.platform === 'linux' ? readProc() : readPs();
}

function readProc(): ProcessRow[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readStat(Number(name)));
}

/** proc(5): after the command in brackets come state, parent, …, utime (14th), stime (15th), …, resident pages (24th). */
function readStat(pid: number): ProcessRow[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [parent = 0, utime = 0, stime = 0, pages = 0] = [fields[1], fields[11], fields[12], fields[21]];
    return [{ pid, parent, cpuSeconds: (utime + stime) / ticksPerSecond, residentBytes: pages * pageBytes }];
  } catch {
    // It ended in between.
    return [];
  }
}

function readPs(): ProcessRow[] {
  const { stdout } = Bun.spawnSync(['ps', '-A', '-o', 'pid=,ppid=,time=,rss=']);
  return stdout
    .toString()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns.length === 4)
    .map(([pid, parent, time = '', kibibytes]) => ({
      pid: Number(pid),
      parent: Number(parent),
      cpuSeconds: readTime(time),
      residentBytes: Number(kibibytes) * 1024,
    }));
}

/** `[days-][hours:]minutes:seconds[.hundredths]` */
function readTime(text: string): number {
  const [days, rest] = text.includes('-') ? (text.split('-') as [string, string]) : ['0', text];
  return Number(days) * 86_400 + rest.split(':').reduce((seconds, part) => seconds * 60 + Number(part), 0);
}

/** Where each side runs: the words to put in front of a command. Empty where processes cannot be pinned. */
export type Pinning = { readonly server: readonly string[]; readonly load: readonly string[] };

/** The server gets the first core that this process may use, the load generator the second. */
export function choosePinning(): Pinning {
  const [first, second] = readAllowedCores();
  if (Bun.which('taskset') === null || first === undefined || second === undefined) return { server: [], load: [] };
  return { server: ['taskset', '-c', String(first)], load: ['taskset', '-c', String(second)] };
}

/** A container may own any of the machine's cores: proc(5), `Cpus_allowed_list`, e.g. `0-3,8`. */
function readAllowedCores(): number[] {
  if (process.platform !== 'linux') return [];
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '';
  return list.split(',').flatMap((part) => {
    const [from = Number.NaN, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
}

/** One line on the machine, for the head of the table. */
export function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  return `${cpus().length} cores (${model}), ${process.platform} ${process.arch}`;
}

/** The version that a program prints of itself, or null when it is not installed. */
export function versionOf(command: readonly [string, ...string[]]): string | null {
  if (Bun.which(command[0]) === null) return null;
  const { stdout, stderr } = Bun.spawnSync([...command]);
  return /\d+(\.\d+)+/.exec(`${stdout.toString()} ${stderr.toString()}`)?.[0] ?? 'of unknown version';
}
