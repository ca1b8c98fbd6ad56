import type { CredentialKind, LoginDoor } from './doors.ts';
import * as doors from './doors.ts';
import { checkingDoors, loginDoors, loginKinds } from './doors.ts';
import type { Action, DoorName, Outcome, Result } from './history.ts';
import type { Random } from './random.ts';
import type { Recorder } from './recorder.ts';

/** A user as the clients know it; `password` is what the last acknowledged change set. */
export type Player = {
  readonly id: number;
  readonly login: string;
  readonly email: string;
  password: string;
  readonly isVictim: boolean;
};

type Held = { readonly label: string; readonly kind: CredentialKind; readonly secret: string; readonly player: Player };

/** Everything the clients of one run share: whom they play, where the servers are, and what they were given. */
export type Field = {
  readonly recorder: Recorder;
  readonly players: readonly Player[];
  /** Address of every server that may be asked now. */
  readonly urls: () => readonly string[];
  /** A command of the command line, as an administrator at the machine types it. */
  readonly command: (args: readonly string[]) => Promise<{ readonly code: number }>;
  /** How often commands are typed, beside the weights of the other requests. */
  readonly commandWeight: number;
  /** A Root user's key. */
  readonly adminKey: string;
  /** Every password that was ever set, by its label. */
  readonly passwords: Map<string, string>;
  readonly held: Held[];
  /** Labels of all that was given out, by its text: the same text is the same label. */
  readonly labels: Map<string, string>;
  guesses: number;
};

/** What a request calls its client: the audit names it by that. */
export function agentOf(op: number): string {
  return `history-${op}`;
}

type Ask = {
  readonly action: (op: number) => Action;
  readonly run: (at: doors.At, op: number) => Promise<doors.Reply>;
  /** Kind of what a success gives out, and to whom. */
  readonly gives?: { readonly kind: CredentialKind; readonly player: Player };
  readonly url?: string | undefined;
};

/** One recorded request. @returns the outcome and the label of what it gave out */
async function ask(
  field: Field,
  client: number,
  { action, run, gives, url }: Ask,
  random: Random,
): Promise<{ outcome: Outcome; op: number }> {
  const op = field.recorder.invoke(client, action);
  const reply = await run({ url: url ?? random.pick(field.urls()) ?? '', agent: agentOf(op) }, op);
  const outcome = outcomeOf(reply.status);
  const result = outcome === 'ok' ? resultOf(field, op, reply, gives) : {};
  field.recorder.end(op, { outcome, status: reply.status, result });
  // Nobody listens: asking at full speed would only fill the disk with silence.
  if (reply.status === 0) await Bun.sleep(25);
  return { outcome, op };
}

function outcomeOf(status: number): Outcome {
  if (status === 200) return 'ok';
  // A server that failed inside may have done the change before.
  return status === 0 || status >= 500 ? 'unknown' : 'fail';
}

function resultOf(field: Field, op: number, reply: doors.Reply, gives: Ask['gives']): Result {
  const who = field.players.find(({ id, email }) => reply.who === String(id) || reply.who === email)?.login;
  return {
    ...(reply.secret !== undefined && gives !== undefined && { credential: keep(field, op, reply.secret, gives) }),
    ...(reply.who !== undefined && { user: who ?? 'a stranger' }),
    ...(reply.level !== undefined && { level: reply.level }),
  };
}

function keep(field: Field, op: number, secret: string, { kind, player }: NonNullable<Ask['gives']>): string {
  const known = field.labels.get(secret);
  if (known !== undefined) return known;
  const label = `${kind === 'key' ? 'k' : 't'}${op}`;
  field.labels.set(secret, label);
  field.held.push({ label, kind, secret, player });
  return label;
}

/** Plays one client until `goesOn` says no: the same seed chooses the same requests, as far as the answers allow. */
export async function play(field: Field, client: number, random: Random, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    await choose(field, random)(field, client, random);
  }
}

