import { after, type Soon, settle } from '../soon.ts';
import { type ApiKeyRow, apiKeyByDigest } from '../store/api-keys.ts';
import { type SessionRow, sessionById, sessionBySecret } from '../store/sessions.ts';
import { isLiveStatus } from './access.ts';
import { type Credential, keptOnce, type SessionContext, toUserFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import { digestApiKey, digestSecret, type SecretKind, verifyToken } from './tokens.ts';

/** A use is recorded at most this often per session, so a session may end up to this much early, never late. */
const recordUseSeconds = 60;

const sessionInvalid = new CoreError('session_invalid');
const apiKeyInvalid = new CoreError('api_key_invalid');

/**
 * Judges a credential by the present state of session, key and user: at once, unless the store has to be waited for.
 * @throws CoreError `session_invalid` or `api_key_invalid`, one word for every cause; StoreError. Also by the promise
 */
export function authenticate(core: Core, credential: Credential): Soon<SessionContext> {
  const now = nowSeconds(core);
  return recall(core, credential, now) ?? judge(core, credential, now);
}

/**
 * As `authenticate` for a text that may be either of two kinds of credential: the first that proves good counts.
 * @throws what `second` is refused with, when neither does
 */
export function authenticateEither(core: Core, first: Credential, second: Credential): Soon<SessionContext> {
  const now = nowSeconds(core);
  const known = recall(core, first, now) ?? recall(core, second, now);
  if (known !== undefined) return known;
  return settle(
    () => judge(core, first, now),
    (context) => context,
    (error) => {
      if (error instanceof CoreError) return judge(core, second, now);
      throw error;
    },
  );
}

function recall(core: Core, credential: Credential, now: number): SessionContext | undefined {
  return core.contexts?.find(credential.kind, textOf(credential), now);
}

function judge(core: Core, credential: Credential, now: number): Soon<SessionContext> {
  if (core.contexts === null) return read(core, credential, now);
  const text = textOf(credential);
  if (core.contexts.isRefused(credential.kind, text, now)) throw refusalOf(credential.kind);
  try {
    return read(core, credential, now);
  } catch (error) {
    if (error instanceof CoreError) core.contexts.keepRefusal(credential.kind, text, now);
    throw error;
  }
}

function refusalOf(kind: Credential['kind']): CoreError {
  return kind === 'api_key' ? apiKeyInvalid : sessionInvalid;
}

function read(core: Core, credential: Credential, now: number): Soon<SessionContext> {
  if (credential.kind === 'bearer') return readByToken(core, credential, now);
  if (credential.kind === 'api_key') return readByKey(core, credential, now);
  return readBySecret(core, credential, now);
}

function textOf(credential: Credential): string {
  if (credential.kind === 'bearer') return credential.token;
  return credential.kind === 'api_key' ? credential.key : credential.secret;
}

function readByToken(core: Core, credential: Credential & { kind: 'bearer' }, now: number): Soon<SessionContext> {
  const claims = verifyToken(core.keys, core.policy, credential.token, now);
  if (claims === null) throw sessionInvalid;
  return after(core.store.read(sessionById(core.store.checks, claims.sid)), ([row]) => {
    // The token is the one live token of the session that it names.
    if (row?.live_jti !== claims.jti || String(row.user_id) !== claims.sub) throw sessionInvalid;
    return useSession(core, credential, row, now);
  });
}

function readBySecret(core: Core, credential: Credential & { kind: SecretKind }, now: number): Soon<SessionContext> {
  const digest = digestSecret(credential.kind, credential.secret);
  if (digest === null) throw sessionInvalid;
  return after(core.store.read(sessionBySecret(core.store.checks, digest)), ([row]) => {
    if (row === undefined) throw sessionInvalid;
    return useSession(core, credential, row, now);
  });
}

function readByKey(core: Core, credential: Credential & { kind: 'api_key' }, now: number): Soon<SessionContext> {
  const digest = digestApiKey(credential.key);
  if (digest === null) throw apiKeyInvalid;
  return after(core.store.read(apiKeyByDigest(core.store.checks, digest)), ([row]) => {
    const expired = row?.key_expires_at != null && row.key_expires_at <= now;
    if (row === undefined || expired || !isLiveStatus(row.status)) throw apiKeyInvalid;
    const context = keyContext(row);
    core.contexts?.keep(credential.kind, credential.key, context, context.expiresAt ?? Number.POSITIVE_INFINITY, now);
    return context;
  });
}

function keyContext(row: ApiKeyRow): SessionContext {
  return {
    credential: 'api_key',
    user: toUserFacts(row),
    session: null,
    principal: `user:${row.user_id}`,
    createdAt: row.key_created_at,
    expiresAt: row.key_expires_at,
    // A key belongs to a program, which has no password to change and no second factor to show.
    stepDue: false,
  };
}

/** Judges a session by its row, moves its idle limit if that is due, and tells whom it stands for. */
function useSession(
  core: Core,
  credential: Exclude<Credential, { kind: 'api_key' }>,
  row: SessionRow,
  now: number,
): Soon<SessionContext> {
  if (!isSessionLive(row, now)) throw sessionInvalid;
  if (now >= nextUseOf(row)) return recordUse(core, credential.kind, row, now);
  const context = sessionContext(credential.kind, row);
  const goodBefore = Math.min(expiryOf(row), nextUseOf(row));
  core.contexts?.keep(credential.kind, textOf(credential), context, goodBefore, now);
  return context;
}

/**
 * Moves the idle limit; the answer promises no more than is recorded. The context is not kept: what was read before the wait may be
 * from before a change.
 */
async function recordUse(core: Core, kind: Credential['kind'], row: SessionRow, now: number): Promise<SessionContext> {
  const recorded = await core.uses.record(core, row.id, now);
  return sessionContext(kind, recorded ? { ...row, last_used_at: now } : row);
}

/** The first second at which a use is worth recording: it moves the idle limit, where there is one. */
function nextUseOf(row: SessionRow): number {
  if (row.idle_seconds === null) return Number.POSITIVE_INFINITY;
  return row.last_used_at + Math.min(recordUseSeconds, row.idle_seconds / 4);
}

function sessionContext(kind: Credential['kind'], row: SessionRow): SessionContext {
  return {
    credential: kind,
    user: toUserFacts(row),
    session: { id: row.id, entry: keptOnce(row.entry) },
    // No user's `user:…` looks like it, and a text of its own would only take memory.
    principal: row.id,
    createdAt: row.created_at,
    expiresAt: expiryOf(row),
    stepDue: row.password_change_due === 1,
  };
}

/** Whether a session counts at this second, whichever of its credentials is presented. */
export function isSessionLive(row: SessionRow, now: number): boolean {
  return (
    row.ended_at === null &&
    row.epoch === row.current_epoch &&
    row.generation >= row.session_generation &&
    expiryOf(row) > now &&
    isLiveStatus(row.status)
  );
}

/** The first second at which the session is refused: the earliest of token expiry, idle end and absolute end. */
export function expiryOf(row: SessionRow): number {
  const tokenEnd = row.live_expires_at ?? Number.POSITIVE_INFINITY;
  const idleEnd = row.idle_seconds === null ? Number.POSITIVE_INFINITY : row.last_used_at + row.idle_seconds;
  return Math.min(row.absolute_expires_at, tokenEnd, idleEnd);
}
