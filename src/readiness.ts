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
  let last = { ok: false, untilMs: 0 };
  return {
    isReady: async () => {
      if (draining) return false;
      if (performance.now() >= last.untilMs) {
        const ok = await answers(store);
        last = { ok, untilMs: performance.now() + (ok ? goodMs : badMs) };
      }
      return last.ok && !draining;
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
