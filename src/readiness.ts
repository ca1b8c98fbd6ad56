import { probeStore, type Store } from './store/open.ts';

export type Readiness = {
  /** Whether this instance can do its work now. */
  readonly isReady: () => Promise<boolean>;
  /** Says no from now on: the server is about to stop. */
  readonly drain: () => void;
};

/** A good answer is believed this long, a bad one shorter, so that the probe costs nothing and recovery shows soon. */
const goodMs = 5_000;
const badMs = 500;

export function createReadiness(store: Store): Readiness {
  let draining = false;
  let untilMs = 0;
  let last = Promise.resolve(false);
  return {
    isReady: async () => {
      if (performance.now() >= untilMs) {
        // Whoever asks while a probe is under way shares it.
        untilMs = Number.POSITIVE_INFINITY;
        last = answers(store);
        untilMs = performance.now() + ((await last) ? goodMs : badMs);
      }
      return (await last) && !draining && store.health.broken() === null;
    },
    drain: () => {
      draining = true;
    },
  };
}

async function answers(store: Store): Promise<boolean> {
  try {
    await probeStore(store);
    return true;
  } catch {
    return false;
  }
}
