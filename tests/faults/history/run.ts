import { join } from 'node:path';
import { openCore } from '../../../src/open-core.ts';
import { loadConfig } from '../../../src/config.ts';
import { type Core, listAudit, storeApiKey, verifyAudit } from '../../../src/core/index.ts';
import { createLog } from '../../../src/log.ts';
import type { Ground } from '../../support/program.ts';
import { fillGround, runProgram } from '../../support/program.ts';
import { addUser, testPassword } from '../../support/users.ts';
import { type Violation, violations } from './check.ts';
import { checkEverything, type Field, play, type Player, agentOf } from './clients.ts';
import { type AuditEntry, type History, readHistory } from './history.ts';
import { createRandom } from './random.ts';
import { openRecorder } from './recorder.ts';

export const adminKey = '0F0F0F0F-1111-4222-8333-444455556666';
const graceSeconds = 2;

/** Settings under which every door answers and no limit stands in the way of a history. */
export const historySettings = {
  CARDEA_HCX_ENABLED: 'true',
  CARDEA_USER_SESSION_COOKIE: 'true',
  CARDEA_ECGRID_REFRESH_GRACE_SECONDS: String(graceSeconds),
  CARDEA_SESSION_MAX_PER_USER: '10000',
  CARDEA_THROTTLE_FREE_TRIES: '100',
  CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
  CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
  CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000',
  CARDEA_LIMITS_REFUSED_PER_SECOND: '1000000',
};

/** Fills an empty place with the players of a history. @returns who they are */
export async function fillWithPlayers(ground: Ground, count = 6): Promise<Player[]> {
  const players: Player[] = [];
  await fillGround(ground, async (core) => {
    const facts = { actorId: null, caller: { address: 'local', userAgent: 'test', requestId: 'fill' } };
    const admin = await addUser({ core }, { login: 'administrator', authLevel: 'Root' });
    await storeApiKey(core, admin, adminKey, facts);
    for (let index = 0; index <= count; index += 1) {
      const isVictim = index === count;
      const login = isVictim ? 'victim' : `player-${index}`;
      const id = await addUser({ core }, { login });
      players.push({ id, login, email: `${login}@users.example.com`, password: 'p0', isVictim });
    }
  });
  return players;
}

/** What a fault does to the servers while clients play. */
export type Stage = {
  readonly acknowledged: () => number;
  /** Marks the time between two moments as one in which requests may go without an answer. */
  readonly during: <T>(name: string, work: () => Promise<T>) => Promise<T>;
};

export type HistoryOptions = {
  readonly ground: Ground;
  readonly players: readonly Player[];
  readonly seed: number;
  readonly clients?: number;
  readonly urls: () => readonly string[];
  /** Where the history is written; beside the store unless given. */
  readonly directory?: string;
  /** How often commands of the command line are among the requests: 1 is one in a hundred. None unless given. */
  readonly commands?: number;
  /** The clients play until this has come to its end. */
  readonly script: (stage: Stage) => Promise<void>;
};

export type HistoryReport = {
  readonly violations: readonly Violation[];
  readonly history: History;
  readonly acknowledged: number;
  /** Checks of everything that was given out, after the end. */
  readonly finalChecks: number;
  readonly path: string;
};

/** Plays random clients through a script of faults, then asks about everything that was ever given out, and judges. */
export async function runHistory(options: HistoryOptions): Promise<HistoryReport> {
  const { ground, players, seed, clients = 6 } = options;
  const path = join(options.directory ?? ground.directory, `history-${seed}.jsonl`);
  const recorder = openRecorder(path);
  const users = Object.fromEntries(players.map(({ login }) => [login, 'MailboxUser']));
  recorder.write({ phase: 'start', users, graceMs: graceSeconds * 1000, seed });
  const field: Field = {
    recorder,
    players: players.map((player) => ({ ...player })),
    urls: options.urls,
    command: (args) => runProgram(args, { env: ground.env }),
    commandWeight: options.commands ?? 0,
    adminKey,
    passwords: new Map([['p0', testPassword]]),
    held: [],
    labels: new Map(),
    guesses: 0,
  };
  let isOver = false;
  const playing = Array.from({ length: clients }, (_, index) =>
    play(field, index + 1, createRandom(seed + index), () => !isOver),
  );
  try {
    await options.script(stageOf(field));
  } finally {
    isOver = true;
    await Promise.all(playing);
  }
  const acknowledged = recorder.acknowledged();
  const finalChecks = await checkEverything(field, createRandom(seed));
  recorder.write({ phase: 'store', ...(await readStore(ground, field.players)) });
  recorder.close();
  const history = readHistory(await Bun.file(path).text());
  return { violations: violations(history), history, acknowledged, finalChecks, path };
}

function stageOf({ recorder }: Field): Stage {
  let faults = 0;
  return {
    acknowledged: recorder.acknowledged,
    async during(name, work) {
      faults += 1;
      const label = `${name} ${faults}`;
      recorder.fault(label);
      const result = await work();
      recorder.healed(label);
      return result;
    },
  };
}

/** What the store itself has written down, read as the command line does. */
async function readStore(ground: Ground, players: readonly Player[]) {
  const log = createLog('error', async () => undefined);
  const { core, close } = await openCore({ config: loadConfig(ground.env), log, hashWorkers: 1, create: false });
  try {
    const audit = await readOwnAudit(core);
    const victims = players.filter((player) => player.isVictim);
    const rows = await core.store.lists
      .selectFrom('users')
      .select(['login', 'failed_passwords'])
      .where(
        'id',
        'in',
        victims.map(({ id }) => id),
      )
      .execute();
    const counted = Object.fromEntries(rows.map((row) => [row.login, row.failed_passwords]));
    return { audit, brokenAuditId: await verifyAudit(core), counted };
  } finally {
    await close();
  }
}

async function readOwnAudit(core: Core): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  const prefix = agentOf(0).slice(0, -1);
  for (let after = 0; ; ) {
    const rows = await listAudit(core, after, 1000);
    for (const { user_agent, event } of rows) {
      if (user_agent.startsWith(prefix)) entries.push({ op: Number(user_agent.slice(prefix.length)), event });
    }
    const last = rows.at(-1);
    if (last === undefined) return entries;
    after = last.id;
  }
}
