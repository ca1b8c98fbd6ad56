import { expect } from 'bun:test';
import { type Credential } from '../../src/core/index.ts';
import { accepted, expectEverywhere, type Kind, places, type SessionKind } from './four-doors.ts';
import type { TestServer } from './server.ts';

const hour = 3_600;
export const absoluteSeconds = 12 * hour;
export const tokenSeconds = hour;
export const graceSeconds = 10;
/** A use is written down at most once a minute, so an idle session may end up to this much early. */
const earlySeconds = 60;

/** Seconds without use after which a session of each kind is over, from the contracts; null for none. */
const idleOf: Readonly<Record<SessionKind, number | null>> = {
  'REST token': null,
  'web token': hour,
  'web token by key': hour,
  cookie: hour,
  SessionID: hour,
  'appliance token': hour,
  'web port token': hour / 4,
};

export type ModelUser = {
  readonly id: number;
  readonly login: string;
  password: string;
  key: string | null;
  active: boolean;
  readonly deadPasswords: string[];
  readonly deadKeys: string[];
};

/** A session as the contracts describe it: the whole of what the model knows. */
export type ModelSession = {
  readonly user: ModelUser;
  readonly kind: SessionKind;
  readonly openedAt: number;
  usedAt: number;
  /** Of the live token; for all but REST the absolute end, until a refresh. */
  tokenEnd: number;
  ended: boolean;
  secret: string;
  previous: string | undefined;
  previousEnd: number;
  rotatedAt: number;
};

export type Model = { now: number; readonly users: readonly ModelUser[]; readonly sessions: ModelSession[] };

export function newSession(model: Model, user: ModelUser, kind: SessionKind, secret: string): ModelSession {
  const end = model.now + (kind === 'REST token' ? tokenSeconds : absoluteSeconds);
  const times = { openedAt: model.now, usedAt: model.now, tokenEnd: end };
  return { user, kind, ...times, ended: false, secret, previous: undefined, previousEnd: 0, rotatedAt: 0 };
}

/** `either` in the minute in which an idle session may or may not be over. */
export function expectedOf(model: Model, session: ModelSession): 'live' | 'dead' | 'either' {
  if (session.ended || model.now >= Math.min(session.tokenEnd, session.openedAt + absoluteSeconds)) return 'dead';
  const limit = idleOf[session.kind];
  if (limit === null) return 'live';
  const idle = model.now - session.usedAt;
  if (idle >= limit) return 'dead';
  return idle >= limit - earlySeconds ? 'either' : 'live';
}

/** Asks every door, holds it to the model, and notes what was learnt in the minute of doubt. @returns whether it lives */
export async function check(model: Model, server: TestServer, session: ModelSession): Promise<boolean> {
  const word = expectedOf(model, session);
  const [first] = accepted[session.kind];
  if (first === undefined) throw new Error(`${session.kind} counts nowhere`);
  const live = word === 'either' ? (await places[first].ask(server, session.secret)).status === 200 : word === 'live';
  await expectEverywhere(server, session.kind, session.secret, live ? 'let in' : 'refused');
  if (session.previous !== undefined) await expectEverywhere(server, session.kind, session.previous, 'refused');
  if (live) session.usedAt = model.now;
  else session.ended = true;
  return live;
}

/** Key and password of a user, now and of before, at every door that takes one. */
export async function checkUser(server: TestServer, user: ModelUser): Promise<void> {
  const word = user.active ? 'let in' : 'refused';
  const basic = (password: string) => Buffer.from(`${user.login}:${password}`).toString('base64');
  for (const dead of user.deadKeys) await expectEverywhere(server, 'API key', dead, 'refused');
  if (user.key !== null) await expectEverywhere(server, 'API key', user.key, word);
  // One after the other: a wrong password in front of the right one is a counted failure, but no wait.
  for (const dead of user.deadPasswords) await expectEverywhere(server, 'password', basic(dead), 'refused');
  await expectEverywhere(server, 'password', basic(user.password), word);
}

/** Ends every session of a user, but for one if given. */
export function endSessions(model: Model, user: ModelUser, except?: ModelSession): void {
  for (const session of model.sessions) if (session.user === user && session !== except) session.ended = true;
}

/** The key before is worth nothing any more, and neither are the sessions that it opened. */
export function replaceKey(model: Model, user: ModelUser, key: string | null): void {
  if (user.key !== null) user.deadKeys.push(user.key);
  user.key = key;
  for (const session of model.sessions) {
    if (session.user === user && session.kind === 'web token by key') session.ended = true;
  }
}

export const isBearer = (kind: Kind): boolean => /token/.test(kind) && !/appliance|port/.test(kind);

/** The credential as the core takes it, for what only somebody at the machine does. */
export function credentialOf({ kind, secret }: ModelSession): Credential {
  if (isBearer(kind)) return { kind: 'bearer', token: secret };
  if (kind === 'cookie') return { kind: 'cookie', secret };
  return { kind: kind === 'SessionID' ? 'session_guid' : 'appliance_token', secret };
}

/** Fails the test unless an operation at a door was done. */
export function expectDone({ status }: { readonly status: number }): void {
  expect(status).toBe(200);
}
