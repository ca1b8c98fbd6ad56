import { type Doubt, raiseEpoch } from '../store/lineage.ts';
import { transact } from '../store/open.ts';
import { record } from './audit.ts';
import type { CallerFacts } from './context.ts';
import type { Core } from './core.ts';

/** Why a database's sessions ended all at once: told by the operator, or noticed at a start. */
export type RestorationCause = 'restored' | 'in_place' | Doubt;

/**
 * Ends every session of a database that comes from the past, and leaves users, keys and rights as they are. It cannot be known
 * which of its sessions were ended after the copy was made.
 * @throws StoreError when the store is out of reach
 */
export async function endEverySession(
  core: Pick<Core, 'store' | 'clock'>,
  cause: RestorationCause,
  caller: CallerFacts,
): Promise<void> {
  await transact(core.store, async (trx) => {
    await raiseEpoch(trx);
    await record(trx, core, 'store.restored', { actorId: null, caller, detail: { cause } });
  });
}
