import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { endPrograms } from '../tests/support/program.ts';
import { type Cardea, startCardea } from './cardea/server.ts';
import { makeCardeaTargets, warmUsers } from './cardea/targets.ts';
import { startDatabase } from './database.ts';
import { type Flood, measureFlood } from './flood.ts';
import { type Held, measureHeld } from './held.ts';
import { choosePinning, describeMachine, type Pinning, versionOf } from './machine.ts';
import { sendOnce } from './measure.ts';
import { makeNeighbours, type Model, type NeighbourName } from './neighbours/neighbours.ts';
import type { Options } from './options.ts';
import { installPeers, makePeers } from './peers/peers.ts';
import { type Result, runRounds } from './rounds.ts';
import { makeRows, type Row } from './table.ts';
import type { Target } from './target.ts';

/** Everything that a run tells. */
export type Outcome = {
  readonly date: string;
  readonly machine: string;
  /** Processes that wanted a core in the minute before: what else the machine had to do. */
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly options: Options;
  readonly pinned: boolean;
  /** From the start of Cardea to its first answer. */
  readonly readyMs: number;
  readonly rows: readonly Row[];
  /** Null unless asked for. */
  readonly flood: Flood | null;
  readonly held: Held | null;
  /** What was asked for and is missing, one sentence each. */
  readonly omitted: readonly string[];
};

/** Starts all servers, measures, and ends them, whatever happens. */
export async function runBench(options: Options, report: (line: string) => void): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'cardea-bench-run-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const loadBefore = loadavg()[0] ?? 0;
  const database = options.store === 'postgres' ? await startDatabase() : undefined;
  let cardea: Cardea | undefined;
  try {
    const pinning = choosePinning();
    cardea = await startCardea({
      users: warmUsers,
      sessions: options.sessions,
      settings: options.settings,
      database,
      pinning: pinning.server,
      report,
    });
    report(`Cardea answered ${Math.round(cardea.readyMs)} ms after its start`);
    return { loadBefore, ...(await measureAll(options, cardea, pinning, folder, report)) };
  } finally {
    await endPrograms();
    await database?.stop();
    cardea?.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureAll(
  options: Options,
  cardea: Cardea,
  pinning: Pinning,
  folder: string,
  report: (line: string) => void,
): Promise<Omit<Outcome, 'loadBefore'>> {
  const omitted: string[] = [];
  const omit = (line: string) => {
    omitted.push(line);
    report(`left out: ${line}`);
  };
  const node = Bun.which('node');
  if (node === null) omit('Node: the peers run on Bun, because node is not installed');
  const place = { folder, pinning: pinning.server, node: node ?? process.execPath };
  const own = await makeCardeaTargets(cardea, options.targets, options.refusedPercent);
  const neighbours = await makeNeighbours(presentNeighbours(options, omit), await readModels(own), place);
  const canRunPeers = options.peers.length === 0 || (await installPeers(report));
  if (!canRunPeers) omit('the peers: their packages could not be installed (npm ci --prefix bench)');
  const peers = canRunPeers ? await makePeers(options.peers, place, omit) : [];
  const load = { generator: options.generator, pinning: pinning.load, folder };
  const targets = [...own, ...neighbours, ...peers];
  const results: Result[] = await runRounds(targets, { ...options, load, report });
  // Nothing else runs beside it.
  await endPrograms();
  const flood = options.flood ? await measureFlood({ ...options, folder, report }) : null;
  const held = options.memory ? await measureHeld({ ...options, folder, report }) : null;
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    machine: describeMachine(),
    versions: readVersions(options),
    options,
    pinned: pinning.server.length > 0,
    readyMs: Math.round(cardea.readyMs),
    rows: makeRows(results),
    flood,
    held,
    omitted,
  };
}

function presentNeighbours({ neighbours }: Options, omit: (line: string) => void): NeighbourName[] {
  return neighbours.filter((name) => {
    const missing = name !== 'bun' && Bun.which(name) === null;
    if (missing) omit(`${name}: it is not installed`);
    return !missing;
  });
}

/** The first request of each contract and what Cardea answers to it: what the neighbours repeat. */
async function readModels(targets: readonly Target[]): Promise<Model[]> {
  const models = new Map<string, Model>();
  for (const { neighbour, accepted, requests, server } of targets) {
    const name = neighbour?.slice('nginx-'.length);
    const request = requests[0];
    if (name === undefined || request === undefined || accepted.status !== 200 || models.has(name)) continue;
    const { body } = await sendOnce(server.port, request);
    models.set(name, { name, request, body, type: name === 'soap' ? 'text/xml' : 'application/json' });
  }
  return [...models.values()];
}

function readVersions({ generator }: Options): Record<string, string> {
  const { version } = JSON.parse(readFileSync(join(import.meta.dir, '../package.json'), 'utf8')) as { version: string };
  const found: readonly (readonly [string, string | null])[] = [
    ['Cardea', version],
    ['Bun', Bun.version],
    ['Node', versionOf(['node', '--version'])],
    ['nginx', versionOf(['nginx', '-v'])],
    ['Redis', versionOf(['redis-server', '--version'])],
    ['wrk', generator === 'wrk' ? versionOf(['wrk', '-v']) : null],
  ];
  return Object.fromEntries(found.map(([name, text]) => [name, text ?? 'not installed']));
}
