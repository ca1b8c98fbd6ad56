import { createBoundedMap } from './bounded-map.ts';

/** Counts uses per key and second; holds at most `capacity` keys, the least recently used leave first, by the second. */
export type RateLimiter = {
  /** Takes one use. @returns 0 when it was there, else the whole seconds until the next one is */
  take(key: string, nowMs: number): number;
  readonly size: () => number;
};

type Bucket = { left: number; atMs: number; movedMs: number };

/** A busy key keeps its place among the recently used ones this long: moving it costs more than all the rest. */
const keepsPlaceMs = 1_000;

/** A token bucket per key: `perSecond` uses flow in, up to `burst`. */
export function createRateLimiter(perSecond: number, burst: number, capacity = 50_000): RateLimiter {
  const buckets = createBoundedMap<Bucket>(capacity);

  function bucketOf(key: string, nowMs: number): Bucket {
    const known = buckets.get(key);
    if (known !== undefined && Math.abs(nowMs - known.movedMs) < keepsPlaceMs) return known;
    const bucket = known ?? { left: burst, atMs: nowMs, movedMs: nowMs };
    bucket.movedMs = nowMs;
    buckets.set(key, bucket);
    return bucket;
  }

  return {
    size: buckets.size,
    take(key, nowMs) {
      const bucket = bucketOf(key, nowMs);
      // A clock that was set back must not stop the flow: time never counts backwards here.
      const elapsedMs = Math.max(0, nowMs - bucket.atMs);
      bucket.left = Math.min(burst, bucket.left + (elapsedMs * perSecond) / 1000);
      bucket.atMs = nowMs;
      if (bucket.left < 1) return Math.max(1, Math.ceil((1 - bucket.left) / perSecond));
      bucket.left -= 1;
      return 0;
    },
  };
}
