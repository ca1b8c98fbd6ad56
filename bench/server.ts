import { type Program, startProgram } from '../tests/support/program.ts';
import { addUse, noUse, type Use, useOfChildren, useOfProcess } from './machine.ts';

/** A server under measurement. */
export type Server = {
  readonly name: string;
  readonly port: number;
  /** What the serving itself uses: the process, or with its workers where those serve. */
  readonly use: () => Use;
  /** What stands behind it: hashing children, Redis, PostgreSQL. */
  readonly useBehind: () => Use;
};

/** Far more than any of them needs; a first start compiles and hashes. */
const startLimitMs = 120_000;

/** Starts a program and waits until its output says that it is up. @throws Error with what it said, when it does not get up */
export async function startUntil(
  command: readonly string[],
  ready: RegExp,
  env: Readonly<Record<string, string>> = {},
): Promise<{ program: Program; match: RegExpExecArray }> {
  const program = startProgram([], { command, env });
  try {
    return { program, match: await Promise.race([program.waitFor(ready), failLater()]) };
  } catch (error) {
    throw new Error(`${command.join(' ')} did not start: ${program.errors().trim()}`, { cause: error });
  }
}

async function failLater(): Promise<never> {
  await Bun.sleep(startLimitMs);
  throw new Error('too slow');
}

/** The use of a process with everything it started. */
export function useOfTree(pid: number): Use {
  return addUse(useOfProcess(pid), useOfChildren(pid));
}

export function useNothing(): Use {
  return noUse;
}

/** A port that was free a moment ago, for servers that cannot choose one themselves. */
export async function findFreePort(): Promise<number> {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
