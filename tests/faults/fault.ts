import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, startCluster } from '../support/postgres.ts';
import {
  type Ground,
  makeGround,
  type Program,
  programCommand,
  type Server,
  serveBy,
  startProgram,
} from '../support/program.ts';
import type { GuardName } from './guards.ts';

/** One fault of the fault plan, on one store where that matters. */
export type Fault = {
  readonly id: string;
  /** What happens, and on which store. */
  readonly title: string;
  /** What is switched off to see it fail: a guard of the product, or words for a guard that lies elsewhere. */
  readonly guard: GuardName | { readonly words: string };
  /** The first means that is missing here, by name. */
  readonly missing?: () => string | undefined;
  readonly run: (at: Scene) => Promise<void>;
};

/** Where a fault happens. Everything taken from it is given back at the end. */
export type Scene = {
  readonly quick: boolean;
  readonly seed: number;
  /** How often a repeated fault happens: in a quick run, in a whole one, or as the command line says. */
  readonly times: (quick: number, whole: number) => number;
  readonly guardOff: boolean;
  /** States what must hold. */
  readonly require: (holds: boolean, sentence: string) => void;
  readonly figure: (name: string, value: string | number) => void;
  readonly progress: (sentence: string) => void;
  readonly ground: (settings?: Readonly<Record<string, string>>, parent?: string) => Ground;
  readonly directory: () => string;
  readonly cluster: (parent?: string) => Promise<Cluster>;
  /** Starts the server, without its guard when that is switched off. */
  readonly serve: (env: Readonly<Record<string, string>>) => Promise<Server>;
  /** Starts it so too, and returns at once; it is ended with the fault. */
  readonly start: (env: Readonly<Record<string, string>>) => Program;
  readonly atEnd: (work: () => unknown) => void;
};

export type SceneOptions = {
  readonly quick: boolean;
  readonly seed: number;
  readonly repeats: number | undefined;
  readonly guardOff: boolean;
  readonly progress: (sentence: string) => void;
};

export type Report = { readonly failures: readonly string[]; readonly figures: readonly string[] };

const guardOffPath = join(import.meta.dir, 'guard-off.ts');

/** Plays one fault. @throws Error when it cannot be played, which is neither a pass nor a seen failure */
export async function playFault(fault: Fault, options: SceneOptions): Promise<Report> {
  const failures: string[] = [];
  const figures: string[] = [];
  const endings: (() => unknown)[] = [];
  const scene: Scene = {
    ...options,
    times: (quick, whole) => options.repeats ?? (options.quick || options.guardOff ? quick : whole),
    require: (holds, sentence) => void (holds || failures.push(sentence)),
    figure: (name, value) => void figures.push(`${name} ${typeof value === 'number' ? round(value) : value}`),
    ground(settings = {}, parent = tmpdir()) {
      const ground = makeGround(settings, parent);
      // What lies on a disk of its own goes with it, and may be past writing.
      if (parent === tmpdir()) endings.push(ground.remove);
      return ground;
    },
    directory() {
      const directory = mkdtempSync(join(tmpdir(), 'cardea-fault-'));
      endings.push(() => rmSync(directory, { recursive: true, force: true }));
      return directory;
    },
    async cluster(parent) {
      const cluster = await startCluster(parent);
      endings.push(cluster.stop);
      return cluster;
    },
    async serve(env) {
      const server = await serveBy(...startOf(fault, options.guardOff, env));
      endings.push(async () => {
        server.signal('SIGCONT');
        server.signal('SIGKILL');
        await server.exited;
        // What the store's trouble explains is a 503; the rest explains a 500.
        const own = server.output().match(/^(?!.*"store: (?:unavailable|busy)").*"event":"request\.failed".*$/m)?.[0];
        if (failures.length > 0 && own !== undefined) figures.push(`in the log: ${own}`);
      });
      return server;
    },
    start(env) {
      const [command, all] = startOf(fault, options.guardOff, env);
      return startProgram(['serve'], { env: all, command });
    },
    atEnd: (work) => void endings.push(work),
  };
  try {
    await fault.run(scene);
  } finally {
    await giveBack(endings.reverse());
  }
  return { failures, figures };
}

/** All of it, also when some cannot be given back: a mount or a process would outlive the run. */
async function giveBack(endings: readonly (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const end of endings) {
    try {
      await end();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, 'not everything of the fault could be cleared away');
}

function startOf(
  { guard }: Fault,
  guardOff: boolean,
  env: Readonly<Record<string, string>>,
): [command: readonly string[], env: Readonly<Record<string, string>>] {
  return commandOf(guardOff && typeof guard === 'string' ? [guard] : [], env);
}

/** How the program is started without some of its guards, or with what stands in for something. */
export function commandOf(
  without: readonly GuardName[],
  env: Readonly<Record<string, string>>,
): [command: readonly string[], env: Readonly<Record<string, string>>] {
  if (without.length === 0) return [programCommand, env];
  const command = [...programCommand.slice(0, -1), '--preload', guardOffPath, ...programCommand.slice(-1)];
  return [command, { ...env, CARDEA_TEST_GUARDS_OFF: without.join() }];
}

function round(value: number): string {
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}
