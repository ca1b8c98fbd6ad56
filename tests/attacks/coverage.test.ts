import { expect, test } from 'bun:test';
import { attacksPage, findHolders, gapsOf } from '../../scripts/attacks-page.ts';
import { attackEntries } from './entries.ts';

test('every bad input is named by a test at every door that it applies to', async () => {
  const holders = await findHolders();
  const open = attackEntries.flatMap((entry) =>
    gapsOf(entry, holders.get(entry[0]) ?? []).map((door) => `${entry[0]} at ${door}`),
  );
  expect(open).toEqual([]);
  expect(attackEntries.length).toBeGreaterThan(170);
});

test('no test names an input that the list does not have', async () => {
  const known = new Set(attackEntries.map(([id]) => id));
  const unknown = [...(await findHolders()).keys()].filter((id) => !known.has(id));
  expect(unknown.filter((id) => /^[JKLSBHX]/.test(id))).toEqual([]);
});

test('an entry without a test would be noticed', () => {
  expect(gapsOf(['J01', '', ['ecgrid-rest', 'user-session']], ['src/doors/ecgrid-rest/token.test.ts'])).toEqual([
    'user-session',
  ]);
  expect(gapsOf(['P01', '', 'server'], [])).toEqual(['server']);
});

test('docs/attacks.md says what the tests say', async () => {
  expect(await Bun.file(new URL('../../docs/attacks.md', import.meta.url)).text()).toBe(await attacksPage());
});
