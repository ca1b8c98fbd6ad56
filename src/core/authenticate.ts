import { readApiKey } from '../store/api-keys.ts';
import { readFacts } from '../store/directory.ts';
import { readSession, readSessionBySecret, recordUse, type SessionRow } from '../store/sessions.ts';
import { isLiveStatus } from './access.ts';
import { type Credential, type SessionContext, toDirectoryFacts, toUserFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import { digestApiKey, digestSecret, type SecretKind, type TokenClaims, verifyToken } from './tokens.ts';

/** A use is recorded at most this often per session, so a session may end up to this much early, never late. */
const recordUseSeconds = 60;

/**
 * Judges a credential by the present state of session, key and user.
 * @throws CoreError `session_invalid` or `api_key_invalid`, one word for every cause
 */
export function authenticate(core: Core, credential: Credential): Promise<SessionContext> {
  if (credential.kind === 'bearer') return authenticateToken(core, credential.token);
  if (credential.kind === 'api_key') return authenticateKey(core, credential.key);
  return authenticateSecret(core, credential.kind, credential.secret);
}

async function authenticateToken(core: Core, token: string): Promise<SessionContext> {
  const now = nowSeconds(core);
  const claims = verifyToken(core.keys, core.policy, token, now);
  if (claims === null) throw new CoreError('session_invalid');
  const row = await readSession(core.store.checks, claims.sid);
  if (row === undefined || !isNamedBy(row, claims) || !isSessionLive(row, now)) throw new CoreError('session_invalid');
  return useSession(core, row, 'bearer', now);
}

async function authenticateSecret(core: Core, kind: SecretKind, secret: string): Promise<SessionContext> {
  const now = nowSeconds(core);
  const digest = digestSecret(kind, secret);
  const row = digest === null ? undefined : await readSessionBySecret(core.store.checks, digest);
  if (row === undefined || !isSessionLive(row, now)) throw new CoreError('session_invalid');
  return useSession(core, row, kind, now);
}

async function authenticateKey(core: Core, key: string): Promise<SessionContext> {
  const now = nowSeconds(core);
  const digest = digestApiKey(key);
  const row = digest === null ? undefined : await readApiKey(core.store.checks, digest);
  const expired = row?.key_expires_at != null && row.key_expires_at <= now;
  if (row === undefined || expired || !isLiveStatus(row.status)) throw new CoreError('api_key_invalid');
  return {
    ...toDirectoryFacts(await readFacts(core.store.checks, row.user_id)),
    credential: 'api_key',
    user: toUserFacts(row),
    session: null,
    createdAt: row.key_created_at,
    expiresAt: row.key_expires_at,
    // A key belongs to a program, which has no password to change and no second factor to show.
    stepDue: false,
  };
}

/** The token is the one live token of the session that it names. */
function isNamedBy(row: SessionRow, claims: TokenClaims): boolean {
  return row.live_jti === claims.jti && String(row.user_id) === claims.sub;
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

async function useSession(
  core: Core,
  row: SessionRow,
  credential: Credential['kind'],
  now: number,
): Promise<SessionContext> {
  const [used, facts] = await Promise.all([slide(core, row, now), readFacts(core.store.checks, row.user_id)]);
  return {
    ...toDirectoryFacts(facts),
    credential,
    user: toUserFacts(row),
    session: { id: row.id, entry: row.entry },
    createdAt: row.created_at,
    expiresAt: expiryOf(used),
    stepDue: row.password_change_due === 1,
  };
}

/**
 * Moves the idle limit, if the session has one and the last recorded use is old enough to be worth a write.
 * A store that cannot write costs only the slide: the session goes on until the recorded limit.
 */
async function slide(core: Core, row: SessionRow, now: number): Promise<SessionRow> {
  if (row.idle_seconds === null) return row;
  if (now - row.last_used_at < Math.min(recordUseSeconds, row.idle_seconds / 4)) return row;
  try {
    await recordUse(core.store.db, row.id, now);
    return { ...row, last_used_at: now };
  } catch (error) {
    core.log.warn('session.use_not_recorded', { error });
    return row;
  }
}
