import { randomUUID } from 'node:crypto';
import type { BenchUser } from '../../../bench/cardea/users.ts';
import type { Crowd } from '../crowd.ts';
import { type ContractName, checkByKey, contractNames, contracts, type Expected, refreshOf } from './contracts.ts';
import { openWire, type Wire, type WireAnswer } from './wire.ts';

/** What happened since it was last emptied. */
export type Tally = {
  steps: number;
  checks: number;
  /** Milliseconds of each check. */
  times: number[];
  logins: number;
  /** Logins that were told to come later: a full machine hashes as fast as it can. */
  putOff: number;
  refreshes: number;
  logouts: number;
  refused: number;
};

export const emptyTally = (): Tally => ({
  steps: 0,
  checks: 0,
  times: [],
  logins: 0,
  putOff: 0,
  refreshes: 0,
  logouts: 0,
  refused: 0,
});

/** One user with a connection and sessions of its own: what it is told is certain, since nobody else changes it. */
type Person = {
  readonly user: BenchUser;
  readonly wire: Wire;
  readonly secrets: Record<ContractName, string>;
  turns: number;
};

export type Load = {
  readonly persons: readonly Person[];
  /** Its stored sessions are more than a server remembers, so that some checks read the store. */
  readonly crowd: Crowd;
  tally: Tally;
  /** Every answer that should have been another one, the first few in words. */
  readonly wrong: { count: number; readonly first: string[] };
  nextOfCrowd: number;
};

/** Signs everybody in at every contract. */
export async function openLoad(port: number, crowd: Crowd): Promise<Load> {
  const persons = crowd.users.map((user): Person => {
    const secrets = { rest: '', web: '', cookie: '', appliance: '', soap: '' };
    return { user, wire: openWire(port), secrets, turns: 0 };
  });
  const load: Load = { persons, crowd, tally: emptyTally(), wrong: { count: 0, first: [] }, nextOfCrowd: 0 };
  for (const person of persons) {
    for (const name of contractNames) {
      while (person.secrets[name] === '') person.secrets[name] = (await logIn(load, person, name)) ?? '';
    }
  }
  return load;
}

export function closeLoad({ persons }: Load): void {
  for (const { wire } of persons) wire.close();
}

type Step = (load: Load, person: Person, sinceMs: number) => Promise<unknown>;

/** How often each is done, in parts of their sum. Checks by all kinds of credentials, and a few of everything else. */
const weights: readonly [Step, number][] = [
  [(load, person, sinceMs) => checkKey(load, person, sinceMs), 2_000],
  [(load, person, sinceMs) => checkOwn(load, person, 'rest', sinceMs), 1_900],
  [(load, person, sinceMs) => checkOwn(load, person, 'web', sinceMs), 1_600],
  [(load, person, sinceMs) => checkOwn(load, person, 'cookie', sinceMs), 1_000],
  [(load, person, sinceMs) => checkOwn(load, person, 'appliance', sinceMs), 1_200],
  [(load, person, sinceMs) => checkOwn(load, person, 'soap', sinceMs), 1_000],
  [checkCrowd, 760],
  [presentNonsense, 500],
  [refreshOwn, 30],
  [signInAndOut, 10],
];
const allWeights = weights.reduce((sum, [, weight]) => sum + weight, 0);

function chooseStep(): Step {
  let left = Math.random() * allWeights;
  return weights.find(([, weight]) => (left -= weight) < 0)?.[0] ?? checkKey;
}

async function takeStep(load: Load, person: Person, sinceMs: number): Promise<void> {
  await chooseStep()(load, person, sinceMs);
  load.tally.steps += 1;
}

/** Everybody asks again as soon as it is answered. */
export async function runFlatOut(load: Load, seconds: number): Promise<void> {
  const untilMs = performance.now() + seconds * 1_000;
  const run = async (person: Person) => {
    for (let nowMs = performance.now(); nowMs < untilMs; nowMs = performance.now()) await takeStep(load, person, nowMs);
  };
  await Promise.all(load.persons.map(run));
}

/**
 * Steps at fixed instants, whether answers come or not, by whoever is free; times count from then, so that a server which stalls
 * cannot slow the clock. Resolves when all of them are answered.
 */
