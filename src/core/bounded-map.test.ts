import { expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { createBoundedMap } from './bounded-map.ts';

test('whatever is set, read and cleared, it is a list of the last distinct keys that were set', () => {
  const key = fc.integer({ min: 0, max: 12 }).map(String);
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ set: key, value: fc.integer() }) },
    { weight: 1, arbitrary: fc.constant('clear' as const) },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 60 }), (capacity, steps) => {
      const map = createBoundedMap<number>(capacity);
      let model: [string, number][] = [];
      for (const one of steps) {
        if (one === 'clear') {
          map.clear();
          model = [];
        } else {
          map.set(one.set, one.value);
          model = [...model.filter(([known]) => known !== one.set), [one.set, one.value] as [string, number]].slice(
            -capacity,
          );
        }
        expect(map.size()).toBe(model.length);
        for (let at = 0; at <= 12; at += 1) {
          expect(map.get(String(at))).toBe(model.find(([known]) => known === String(at))?.[1] as number);
        }
      }
    }),
    { numRuns: 1_000 },
  );
});
