import { describe, expect, test } from 'bun:test';
import { createRateLimiter } from './index.ts';

const t0 = 1_778_175_000_000;

function takeMany(times: number, take: () => number): number {
  return Array.from({ length: times }, take).filter((wait) => wait === 0).length;
}

describe('the rate limiter', () => {
  test('gives the burst at once, then as much as flows in', () => {
    const limiter = createRateLimiter(200, 400);
    expect(takeMany(1000, () => limiter.take('a', t0))).toBe(400);
    expect(takeMany(1000, () => limiter.take('a', t0 + 500))).toBe(100);
    expect(takeMany(1000, () => limiter.take('a', t0 + 1500))).toBe(200);
    expect(takeMany(1000, () => limiter.take('a', t0 + 60_000))).toBe(400);
  });

  test('API-08: tells the true wait in whole seconds, at least one', () => {
    const slow = createRateLimiter(0.1, 1);
    expect(slow.take('a', t0)).toBe(0);
    expect(slow.take('a', t0)).toBe(10);
    expect(slow.take('a', t0 + 9_000)).toBe(1);
    expect(slow.take('a', t0 + 9_999)).toBe(1);
    expect(slow.take('a', t0 + 10_000)).toBe(0);
  });

  test('a refused use costs nothing: whoever keeps asking gets the next one all the same', () => {
    const limiter = createRateLimiter(1, 1);
    expect(limiter.take('a', t0)).toBe(0);
    for (let ms = 1; ms < 1000; ms += 1) expect(limiter.take('a', t0 + ms)).toBe(1);
    expect(limiter.take('a', t0 + 1000)).toBe(0);
  });

  test('keys do not share', () => {
    const limiter = createRateLimiter(1, 2);
    expect(takeMany(5, () => limiter.take('a', t0))).toBe(2);
    expect(takeMany(5, () => limiter.take('b', t0))).toBe(2);
  });

  test('F12: a clock that is set back neither refills nor stops the flow', () => {
    const limiter = createRateLimiter(10, 10);
    expect(takeMany(20, () => limiter.take('a', t0))).toBe(10);
    expect(limiter.take('a', t0 - 86_400_000)).toBe(1);
    expect(takeMany(20, () => limiter.take('a', t0 - 86_399_000))).toBe(10);
  });

  test('AVL-02: holds a bounded number of keys, and the least recently used leave first', () => {
    const limiter = createRateLimiter(1, 1, 3);
    for (const key of ['a', 'b', 'c']) expect(limiter.take(key, t0)).toBe(0);
    const later = t0 + 1_000;
    expect(limiter.take('a', later)).toBe(0);
    expect(limiter.take('d', later)).toBe(0);
    // `a` was not forgotten: it was used since. `c`, which was, begins anew.
    expect(limiter.take('a', later)).toBe(1);
    expect(limiter.take('b', later)).toBe(0);
    expect(limiter.take('c', later)).toBe(0);
  });
});
