import { describe, expect, test } from 'bun:test';
import { judgeSoak, type SoakSample } from './judge.ts';

/** Ten minutes of a server with which nothing is wrong, but for what `change` makes of it. */
function samples(change: (index: number) => Partial<SoakSample>): SoakSample[] {
  return Array.from({ length: 120 }, (_, index) => ({
    atSeconds: 5 * index,
    // Garbage comes and goes.
    residentMb: 150 + 8 * (index % 3),
    descriptors: 60 + (index % 2),
    logMb: 4,
    databaseMb: 20 + index / 10,
    rate: 4_000,
    p50Ms: 0.2,
    p99Ms: 2 + (index % 2),
    ...change(index),
  }));
}

describe('F30: a soak', () => {
  test('of a steady server passes, also with a slow first third and a disturbance', () => {
    expect(judgeSoak(samples(() => ({})))).toEqual([]);
    expect(judgeSoak(samples((index) => (index < 30 ? { residentMb: 90 + index, p99Ms: 40 } : {})))).toEqual([]);
    expect(judgeSoak(samples((index) => (index > 100 && index < 110 ? { p99Ms: 200 } : {})))).toEqual([]);
  });

  test.each<[trend: string, change: (index: number) => Partial<SoakSample>, sentence: RegExp]>([
    ['memory that grows by 40 MB in ten minutes', (i) => ({ residentMb: 150 + i / 3 }), /^resident MB went from/],
    ['a descriptor lost every minute', (i) => ({ descriptors: 60 + Math.floor(i / 12) }), /^open descriptors went/],
    ['checks that become slower', (i) => ({ p99Ms: 1 + (i / 20) ** 2 }), /^the checks' p99/],
    ['a log that nobody folds', (i) => ({ logMb: i }), /^the MB of the write-ahead log/],
  ])('finds %s', (_trend, change, sentence) => {
    expect(judgeSoak(samples(change))).toEqual([expect.stringMatching(sentence)]);
  });

  test('of a few seconds is no soak', () => {
    expect(judgeSoak(samples(() => ({})).slice(0, 8))).toEqual(['there are too few samples to judge by']);
  });
});
