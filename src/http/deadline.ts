/** Work that somebody waits for, and what to do when it takes too long. */
type Waiting = { readonly sinceTick: number; readonly giveUp: () => void };

/** One limit for all answers of a listener, kept by one coarse clock: a timer per request would cost more than the request's check. */
export type Deadline = {
  /** Starts to wait. @returns ends the waiting; false when it was given up before, and nobody listens any more */
  readonly watch: (giveUp: () => void) => () => boolean;
  readonly stop: () => void;
};

const ticks = 20;

/** Gives up what takes longer than `limitMs`, at most a twentieth of it too late and never too early. */
export function createDeadline(limitMs: number): Deadline {
  // In the order of their start, so that those in front are due first.
  const waiting = new Set<Waiting>();
  let tick = 0;
  const timer = setInterval(() => {
    tick += 1;
    for (const one of waiting) {
      if (tick - one.sinceTick <= ticks) break;
      waiting.delete(one);
      one.giveUp();
    }
  }, limitMs / ticks);
  timer.unref();
  return {
    watch: (giveUp) => {
      const one: Waiting = { sinceTick: tick, giveUp };
      waiting.add(one);
      return () => waiting.delete(one);
    },
    stop: () => clearInterval(timer),
  };
}
