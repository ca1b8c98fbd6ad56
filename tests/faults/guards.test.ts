import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { projectRoot } from '../support/program.ts';
import { faults } from './list.ts';
import { type GuardName, guards, type Patch, removeGuards } from './guards.ts';

test.each((Object.keys(guards) as GuardName[]).map((name) => [name]))(
  'the guard "%s" stands in the product, where the fault plan takes it out',
  async (name) => {
    const patches: readonly Patch[] = guards[name];
    for (const patch of patches) {
      const text = await Bun.file(join(projectRoot, 'src', patch.file)).text();
      expect(removeGuards(patch.file, text, [patch])).not.toBe(text);
    }
  },
);

test('a guard that does not stand in the product is an error, not a test of nothing', () => {
  expect(() => removeGuards('store/x.ts', 'a b a', [{ file: 'store/x.ts', from: 'c', to: '' }])).toThrow(
    'exactly once',
  );
  expect(() => removeGuards('store/x.ts', 'a b a', [{ file: 'store/x.ts', from: 'a', to: '' }])).toThrow(
    'exactly once',
  );
  expect(removeGuards('store/x.ts', 'a b', [{ file: 'store/x.ts', from: 'a', to: 'z' }])).toBe('z b');
});

test('no fault stands in the plan twice', () => {
  const names = faults.map(({ id, title }) => `${id} ${title}`);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});
