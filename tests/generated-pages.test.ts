import { expect, test } from 'bun:test';
import { stalePages } from '../scripts/docs.ts';

test('docs/configuration.md is what the table says', async () => {
  expect(await stalePages()).not.toContain('docs/configuration.md');
});
