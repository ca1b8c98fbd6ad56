/** What every driver refuses. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { TransactionSettings } from 'kysely';

type Frame = { open: boolean };

const frames = new AsyncLocalStorage<Frame>();

/** Runs `work` so that `refuseInsideTransaction` throws in it and in everything it starts, until it ends. */
export async function guardTransaction<T>(work: () => Promise<T>): Promise<T> {
  const frame: Frame = { open: true };
  try {
    return await frames.run(frame, work);
  } finally {
    // What the work left running may use the store again once the transaction is over.
    frame.open = false;
  }
}

/**
 * Every driver asks this before it lends a connection: inside a transaction the outer handle would wait for itself on SQLite and
 * commit separately on PostgreSQL.
 * @throws Error inside the work of a transaction
 */
export function refuseInsideTransaction(): void {
  if (frames.getStore()?.open === true) {
    throw new Error(
      'The store was used beside the transaction that this code runs in; pass the transaction on instead.',
    );
  }
}

/** @throws Error for a transaction that asks for an isolation level or an access mode */
export function refuseSettings(settings: TransactionSettings): void {
  if (settings.isolationLevel !== undefined || settings.accessMode !== undefined) {
    throw new Error('Transactions of the store have one form; it cannot be chosen.');
  }
}

/** An unfinished stream would pin a snapshot in which revoked rows still live. */
export function refuseStream(): never {
  throw new Error('The store does not stream; read a limited list.');
}
