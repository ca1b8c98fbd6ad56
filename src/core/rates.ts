/** Counts uses per key and second; holds at most `capacity` keys, the least recently used leave first. */
export type RateLimiter = {
  /** Takes one use. @returns 0 when it was there, else the whole seconds until the next one is */
  take(key: string, nowMs: number): number;
  readonly size: () => number;
};

type Bucket = { left: number; atMs: number };

/** A token bucket per key: `perSecond` uses flow in, up to `burst`. */
export function createRateLimiter(perSecond: number, burst: number, capacity = 50_000): RateLimiter {
  const buckets = new Map<string, Bucket>();

  function bucketOf(key: string, nowMs: number): Bucket {
    const bucket = buckets.get(key) ?? { left: burst, atMs: nowMs };
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size > capacity) buckets.delete(buckets.keys().next().value as string);
    return bucket;
  }

  return {
    size: () => buckets.size,
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
