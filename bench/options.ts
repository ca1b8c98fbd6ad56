import { parseArgs } from 'node:util';
import { type CardeaTarget, cardeaTargets, usualTargets } from './cardea/targets.ts';
import { type NeighbourName, neighbourNames } from './neighbours/neighbours.ts';
import { type PeerName, peerNames } from './peers/peers.ts';

export type Options = {
  readonly targets: readonly CardeaTarget[];
  readonly neighbours: readonly NeighbourName[];
  readonly peers: readonly PeerName[];
  readonly seconds: number;
  readonly rounds: number;
  /** Rows of sessions in the store beside those that sign in. */
  readonly sessions: number;
  readonly store: 'sqlite' | 'postgres';
  readonly cold: boolean;
  readonly flood: boolean;
  readonly memory: boolean;
  readonly refusedPercent: number;
  /** Settings of Cardea beyond the usual ones. */
  readonly settings: Readonly<Record<string, string>>;
  readonly generator: 'wrk' | 'own';
  readonly json: boolean;
};

/** A command line that cannot be run; the message is a sentence. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const help = `Measures Cardea's session check beside other servers, interleaved, on this machine.

  npm run bench -- [options]

What is measured
  --targets <list>    calls of Cardea (default ${usualTargets.join(',')};
                      also rest-cold, rest-mixed), or none
  --peers <list>      ${peerNames.join(',')},
                      or none (default: all)
  --neighbours <list> ${neighbourNames.join(',')}, or none (default: all)

For how long
  --seconds <n>       length of one measurement (default 5)
  --rounds <n>        how often each is measured; the table shows medians (default 3)

Around it
  --sessions <n>      sessions stored beforehand: 1k, 1M, 10M or any number (default 1k)
  --store <name>      sqlite, or postgres: a PostgreSQL of the run's own (default sqlite)
  --cold              adds rest-cold: each check is of another stored session
  --refused <percent> adds rest-mixed: so much of the checks carries an unknown key
  --flood             adds a login flood of 200 clients beside 500 checks/s
  --memory            adds what 50,000 sessions take in the server's memory
  --set NAME=VALUE    a setting of Cardea, CARDEA_…; may be repeated
  --generator <name>  wrk, or own: the bench's own client (default: wrk if installed)
  --json              prints JSON in the place of the table
  --help              this text

Progress goes to standard error, the table to standard output. bench/README.md says how to read it.
`;

/** @returns what the command line asks for, or null for the help @throws UsageError */
export function readOptions(args: readonly string[], hasWrk: boolean): Options | null {
  const values = parse(args);
  if (values.help === true) return null;
  const cold = values.cold === true;
  const refusedPercent = readNumber('--refused', values.refused ?? '0', 0, 100);
  const chosen = readList('--targets', values.targets, cardeaTargets, usualTargets);
  const added: CardeaTarget[] = [
    ...(cold ? ['rest-cold' as const] : []),
    ...(refusedPercent > 0 ? ['rest-mixed' as const] : []),
  ];
  const targets = [...new Set([...chosen, ...added])];
  const sessions = readCount(values.sessions ?? '1k');
  if (sessions === 0 && targets.includes('rest-cold')) throw new UsageError('--cold needs stored sessions.');
  return {
    targets,
    neighbours: readList('--neighbours', values.neighbours, neighbourNames, neighbourNames),
    peers: readList('--peers', values.peers, peerNames, peerNames),
    seconds: readNumber('--seconds', values.seconds ?? '5', 1, 3600),
    rounds: readNumber('--rounds', values.rounds ?? '3', 1, 100),
    sessions,
    store: readWord('--store', values.store ?? 'sqlite', ['sqlite', 'postgres']),
    cold,
    flood: values.flood === true,
    memory: values.memory === true,
    refusedPercent,
    settings: readSettings(values.set ?? []),
    generator: readWord('--generator', values.generator ?? (hasWrk ? 'wrk' : 'own'), ['wrk', 'own']),
    json: values.json === true,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        targets: { type: 'string' },
        peers: { type: 'string' },
        neighbours: { type: 'string' },
        seconds: { type: 'string' },
        rounds: { type: 'string' },
        sessions: { type: 'string' },
        store: { type: 'string' },
        cold: { type: 'boolean' },
        flood: { type: 'boolean' },
        memory: { type: 'boolean' },
        refused: { type: 'string' },
        set: { type: 'string', multiple: true },
        generator: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function readList<T extends string>(
  name: string,
  text: string | undefined,
  known: readonly T[],
  usual: readonly T[],
): readonly T[] {
  if (text === undefined) return usual;
  if (text === 'none') return [];
  if (text === 'all') return known;
  return text.split(',').map((word) => readWord(name, word, known));
}

function readWord<T extends string>(name: string, text: string, known: readonly T[]): T {
  const found = known.find((word) => word === text);
  if (found === undefined) throw new UsageError(`${name} knows ${known.join(', ')}, not ${text}.`);
  return found;
}

function readNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`${name} takes a whole number from ${least} to ${most}, not ${text}.`);
}

function readCount(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([kM]?)$/.exec(text) ?? [];
  if (digits === '') throw new UsageError(`--sessions takes a number such as 1000, 1k or 1M, not ${text}.`);
  return Number(digits) * (unit === 'M' ? 1_000_000 : unit === 'k' ? 1_000 : 1);
}

function readSettings(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, value] = /^(CARDEA_[A-Z_]+)=(.*)$/.exec(pair) ?? [];
      if (name === undefined || value === undefined)
        throw new UsageError(`--set takes CARDEA_NAME=value, not ${pair}.`);
      return [name, value] as const;
    }),
  );
}
