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
