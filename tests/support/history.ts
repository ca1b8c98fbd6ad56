import type { Answer, Doors } from './http.ts';
import { tokenOf } from './http.ts';

/** The kinds of change whose acknowledgement must outlive the server. */
export type ChangeKind = 'login' | 'logout' | 'refresh' | 'key' | 'password';

/**
 * What one user has been told, no more and no less. A change leaves the certain lists before it is asked for and comes back
 * with the acknowledgement: what was under way when the server died may be either and is asserted nothing of.
 */
export type Told = {
  readonly userId: number;
  readonly name: string;
  password: string | undefined;
  key: string | undefined;
  readonly live: Set<string>;
  readonly ended: Set<string>;
  readonly deadPasswords: Set<string>;
  readonly deadKeys: Set<string>;
};

export function newcomer(userId: number, name: string, password: string): Told {
  return {
    userId,
    name,
    password,
    key: undefined,
    live: new Set(),
    ended: new Set(),
    deadPasswords: new Set(),
    deadKeys: new Set(),
  };
}

/** One user's life at both doors until the server stops answering. `acknowledged` is told of each change at its answer. */
export async function live(doors: Doors, told: Told, acknowledged: (kind: ChangeKind) => void): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    for (const step of [logInTwice, refreshOne, makeKey, logOutOne, changePassword]) {
      if (!(await step(doors, told, turn, acknowledged))) return;
    }
  }
}

type Step = (doors: Doors, told: Told, turn: number, acknowledged: (kind: ChangeKind) => void) => Promise<boolean>;

/** An answer of 0 is silence; anything but success would be a fault of the server. */
function isAcknowledged({ status, body }: Answer): boolean {
  if (status !== 0 && status !== 200 && status !== 503) throw new Error(`${status} ${JSON.stringify(body)}`);
  return status === 200;
}

const logInTwice: Step = async (doors, told, _turn, acknowledged) => {
  for (const logIn of [doors.restLogin, doors.webLogin]) {
    const answer = await logIn(told.name, told.password ?? '');
    if (!isAcknowledged(answer)) return false;
    told.live.add(tokenOf(answer));
    acknowledged('login');
  }
  return true;
};

const refreshOne: Step = async (doors, told, _turn, acknowledged) => {
  const token = take(told.live);
  const answer = await doors.refresh(token);
  if (!isAcknowledged(answer)) return false;
  told.ended.add(token);
  told.live.add(tokenOf(answer));
  acknowledged('refresh');
  return true;
};

const logOutOne: Step = async (doors, told, turn, acknowledged) => {
  const token = take(told.live);
  const answer = await (turn % 2 === 0 ? doors.restLogout(token) : doors.webLogout(token));
  if (!isAcknowledged(answer)) return false;
  told.ended.add(token);
  acknowledged('logout');
  return true;
};

const makeKey: Step = async (doors, told, _turn, acknowledged) => {
  const old = told.key;
  told.key = undefined;
  const answer = await doors.makeKey(latest(told.live), told.userId);
  if (!isAcknowledged(answer)) return false;
  if (old !== undefined) told.deadKeys.add(old);
  told.key = String(answer.body['data']);
  acknowledged('key');
  return true;
};

/** The presenting session goes on, the user's others end. */
const changePassword: Step = async (doors, told, turn, acknowledged) => {
  const [old, next] = [told.password ?? '', `a quiet pond, ${turn} herons`];
  const presenting = latest(told.live);
  told.live.delete(presenting);
  const others = [...told.live];
  told.live.clear();
  told.password = undefined;
  const answer = await doors.changePassword(presenting, old, next);
  if (!isAcknowledged(answer)) return false;
  for (const other of others) told.ended.add(other);
  told.live.add(presenting);
  told.deadPasswords.add(old);
  told.password = next;
  acknowledged('password');
  return true;
};

function latest(tokens: ReadonlySet<string>): string {
  return [...tokens].at(-1) ?? '';
}

function take(tokens: Set<string>): string {
  const [token = ''] = tokens;
  tokens.delete(token);
  return token;
}

/** What a server says now that differs from what its users were told; empty when every word was kept. */
export async function brokenWords(doors: Doors, told: Told): Promise<string[]> {
  const { name, password, key } = told;
  const checks: [word: string, expected: number, answer: Promise<Answer>][] = [
    ...[...told.live].flatMap((token) => [
      ['session live over REST', 200, doors.restSession(token)] as [string, number, Promise<Answer>],
      ['session live on the web', 200, doors.webSession(token)] as [string, number, Promise<Answer>],
    ]),
    ...[...told.ended].flatMap((token) => [
      ['session ended over REST', 401, doors.restSession(token)] as [string, number, Promise<Answer>],
      ['session ended on the web', 401, doors.webSession(token)] as [string, number, Promise<Answer>],
    ]),
    ...[...told.deadKeys].map(
      (dead) => ['old key dead', 401, doors.keySession(dead)] as [string, number, Promise<Answer>],
    ),
  ];
  if (key !== undefined) checks.push(['new key lives', 200, doors.keySession(key)]);
  // One after the other: a wrong password in front of the right one is a counted failure, but no wait yet.
  const broken: string[] = [];
  for (const old of told.deadPasswords) await judge('old password refused', 401, doors.restLogin(name, old), broken);
  if (password !== undefined) await judge('new password works', 200, doors.webLogin(name, password), broken);
  for (const [word, expected, answer] of checks) await judge(word, expected, answer, broken);
  return broken.map((word) => `${name}: ${word}`);
}

async function judge(word: string, expected: number, pending: Promise<Answer>, broken: string[]): Promise<void> {
  const { status } = await pending;
  if (status !== expected) broken.push(`${word}: ${status} instead of ${expected}`);
}
