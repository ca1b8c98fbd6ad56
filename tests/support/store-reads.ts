import type { TestServer } from './server.ts';

/** Counts how often a check turns to the store until it is stopped. */
export function countStoreReads({ core }: Pick<TestServer, 'core'>): { readonly stop: () => number } {
  const { store } = core;
  const { checks } = store;
  let count = 0;
  const get = () => {
    count += 1;
    return checks;
  };
  // A prepared statement is compiled for it before `read` runs it, so every read of a check looks here.
  Object.defineProperty(store, 'checks', { get, configurable: true });
  return {
    stop() {
      Object.defineProperty(store, 'checks', { value: checks, configurable: true, writable: true, enumerable: true });
      return count;
    },
  };
}
