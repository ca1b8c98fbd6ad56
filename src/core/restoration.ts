import { readServer, takeTimeline } from '../store/failover.ts';
import { type Doubt, forgetBackup } from '../store/lineage.ts';
import type { Store } from '../store/open.ts';
import { raiseEpoch } from '../store/sessions.ts';
import { record } from './audit.ts';
import { change } from './change.ts';
import type { CallerFacts } from './context.ts';
import type { Core } from './core.ts';
import type { Db } from '../store/users.ts';

/** Why a database's sessions ended all at once: told by the operator, or noticed at a start. */
export type RestorationCause = 'restored' | 'in_place' | Doubt;

/** What ends every session of every user, as the audit tells it. */
export type EndingOfAll =
  /** The database comes from the past: it cannot be known which of its sessions were ended after the copy was made. */
  | { readonly event: 'store.restored'; readonly detail: { readonly cause: RestorationCause } }
  /** The signing keys were exchanged in an emergency. */
  | { readonly event: 'signing_key.replaced'; readonly detail: { readonly key: string } };

/**
 * Ends every session of every user, and leaves users, keys and rights as they are.
 * @throws StoreError when the store is out of reach
 */
export async function endEverySession(
  core: Pick<Core, 'store' | 'clock' | 'contexts'>,
  ending: EndingOfAll,
  caller: CallerFacts,
): Promise<void> {
  await change(core, (trx) => endEverySessionWithin(trx, core, ending, caller));
}

async function endEverySessionWithin(
  trx: Db,
  core: Pick<Core, 'clock'>,
  { event, detail }: EndingOfAll,
  caller: CallerFacts,
): Promise<void> {
  await raiseEpoch(trx);
  await forgetBackup(trx);
  await record(trx, core, event, { actorId: null, caller, detail });
}

/**
 * Recognises the PostgreSQL server behind a fresh store. One that was promoted loses every session, whether or not its standby was
 * synchronous: what it lacks nobody can tell. Of several instances one ends them, and none goes on before that is committed.
 * @returns a name for the server as it is now, and whether this call ended the sessions
 * @throws StoreError when the store is out of reach
 */
export async function recogniseServer(
  core: { readonly store: Store; readonly clock: Core['clock']; readonly contexts: Core['contexts'] },
  caller: CallerFacts,
): Promise<{ readonly server: string; readonly timeline: string; readonly ended: boolean }> {
  const { timeline, known, startedAt } = await readServer(core.store.checks);
  const ended = known !== timeline && (await change(core, (trx) => endFormerTimeline(trx, core, caller)));
  // What it still knew is part of the name: whatever was read until now may be of a session that has ended.
  return { server: `${timeline} after ${known}, since ${startedAt}`, timeline, ended };
}

async function endFormerTimeline(trx: Db, core: Pick<Core, 'clock'>, caller: CallerFacts): Promise<boolean> {
  if (!(await takeTimeline(trx))) return false;
  await endEverySessionWithin(trx, core, { event: 'store.restored', detail: { cause: 'failed_over' } }, caller);
  return true;
}
