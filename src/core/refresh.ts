import * as store from '../store/sessions.ts';
import type { Db } from '../store/users.ts';
import { record } from './audit.ts';
import { authenticate, isSessionLive } from './authenticate.ts';
import { change } from './change.ts';
import type { CallerFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import { fixedClaims, issueToken } from './issue-token.ts';
import { spendUse } from './limits.ts';
import type { NewSession, OpenedSession } from './sessions.ts';
import { findSigningKey } from './signing-keys.ts';
import { signToken, type TokenClaims, verifyToken } from './tokens.ts';

export type RefreshPolicy = {
  /** Life of the new token in seconds, cut at the session's absolute end. */
  readonly tokenSeconds: number;
  /** How long after a refresh its predecessor still gets the same successor. */
  readonly graceSeconds: number;
};

type RefreshOutcome = { readonly kind: 'opened'; readonly session: NewSession } | { readonly kind: 'refused' };

/**
 * Exchanges a session's live token for a new one; the old one is dead from the commit on. Presented again within the grace it gets
 * the same successor, byte for byte; later, or older, it ends the session: somebody else holds it (RFC 9700, 4.14.2).
 * @throws CoreError `session_invalid`, `step_due`
 */
export async function refreshSession(
  core: Core,
  token: string,
  policy: RefreshPolicy,
  caller: CallerFacts,
): Promise<OpenedSession> {
  const claims = verifyToken(core.keys, core.policy, token, nowSeconds(core));
  if (claims === null) throw new CoreError('session_invalid');
  spendUse(core, claims.sid);
  const outcome = await change(core, (trx) => rotate(trx, core, claims, policy, caller), [Number(claims.sub)]);
  if (outcome.kind === 'refused') throw new CoreError('session_invalid');
  const context = await authenticate(core, { kind: 'bearer', token: outcome.session.credential });
  return { ...outcome.session, context };
}

/** A refusal is an outcome, not a throw: ending the session must be committed, not rolled back. */
async function rotate(
  trx: Db,
  core: Core,
  claims: TokenClaims,
  policy: RefreshPolicy,
  caller: CallerFacts,
): Promise<RefreshOutcome> {
  const now = nowSeconds(core);
  const row = await store.lockSession(trx, claims.sid);
  if (row === undefined || String(row.user_id) !== claims.sub || !isSessionLive(row, now)) return { kind: 'refused' };
  const live = row.live_jti === claims.jti;
  const successor = !live && withinGrace(core, row, claims, policy) ? rebuildToken(core, row) : null;
  // Reuse is judged first: also a session that can do nothing else at the moment must end for it.
  if ((live || successor !== null) && row.password_change_due === 1) throw new CoreError('step_due');
  if (live) return { kind: 'opened', session: await replaceToken(trx, core, row, policy, caller) };
  if (successor !== null) return { kind: 'opened', session: successor };
  await store.endSession(trx, row.id, { endedAt: now, reason: 'token_reused' });
  core.counts.sessionsEnded += 1;
  await record(trx, core, 'session.reuse_detected', {
    actorId: null,
    targetId: row.user_id,
    sessionId: row.id,
    caller,
  });
  return { kind: 'refused' };
}

async function replaceToken(
  trx: Db,
  core: Core,
  row: store.SessionRow,
  policy: RefreshPolicy,
  caller: CallerFacts,
): Promise<NewSession> {
  const { token, claims } = issueToken(core, row.id, row.user_id, policy.tokenSeconds, row.absolute_expires_at);
  await store.rotateToken(trx, row.id, {
    live_jti: claims.jti,
    live_issued_at: claims.iat,
    live_expires_at: claims.exp,
    live_key_id: core.keys.current.id,
    previous_jti: row.live_jti,
    rotated_ms: core.clock(),
    last_used_at: claims.iat,
  });
  await record(trx, core, 'session.refreshed', { actorId: row.user_id, sessionId: row.id, caller });
  return { id: row.id, credential: token, credentialExpiresAt: claims.exp };
}

function withinGrace(core: Core, row: store.SessionRow, claims: TokenClaims, policy: RefreshPolicy): boolean {
  // Without a grace not even the same millisecond counts.
  if (policy.graceSeconds === 0 || row.previous_jti !== claims.jti || row.rotated_ms === null) return false;
  const sinceMs = core.clock() - row.rotated_ms;
  // A clock that was set back makes no token of long ago a recent one.
  return sinceMs >= 0 && sinceMs <= policy.graceSeconds * 1000;
}

/** HMAC is deterministic: the stored claims and the key that signed them give the very text that was sent before. */
function rebuildToken(core: Core, row: store.SessionRow): NewSession | null {
  const key = findSigningKey(core.keys, row.live_key_id);
  if (key === null || row.live_jti === null || row.live_issued_at === null || row.live_expires_at === null) return null;
  const claims = {
    ...fixedClaims(core, row.id, row.user_id),
    jti: row.live_jti,
    iat: row.live_issued_at,
    exp: row.live_expires_at,
  };
  return { id: row.id, credential: signToken(key, claims), credentialExpiresAt: claims.exp };
}
