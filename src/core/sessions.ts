import * as store from '../store/sessions.ts';
import { type Db, raiseGeneration } from '../store/users.ts';
import { type Actor, actorId, changeTarget, factsOf, requireAdministrable } from './actors.ts';
import { record } from './audit.ts';
import { expiryOf, isSessionLive } from './authenticate.ts';
import { change, type Concern } from './change.ts';
import type { CallerFacts, SessionContext, UserFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import { issueToken } from './issue-token.ts';
import { digestSecret, maskedGuid, newSecret, newSessionId, type SecretKind } from './tokens.ts';

/** How sessions opened through one way in live. */
export type SessionPolicy = {
  /** Name of the way in, kept with the session. */
  readonly entry: string;
  /** Idle limit in seconds, moved by use at any door; null for none. */
  readonly idleSeconds: number | null;
  /** Life of the token in seconds; null for as long as the session may last. */
  readonly tokenSeconds: number | null;
  /** What the client gets to present: a JWT, or an opaque secret. */
  readonly form: 'token' | SecretKind;
};

/** What a client says of itself at login, by the contract's names; kept with the session, believed by nobody. */
export type SenderFacts = Readonly<Record<string, string>>;

export type OpenedSession = {
  readonly context: SessionContext;
  /** The JWT or the secret: shown to the client now, stored nowhere. */
  readonly credential: string;
  /** When that credential stops counting, whatever the idle limit says. Seconds. */
  readonly credentialExpiresAt: number;
};

/** What a session just written lets its client present. */
export type NewSession = Pick<OpenedSession, 'credential' | 'credentialExpiresAt'> & { readonly id: string };

export type SessionOwner = { readonly userId: number; readonly generation: number; readonly apiKeyId: number | null };

/**
 * While the disk is full, no session is opened: the little space that is left is for ending them.
 * @throws CoreError `unavailable`
 */
export function requireRoom({ store: { health } }: Core): void {
  if (health.isFull()) throw new CoreError('unavailable');
}

/** Writes a new session of a user whose row this transaction holds, and ends the oldest beyond the cap. */
export async function openSession(
  trx: Db,
  core: Core,
  owner: SessionOwner,
  policy: SessionPolicy,
  caller: CallerFacts,
  sender: SenderFacts = {},
): Promise<NewSession> {
  // Asked again inside the transaction: it may be the one that found the disk full, and runs a second time on the reserve.
  requireRoom(core);
  const now = nowSeconds(core);
  const absoluteEnd = now + core.policy.absoluteSeconds;
  const id = newSessionId();
  const { columns, ...shown } = makeCredential(core, id, owner.userId, policy, absoluteEnd);
  await store.endOldestSessions(trx, owner.userId, core.policy.maxSessionsPerUser - 1, {
    endedAt: now,
    reason: 'too_many',
  });
  await store.insertSession(trx, {
    id,
    user_id: owner.userId,
    generation: owner.generation,
    entry: policy.entry,
    ...columns,
    previous_jti: null,
    rotated_ms: null,
    api_key_id: owner.apiKeyId,
    idle_seconds: policy.idleSeconds,
    created_at: now,
    last_used_at: now,
    absolute_expires_at: absoluteEnd,
    ended_at: null,
    end_reason: null,
    address: caller.address,
    user_agent: caller.userAgent,
    sender: JSON.stringify(sender),
  });
  return { id, ...shown };
}

/** What the client is shown, and what of it is stored: the names of the token, or the digest of the secret. */
function makeCredential(core: Core, sid: string, userId: number, policy: SessionPolicy, absoluteEnd: number) {
  if (policy.form !== 'token') {
    const secret = newSecret(policy.form);
    const digest = digestSecret(policy.form, secret);
    const columns = { ...noToken, secret_digest: digest };
    return { credential: secret, credentialExpiresAt: absoluteEnd, columns };
  }
  const { token, claims } = issueToken(core, sid, userId, policy.tokenSeconds, absoluteEnd);
  const columns = {
    secret_digest: null,
    live_jti: claims.jti,
    live_issued_at: claims.iat,
    live_expires_at: claims.exp,
    live_key_id: core.keys.current.id,
  };
  return { credential: token, credentialExpiresAt: claims.exp, columns };
}

const noToken = { live_jti: null, live_issued_at: null, live_expires_at: null, live_key_id: null };

/**
 * Ends the session behind the context, durably. A key has no session: nothing ends, and the key stays valid.
 * @throws CoreError `session_invalid` when somebody else ended it a moment before
 */
export async function endOwnSession(core: Core, context: SessionContext, caller: CallerFacts): Promise<void> {
  if (context.session === null) return;
  const facts = { actorId: context.user.id, targetId: context.user.id, caller };
  const ended = await endOne(core, context.session.id, facts, [context.user.id]);
  if (!ended) throw new CoreError('session_invalid');
}

type EndFacts = { readonly actorId: number | null; readonly targetId?: number; readonly caller: CallerFacts };

/**
 * Ends one session by its public id.
 * @param concern its user, where the caller knows whose it is
 * @returns whether it was there and had not ended
 */
export function endOne(core: Core, sessionId: string, facts: EndFacts, concern?: Concern): Promise<boolean> {
  return change(core, (trx) => endWithin(trx, core, sessionId, facts), concern);
}

/** `endOne` as part of a larger change. */
export async function endWithin(trx: Db, core: Core, sessionId: string, facts: EndFacts): Promise<boolean> {
  const end = { endedAt: nowSeconds(core), reason: facts.actorId === null ? 'administrator' : 'logout' };
  const ended = await store.endSession(trx, sessionId, end);
  if (ended) await record(trx, core, 'session.ended', { ...facts, sessionId });
  return ended;
}

/**
 * Makes everything before this moment count for nothing, within the transaction of the change that calls for it: the user's
 * sessions, and logins in flight, which find the generation raised.
 * @param keep sessions that go on: one by its id, or all (then only logins in flight are refused)
 * @returns how many sessions ended
 */
export async function endAllSessions(
  trx: Db,
  core: Core,
  userId: number,
  reason: string,
  keep?: { readonly id?: string },
): Promise<number> {
  const generation = await raiseGeneration(trx, userId);
  const end = { endedAt: nowSeconds(core), reason };
  const keepsAll = keep !== undefined && keep.id === undefined;
  const count = keepsAll ? 0 : await store.endUserSessions(trx, userId, end, keep?.id);
  if (keep !== undefined) await store.renewGeneration(trx, userId, generation, keep.id);
  return count;
}

/**
 * Ends all sessions of a user, logins in flight included; API keys stay.
 * @returns how many were open
 * @throws CoreError `access_denied`, `user_not_found`
 */
export function endAll(core: Core, actor: Actor, userId: number, caller: CallerFacts): Promise<number> {
  return changeTarget(core, actor, userId, { orSelf: true }, async (trx) => {
    const count = await endAllSessions(trx, core, userId, 'ended_all');
    const facts = { actorId: actorId(actor), targetId: userId, caller };
    await record(trx, core, 'sessions.ended_all', { ...facts, detail: { count } });
    return count;
  });
}

export type SessionSummary = {
  readonly id: string;
  readonly userId: number;
  readonly login: string;
  readonly entry: string;
  readonly createdAt: number;
  readonly lastUsedAt: number;
  readonly expiresAt: number;
  readonly endedAt: number | null;
  readonly live: boolean;
  readonly address: string;
  readonly userAgent: string;
};

const longestList = 200;

export type SessionQuery = { readonly userId?: number; readonly limit?: number; readonly liveOnly?: boolean };

/** Sessions of one user, or of everybody, newest first; ended ones too while their rows are kept (24 h). At most 200. */
export async function listSessions(core: Core, query: SessionQuery): Promise<SessionSummary[]> {
  const now = nowSeconds(core);
  const limit = Math.min(query.limit ?? longestList, longestList);
  const liveAt = query.liveOnly === true ? now : undefined;
  const rows = await store.listSessions(core.store.lists, { userId: query.userId, liveAt, limit });
  const summaries = rows.map((row) => toSummary(row, now));
  return query.liveOnly === true ? summaries.filter((summary) => summary.live) : summaries;
}

/**
 * A user's sessions of every way in, newest first, for the user and for whoever administers the user.
 * @throws CoreError `access_denied`, `user_not_found`
 */
export async function listSessionsOf(
  core: Core,
  actor: Actor,
  userId: number,
  limit: number,
): Promise<{ user: UserFacts; sessions: SessionSummary[] }> {
  const user = await requireAdministrable(core.store.lists, factsOf(actor), userId, { orSelf: true });
  return { user, sessions: await listSessions(core, { userId, limit }) };
}

/** Names a session in a list that others may read: a GUID that is always the same for it and signs nobody in. */
export function maskSession(core: Core, sessionId: string): string {
  return maskedGuid(core.keys.mask, sessionId);
}

function toSummary(row: store.SessionRow, now: number): SessionSummary {
  return {
    id: row.id,
    userId: row.user_id,
    login: row.login,
    entry: row.entry,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    expiresAt: expiryOf(row),
    endedAt: row.ended_at,
    live: isSessionLive(row, now),
    address: row.address,
    userAgent: row.user_agent,
  };
}
