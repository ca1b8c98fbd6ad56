import { isStoreTrouble } from '../store/errors.ts';
import { transact } from '../store/open.ts';
import type { Db } from '../store/users.ts';
import type { Core } from './core.ts';

/**
 * Whose contexts a change touches: of everybody unless it is known to be fewer, so that what nobody thought of costs only speed.
 * `nobody` is for what no context shows: counters of failed tries, the audit, rows of sessions that ended long ago.
 */
export type Concern = 'everybody' | 'nobody' | readonly number[];

/**
 * Runs a change in one transaction. Once it is durable, and before anybody is told, the contexts it touches are forgotten: a check
 * that starts after the answer judges by the new state. Every write of the core goes through here.
 * @throws StoreError as `transact`; what became of the change is then unknown, and everything is forgotten. And whatever `work` throws
 */
export async function change<T>(core: Core, work: (trx: Db) => Promise<T>, concern: Concern = 'everybody'): Promise<T> {
  try {
    const result = await transact(core.store, work);
    forget(core, concern);
    return result;
  } catch (error) {
    if (isStoreTrouble(error)) forget(core, 'everybody');
    throw error;
  }
}

function forget({ contexts }: Core, concern: Concern): void {
  if (contexts === null || concern === 'nobody') return;
  if (concern === 'everybody') contexts.forgetAll();
  else for (const userId of concern) contexts.forgetUser(userId);
}
