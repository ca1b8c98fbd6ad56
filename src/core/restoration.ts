import { type Doubt, forgetBackup } from '../store/lineage.ts';
import { raiseEpoch } from '../store/sessions.ts';
import { record } from './audit.ts';
import { change } from './change.ts';
import type { CallerFacts } from './context.ts';
import type { Core } from './core.ts';

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
  { event, detail }: EndingOfAll,
  caller: CallerFacts,
): Promise<void> {
  await change(core, async (trx) => {
    await raiseEpoch(trx);
    await forgetBackup(trx);
    await record(trx, core, event, { actorId: null, caller, detail });
  });
}