type Move = (field: Field, client: number, random: Random) => Promise<unknown>;

/** How often each request is made, in parts of their sum. */
const weights: readonly [Move, number][] = [
  [checkSomething, 50],
  [logInSomewhere, 14],
  [refreshSomething, 16],
  [logOutSomewhere, 10],
  [endAllOfSomebody, 2],
  [changeOwnPassword, 2],
  [makeSomeKey, 3],
  [changeSomeLevel, 8],
  [guessPassword, 1],
];
const allWeights = weights.reduce((sum, [, weight]) => sum + weight, 0);

function choose(field: Field, random: Random): Move {
  let left = random.below((allWeights + field.commandWeight) * 1_000) / 1_000;
  if (left >= allWeights) return runCommand;
  for (const [move, weight] of weights) {
    left -= weight;
    if (left < 0) return move;
  }
  return checkSomething;
}

function somebody(field: Field, random: Random): Player | undefined {
  return random.pick(field.players.filter((player) => !player.isVictim));
}

/** Mostly what was given out lately: of old things most are dead. */
function something(field: Field, random: Random, kinds: readonly CredentialKind[]): Held | undefined {
  const fitting = field.held.filter((held) => kinds.includes(held.kind));
  return random.below(4) === 0 ? random.pick(fitting) : random.pick(fitting.slice(-20));
}

async function checkSomething(field: Field, client: number, random: Random): Promise<unknown> {
  const held = something(field, random, ['token', 'cookie', 'guid', 'appliance', 'key']);
  if (held === undefined) return logInSomewhere(field, client, random);
  return checkAt(field, client, held, random.pick(checkingDoors[held.kind]) ?? 'rest', random);
}

function checkAt(field: Field, client: number, held: Held, door: DoorName, random: Random, url?: string) {
  const action = (): Action => ({ kind: 'check', credential: held.label, door });
  return ask(field, client, { action, url, run: (at) => doors.check(at, door, held.kind, held.secret) }, random);
}

async function logInSomewhere(field: Field, client: number, random: Random): Promise<unknown> {
  const player = somebody(field, random);
  if (player === undefined) return undefined;
  const door: LoginDoor = random.pick(loginDoors) ?? 'rest';
  const label = player.password;
  const password = field.passwords.get(label) ?? '';
  return ask(
    field,
    client,
    {
      action: () => ({ kind: 'login', user: player.login, password: label, door }),
      run: (at) => doors.logIn(at, door, player.login, password),
      gives: { kind: loginKinds[door], player },
    },
    random,
  );
}

async function refreshSomething(field: Field, client: number, random: Random): Promise<unknown> {
  const held = something(field, random, ['token']);
  if (held === undefined) return undefined;
  return ask(
    field,
    client,
    {
      action: () => ({ kind: 'refresh', credential: held.label }),
      run: (at) => doors.refresh(at, held.secret),
      gives: { kind: 'token', player: held.player },
    },
    random,
  );
}

async function logOutSomewhere(field: Field, client: number, random: Random): Promise<unknown> {
  const held = something(field, random, ['token', 'cookie', 'guid', 'appliance']);
  if (held === undefined) return undefined;
  const door = random.pick(checkingDoors[held.kind]) ?? 'rest';
  const action = (): Action => ({ kind: 'logout', credential: held.label, door });
  return ask(field, client, { action, run: (at) => doors.logOut(at, door, held.kind, held.secret) }, random);
}

async function endAllOfSomebody(field: Field, client: number, random: Random): Promise<unknown> {
  const player = somebody(field, random);
  if (player === undefined) return undefined;
  const door = random.pick(['rest', 'soap'] as const) ?? 'rest';
  const action = (): Action => ({ kind: 'end_all', user: player.login, door });
  return ask(field, client, { action, run: (at) => doors.endAll(at, door, field.adminKey, player.id) }, random);
}

