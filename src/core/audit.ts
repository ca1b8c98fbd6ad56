import {
  type AuditRow,
  insertAuditEvent,
  listAuditEvents,
  readAuditHead,
  readLastAuditId,
  takeAuditPlace,
} from '../store/audit.ts';
import type { Db } from '../store/users.ts';
import type { CallerFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { sessionMark, sha256 } from './tokens.ts';

/** The closed list of what is written down. */
export const auditEvents = [
  'login.succeeded',
  'login.failed',
  'login.step_due',
  'login.damaged_hash',
  'session.refreshed',
  'session.reuse_detected',
  'session.ended',
  'sessions.ended_all',
  'api_key.generated',
  'api_key.revoked',
  'password.changed',
  'password.change_failed',
  'password.set',
  'user.created',
  'user.updated',
  'user.role_changed',
  'user.moved',
  'user.status_changed',
  'user.reset',
  'user.deleted',
  'directory.changed',
  'store.restored',
] as const;
export type AuditEvent = (typeof auditEvents)[number];

export type AuditFacts = {
  /** Null when the system itself, or somebody not known yet, did it. */
  readonly actorId: number | null;
  readonly targetId?: number | null;
  readonly sessionId?: string;
  readonly caller: CallerFacts;
  /** Small facts, never a secret. */
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
};

/** Longest text taken over from a caller. */
const longestField = 256;

/** Writes one event in the transaction of the change it tells of; the events form a chain that shows any later edit. */
export async function record(trx: Db, core: Pick<Core, 'clock'>, event: AuditEvent, facts: AuditFacts): Promise<void> {
  const { id, previousHash } = await takeAuditPlace(trx);
  const row = {
    id,
    at: nowSeconds(core),
    event,
    actor_user_id: facts.actorId,
    target_user_id: facts.targetId ?? null,
    session_mark: facts.sessionId === undefined ? null : sessionMark(facts.sessionId),
    address: facts.caller.address.slice(0, longestField),
    user_agent: facts.caller.userAgent.slice(0, longestField),
    request_id: facts.caller.requestId,
    detail: JSON.stringify(facts.detail ?? {}),
    previous_hash: previousHash,
  };
  await insertAuditEvent(trx, { ...row, hash: hashOf(row) });
}

function hashOf(row: Omit<AuditRow, 'hash'>): string {
  const { id, at, event, actor_user_id, target_user_id, session_mark, address, user_agent, request_id, detail } = row;
  const fields = [id, at, event, actor_user_id, target_user_id, session_mark, address, user_agent, request_id, detail];
  return sha256(JSON.stringify([row.previous_hash, ...fields]));
}

/**
 * Walks the whole chain.
 * @returns the id of the first event that was edited, removed or slipped in, or null when the chain is whole
 */
export async function verifyAudit(core: Pick<Core, 'store'>): Promise<number | null> {
  // Read before the head, so that an event which is written meanwhile is not taken for one that was slipped in.
  const lastId = await readLastAuditId(core.store.lists);
  const head = await readAuditHead(core.store.lists);
  let expected = { id: 1, hash: '' };
  while (expected.id <= head.last_id) {
    const rows = await listAuditEvents(core.store.lists, expected.id - 1, 1000);
    if (rows.length === 0) return expected.id;
    for (const row of rows) {
      if (row.id > head.last_id) break;
      if (row.id !== expected.id || row.previous_hash !== expected.hash || row.hash !== hashOf(row)) return expected.id;
      expected = { id: row.id + 1, hash: row.hash };
    }
  }
  if (expected.hash !== head.last_hash) return head.last_id;
  return lastId > head.last_id ? expected.id : null;
}

/** Events after `afterId`, oldest first, at most 1,000. */
export function listAudit(core: Pick<Core, 'store'>, afterId: number, limit: number): Promise<AuditRow[]> {
  return listAuditEvents(core.store.lists, afterId, Math.min(limit, 1000));
}
