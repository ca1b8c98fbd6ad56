import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCore } from '../../src/open-core.ts';
import { writeDemoData } from '../../src/cli/demo-data.ts';
import { loadConfig } from '../../src/config.ts';
import type { Core } from '../../src/core/index.ts';
import { createLog } from '../../src/log.ts';

/** The program as a user of the machine runs it: a process of its own, real clock and real hashes. */
export type Program = {
  readonly pid: number;
  /** What it has written to standard output so far. */
  readonly output: () => string;
  readonly errors: () => string;
  /** Resolves with the match as soon as the output has one, and rejects when the program ends without. */
  readonly waitFor: (pattern: RegExp) => Promise<RegExpExecArray>;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** The exit code; 128 and more for a signal. */
  readonly exited: Promise<number>;
};

export type ProgramOptions = {
  /** Settings and other variables; nothing else of the test's environment reaches the program. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
  /** Another way to start it than the project's own command line. */
  readonly command?: readonly string[];
};

export const projectRoot = join(import.meta.dir, '..', '..');
const bun = process.execPath;
export const programCommand = [
  bun,
  '--no-env-file',
  '--config=/dev/null',
  '--no-install',
  join(projectRoot, 'src/main.ts'),
];

const running = new Set<Program>();

/** Starts the program and returns at once. */
export function startProgram(args: readonly string[], options: ProgramOptions = {}): Program {
  const command = options.command ?? programCommand;
  const child = Bun.spawn([...command, ...args], {
    cwd: options.cwd ?? projectRoot,
    env: { PATH: process.env['PATH'] ?? '', HOME: tmpdir(), TMPDIR: tmpdir(), ...options.env },
    stdin: options.input === undefined ? 'ignore' : new TextEncoder().encode(options.input),
    stdout: 'pipe',
    stderr: 'pipe',
    // A group of its own, so that what the program itself started can be ended with it.
    detached: true,
  });
  const output = collect(child.stdout);
  const errors = collect(child.stderr);
  const program: Program = {
    pid: child.pid,
    output: output.text,
    errors: errors.text,
    waitFor: output.waitFor,
    signal: (signal) => child.kill(signal),
    // Killing is an outcome, not an error; the pipes are read to their end first.
    exited: Promise.all([child.exited, output.ended, errors.ended]).then(([code]) => code),
  };
  running.add(program);
  void program.exited.then(() => running.delete(program));
  return program;
}

/** For `afterEach`: no test leaves a program behind, whatever became of it. */
export async function endPrograms(): Promise<void> {
  const left = [...running];
  for (const program of left) killGroup(program.pid);
  await Promise.all(left.map((program) => program.exited));
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

type Collected = {
  readonly text: () => string;
  readonly waitFor: Program['waitFor'];
  readonly ended: Promise<void>;
};

function collect(stream: ReadableStream<Uint8Array>): Collected {
  let text = '';
  let isOver = false;
  const listeners = new Set<() => void>();
  const tell = () => {
    for (const listener of listeners) listener();
  };
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      tell();
    }
    isOver = true;
    tell();
  };
  const waitFor = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(text);
        if (match === null && !isOver) return;
        listeners.delete(look);
        if (match === null) reject(new Error(`the program ended without ${pattern}; it said: ${text}`));
        else resolve(match);
      };
      listeners.add(look);
      look();
    });
  return { text: () => text, waitFor, ended: read() };
}

export type Finished = { readonly code: number; readonly output: string; readonly errors: string };

/** Runs the program to its end. */
export async function runProgram(args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
  const program = startProgram(args, options);
  const code = await program.exited;
  return { code, output: program.output(), errors: program.errors() };
}

/** A program that serves, and where. */
export type Server = Program & { readonly url: string };

/** Starts `serve` and waits until it answers. */
export function startServing(env: Readonly<Record<string, string>>): Promise<Server> {
  return serveBy(programCommand, env);
}

/** `startServing` by another command line than the project's own. */
export async function serveBy(command: readonly string[], env: Readonly<Record<string, string>>): Promise<Server> {
  const program = startProgram(['serve'], { env, command });
  const started = program.waitFor(/"event":"server\.started","url":"([^"]+)"/);
  const [, url = ''] = await started.catch(async (error: unknown) => {
    await program.exited;
    throw new Error(`the server does not start: ${program.errors()}`, { cause: error });
  });
  return { ...program, url };
}

/** A place of its own for one server: a private directory and the settings that name it. */
export type Ground = {
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly remove: () => void;
};

/** Makes an empty place; every server in it takes a free port and stops without a pause. */
export function makeGround(settings: Readonly<Record<string, string>> = {}, parent: string = tmpdir()): Ground {
  const directory = mkdtempSync(join(parent, 'cardea-process-'));
  chmodSync(directory, 0o700);
  const env = {
    CARDEA_HTTP_PORT: '0',
    CARDEA_HTTPS_PORT: '0',
    CARDEA_DATA: directory,
    CARDEA_SHUTDOWN_DRAIN_MS: '0',
    CARDEA_PASSWORD_WORKERS: '2',
    // Ports change from start to start, tokens must not.
    CARDEA_PUBLIC_URL: 'https://auth.example.com',
    ...settings,
  };
  return { directory, env, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** Fills a place as a server would have, with the documents' users unless told otherwise, and leaves it closed. */
export async function fillGround(
  { env }: Ground,
  prepare: (core: Core) => Promise<void> = writeDemoData,
): Promise<void> {
  const { core, close } = await openCore({
    config: loadConfig(env),
    log: createLog('error', async () => undefined),
    hashCost: { memoryKib: 1024, passes: 1 },
    hashWorkers: 1,
    create: true,
  });
  try {
    await prepare(core);
  } finally {
    await close();
  }
}
