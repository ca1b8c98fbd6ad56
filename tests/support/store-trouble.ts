import { StoreError } from '../../src/store/errors.ts';
import type { TestServer } from './server.ts';

type Way = 'db' | 'checks' | 'lists';

export type Trouble = {
  /** What every use throws: that of a store out of reach unless given. */
  readonly error?: Error;
  /** Connections in trouble, all unless given; `db` alone is a store that cannot be written. */
  readonly ways?: readonly Way[];
};

/** Lets reads and writes of the running server fail, as a store does that is out of reach, or as a mistake of ours would. */
export function breakStore(
  { core }: Pick<TestServer, 'core'>,
  { error = new StoreError('unavailable'), ways = ['db', 'checks', 'lists'] }: Trouble = {},
): { readonly mend: () => void } {
  const { store } = core;
  // A store that cannot say whether it changed has nothing answered from memory.
  if (ways.includes('checks')) core.contexts?.forgetAll();
  const whole = ways.map((way) => [way, store[way]] as const);
  for (const way of ways) {
    const get = () => {
      throw error;
    };
    Object.defineProperty(store, way, { get, configurable: true, enumerable: true });
  }
  return {
    mend() {
      for (const [way, value] of whole) {
        Object.defineProperty(store, way, { value, configurable: true, writable: true, enumerable: true });
      }
    },
  };
}

/**
 * Lets every transaction of the running server wait, as behind a store that hangs and says nothing. Reads go on.
 * @returns a function that lets them all happen
 */
export function hangWrites({ core }: Pick<TestServer, 'core'>): () => void {
  const { store } = core;
  const { db } = store;
  const gate = Promise.withResolvers<void>();
  const transaction = () => ({
    execute: async (work: Parameters<ReturnType<typeof db.transaction>['execute']>[0]) => {
      await gate.promise;
      return db.transaction().execute(work);
    },
  });
  const hung = new Proxy(db, {
    get(target, name) {
      if (name === 'transaction') return transaction;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  Object.defineProperty(store, 'db', { value: hung, configurable: true, writable: true, enumerable: true });
  return () => {
    Object.defineProperty(store, 'db', { value: db, configurable: true, writable: true, enumerable: true });
    gate.resolve();
  };
}