export async function runPaced(load: Load, perSecond: number, seconds: number): Promise<void> {
  const free = [...load.persons];
  const due: number[] = [];
  const busy = new Set<Promise<void>>();
  const run = async (person: Person, sinceMs: number) => {
    for (let dueMs: number | undefined = sinceMs; dueMs !== undefined; dueMs = due.shift()) {
      await takeStep(load, person, dueMs);
    }
    free.push(person);
  };
  const startMs = performance.now();
  const count = Math.round(perSecond * seconds);
  for (let sent = 0; sent < count; await Bun.sleep(1)) {
    const nowMs = performance.now();
    for (; sent < Math.min(count, ((nowMs - startMs) / 1_000) * perSecond); sent += 1) {
      // In turn, so that nobody's connection and sessions rest for long.
      const person = free.shift();
      if (person === undefined) {
        due.push(nowMs);
        continue;
      }
      const running = run(person, nowMs).finally(() => busy.delete(running));
      busy.add(running);
    }
  }
  await Promise.all(busy);
}

/**
 * Asks about every session of the crowd, several times over: each walk exchanges all of what the server remembers, so that its memory is
 * afterwards as full, and as worn, as it gets.
 */
export async function fillMemory(load: Load, walks: number): Promise<void> {
  let left = walks * load.crowd.count;
  const run = async (person: Person) => {
    for (; left > 0; left -= 1) await checkCrowd(load, person, performance.now());
  };
  await Promise.all(load.persons.map(run));
}

function judge({ wrong }: Load, what: string, { status, body }: WireAnswer, expected: Expected): boolean {
  if (status === expected.status && body.includes(expected.contains)) return true;
  wrong.count += 1;
  if (wrong.first.length < 5) wrong.first.push(`${what} is answered ${status} ${body.slice(0, 120)}`);
  return false;
}

async function check(load: Load, person: Person, what: string, request: string, expected: Expected, sinceMs: number) {
  const answer = await person.wire.ask(request);
  load.tally.times.push(performance.now() - sinceMs);
  load.tally.checks += 1;
  judge(load, what, answer, expected);
}

function checkKey(load: Load, person: Person, sinceMs: number) {
  const expected = contracts.rest.accepted(person.user);
  return check(load, person, 'a key', checkByKey(person.user.key), expected, sinceMs);
}

function checkOwn(load: Load, person: Person, name: ContractName, sinceMs: number) {
  const { check: asking, accepted } = contracts[name];
  return check(load, person, `a session of ${name}`, asking(person.secrets[name]), accepted(person.user), sinceMs);
}

function checkCrowd(load: Load, person: Person, sinceMs: number) {
  const { crowd } = load;
  const index = load.nextOfCrowd;
  load.nextOfCrowd = (index + 1) % crowd.count;
  const expected = contracts.rest.accepted({ id: 0, login: crowd.login(index) });
  return check(load, person, 'a stored session', contracts.rest.check(crowd.token(index)), expected, sinceMs);
}

/** Another one each time: what a server keeps of a refusal must not add up. */
async function presentNonsense(load: Load, person: Person): Promise<void> {
  const name = contractNames[person.turns++ % contractNames.length] ?? 'rest';
  const request = name === 'rest' ? checkByKey(randomUUID()) : contracts[name].check(randomUUID());
  judge(load, `nonsense at ${name}`, await person.wire.ask(request), contracts[name].refused);
  load.tally.refused += 1;
}

async function refreshOwn(load: Load, person: Person): Promise<void> {
  const { rest } = contracts;
  const spent = person.secrets.rest;
  const answer = await person.wire.ask(refreshOf(spent));
  if (!judge(load, 'a refresh', answer, { status: 200, contains: '"token":"' })) return;
  person.secrets.rest = rest.secretIn(answer);
  load.tally.refreshes += 1;
  judge(load, 'an exchanged token', await person.wire.ask(rest.check(spent)), rest.refused);
}

/** A new session takes the place of one, which is dead from its logout on. */
async function signInAndOut(load: Load, person: Person): Promise<void> {
  const name = contractNames[person.turns++ % contractNames.length] ?? 'rest';
  const { logOut, ended, check: asking, refused } = contracts[name];
  const fresh = await logIn(load, person, name);
  if (fresh === undefined) return;
  const old = person.secrets[name];
  person.secrets[name] = fresh;
  judge(load, `a logout at ${name}`, await person.wire.ask(logOut(old)), ended);
  load.tally.logouts += 1;
  judge(load, `an ended session of ${name}`, await person.wire.ask(asking(old)), refused);
}

async function logIn(load: Load, { user, wire }: Person, name: ContractName): Promise<string | undefined> {
  const { logIn: asking, secretIn } = contracts[name];
  const answer = await wire.ask(asking(user));
  const isPutOff = answer.status === 503 || answer.body.includes('Service unavailable');
  if (isPutOff) {
    load.tally.putOff += 1;
    return undefined;
  }
  const secret = secretIn(answer);
  if (!judge(load, `a login at ${name}`, answer, { status: 200, contains: '' }) || secret === '') return undefined;
  load.tally.logins += 1;
  return secret;
}
