import { expect, test } from 'bun:test';
import type { Door, Method } from './door.ts';
import { compileRoutes, findOwner, findPath } from './route-table.ts';

const fallback: Door = { name: 'fallback', owns: [], routes: [], answerFault: () => new Response() };

function doorWith(name: string, path: string, method: Method = 'GET'): Door {
  return { ...fallback, name, routes: [{ method, path, answer: () => new Response(name) }] };
}

test.each<[string, Door, Door]>([
  ['two doors claim one method and path', doorWith('a', '/x'), doorWith('b', '/x')],
  ['two doors claim one pattern', doorWith('a', '/x/{id}'), doorWith('b', '/x/{id}')],
  ['one pattern is spelt with two names', doorWith('a', '/x/{id}'), doorWith('b', '/x/{other}', 'POST')],
  ['a path does not begin with a slash', doorWith('a', '/x'), doorWith('b', 'y')],
  ['a parameter is no whole segment', doorWith('a', '/x'), doorWith('b', '/y/{id}.json')],
  ['two doors own one prefix', { ...fallback, name: 'a', owns: ['/x/'] }, { ...fallback, name: 'b', owns: ['/x/'] }],
  [
    'a path that ignores letter case has parameters',
    doorWith('a', '/x'),
    { ...doorWith('b', '/y/{id}'), ignoresCase: true },
  ],
])('nothing is compiled when %s', (_, one, other) => {
  expect(() => compileRoutes([one, other], fallback)).toThrow();
});

test('only the doors that say so ignore letter case, in paths and in what they own', () => {
  const exact = { ...doorWith('exact', '/Exact/One'), owns: ['/Exact/'] };
  const folded = { ...doorWith('folded', '/Folded/One.asmx'), owns: ['/Folded/'], ignoresCase: true };
  const table = compileRoutes([exact, folded], fallback);
  const doorOf = (path: string) => findPath(table, path)?.entry.door.name;
  expect(['/Exact/One', '/exact/one', '/Folded/One.asmx', '/FOLDED/one.ASMX'].map(doorOf)).toEqual([
    'exact',
    undefined,
    'folded',
    'folded',
  ]);
  const ownerOf = (path: string) => findOwner(table, path).name;
  expect(['/Exact/x', '/exact/x', '/fOLDED/x', '/other'].map(ownerOf)).toEqual([
    'exact',
    'fallback',
    'folded',
    'fallback',
  ]);
});