async function changeOwnPassword(field: Field, client: number, random: Random): Promise<unknown> {
  const held = something(field, random, ['token', 'guid']);
  if (held === undefined) return undefined;
  const door = held.kind === 'guid' ? 'soap' : 'rest';
  const { player } = held;
  const from = player.password;
  const { outcome, op } = await ask(
    field,
    client,
    {
      action: (self) => ({ kind: 'password', user: player.login, credential: held.label, from, to: `p${self}`, door }),
      run: (at, self) => {
        const to = `a quiet pond, ${self} herons`;
        field.passwords.set(`p${self}`, to);
        return doors.changePassword(at, door, held.secret, { from: field.passwords.get(from) ?? '', to });
      },
    },
    random,
  );
  // After an unknown outcome either is tried; a wrong guess is a refusal that nobody is blamed for.
  if (outcome === 'ok' || (outcome === 'unknown' && random.below(2) === 0)) player.password = `p${op}`;
  return undefined;
}

async function makeSomeKey(field: Field, client: number, random: Random): Promise<unknown> {
  const player = somebody(field, random);
  if (player === undefined) return undefined;
  const door = random.pick(['rest', 'soap'] as const) ?? 'rest';
  return ask(
    field,
    client,
    {
      action: (op) => ({ kind: 'key', user: player.login, to: `k${op}`, door }),
      run: (at) => doors.makeKey(at, door, field.adminKey, player.id),
      gives: { kind: 'key', player },
    },
    random,
  );
}

async function changeSomeLevel(field: Field, client: number, random: Random): Promise<unknown> {
  const player = somebody(field, random);
  if (player === undefined) return undefined;
  const to = random.pick(['MailboxUser', 'MailboxAdmin', 'NetworkUser']) ?? 'MailboxUser';
  const action = (): Action => ({ kind: 'level', user: player.login, to });
  return ask(field, client, { action, run: (at) => doors.changeLevel(at, field.adminKey, player.id, to) }, random);
}

/** Below the number from which a user is locked. */
const mostGuesses = 80;

async function guessPassword(field: Field, client: number, random: Random): Promise<unknown> {
  const victim = field.players.find((player) => player.isVictim);
  if (victim === undefined || field.guesses >= mostGuesses) return undefined;
  field.guesses += 1;
  const door = random.pick(loginDoors) ?? 'rest';
  const action = (): Action => ({ kind: 'guess', user: victim.login, door });
  return ask(field, client, { action, run: (at) => doors.logIn(at, door, victim.login, 'not the password') }, random);
}

/** What only an administrator at the machine can do: disable, enable, revoke a key. */
async function runCommand(field: Field, client: number, random: Random): Promise<unknown> {
  const player = somebody(field, random);
  const { command } = field;
  if (player === undefined) return undefined;
  const run = async (action: Action, args: readonly string[]): Promise<Outcome> => {
    const exits = async () => ({ status: (await command([...args, player.login])).code === 0 ? 200 : 503 });
    return (await ask(field, client, { action: () => action, run: exits }, random)).outcome;
  };
  if (random.below(2) === 0) {
    return run({ kind: 'key', user: player.login, to: 'none', door: 'command' }, ['key', 'revoke']);
  }
  await run({ kind: 'status', user: player.login, to: 'Suspended' }, ['user', 'disable']);
  for (let tries = 0; tries < 5; tries += 1) {
    const enabled = await run({ kind: 'status', user: player.login, to: 'Active' }, ['user', 'enable']);
    if (enabled === 'ok') return undefined;
  }
  return undefined;
}

/** Presents everything that was ever given out at every door of every server. */
export async function checkEverything(field: Field, random: Random): Promise<number> {
  const rows = field.held.flatMap((held) =>
    field.urls().flatMap((url) => checkingDoors[held.kind].map((door) => ({ held, door, url }))),
  );
  const count = rows.length;
  const worker = async () => {
    for (let row = rows.pop(); row !== undefined; row = rows.pop()) {
      await checkAt(field, 0, row.held, row.door, random, row.url);
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  return count;
}
