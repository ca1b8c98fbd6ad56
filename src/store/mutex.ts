import { StoreError } from './errors.ts';

/** One holder at a time; those who wait are served in the order in which they came. */
export type Mutex = {
  /** @throws StoreError('busy') when the turn does not come in time */
  acquire(): Promise<void>;
  release(): void;
};

export function createMutex(limitMs: number): Mutex {
  const waiting = new Set<() => void>();
  let held = false;
  return {
    async acquire() {
      if (held) await waitForTurn(waiting, limitMs);
      held = true;
    },
    release() {
      const [next] = waiting;
      // `held` stays true when the turn is handed over, so that nobody who comes in between overtakes.
      if (next === undefined) held = false;
      else next();
    },
  };
}

function waitForTurn(waiting: Set<() => void>, limitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const take = () => {
      clearTimeout(timer);
      waiting.delete(take);
      resolve();
    };
    const timer = setTimeout(() => {
      waiting.delete(take);
      reject(new StoreError('busy', new Error(`the connection was not free within ${limitMs} ms`)));
    }, limitMs);
    waiting.add(take);
  });
}
