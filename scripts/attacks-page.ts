import { type AttackDoor, attackDoors, type AttackEntry, attackEntries } from '../tests/attacks/entries.ts';

const root = new URL('..', import.meta.url).pathname;
/** Files of the tests that ask every door alike. */
const atEveryDoor = /^tests\/(attacks\/|parity-|door-faults)/;
/** Tables of inputs whose names stand in the tests that import them. */
const tableImport = /from '([./]*tests\/support|\.\.\/support|\.\/support)\/(forged-tokens|bad-json)\.ts'/g;
const idPattern = /\b([JKLSBHXDIP])(\d\d)(?:[–-]\1?(\d\d))?\b/g;

/** For each id the test files that name it, in order of the alphabet. */
export async function findHolders(): Promise<ReadonlyMap<string, readonly string[]>> {
  const holders = new Map<string, Set<string>>();
  for (const file of await listTests()) {
    const text = await Bun.file(root + file).text();
    const tables = [...text.matchAll(tableImport)].map(([, , name]) =>
      Bun.file(`${root}tests/support/${name}.ts`).text(),
    );
    for (const id of namedIds([text, ...(await Promise.all(tables))].join('\n'))) {
      holders.set(id, (holders.get(id) ?? new Set()).add(file));
    }
  }
  return new Map([...holders].map(([id, files]) => [id, [...files].sort()]));
}

async function listTests(): Promise<string[]> {
  const found: string[] = [];
  for (const pattern of ['src/**/*.test.ts', 'tests/**/*.test.ts']) {
    for await (const file of new Bun.Glob(pattern).scan({ cwd: root })) found.push(file);
  }
  return found.filter((file) => !/node_modules|attacks\/coverage/.test(file)).sort();
}

/** Ids in texts between quotes; a comment holds nothing. A range such as H01–H06 names all that is between. */
function namedIds(text: string): Set<string> {
  const ids = new Set<string>();
  const lines = text.split('\n').filter((line) => /['`"]/.test(line) && !/^\s*(\/\/|\/\*|\*)/.test(line));
  for (const [, group = '', first = '', last = first] of lines.join('\n').matchAll(idPattern)) {
    for (let number = Number(first); number <= Number(last); number += 1)
      ids.add(group + String(number).padStart(2, '0'));
  }
  return ids;
}

/** The doors, or the server, at which no test names an entry though it applies there. */
export function gapsOf([, , where]: AttackEntry, files: readonly string[]): readonly (AttackDoor | 'server')[] {
  if (where === 'elsewhere') return [];
  if (where === 'server') return files.length > 0 ? [] : ['server'];
  return where.filter((door) => !files.some((file) => atEveryDoor.test(file) || file.startsWith(`src/doors/${door}/`)));
}

/** The page as it must be, in Markdown. */
export async function attacksPage(): Promise<string> {
  const holders = await findHolders();
  const rows = attackEntries.map(([id, input, where]) => {
    const at =
      typeof where === 'string' ? where : where.length === attackDoors.length ? 'every door' : where.join(', ');
    const files = (holders.get(id) ?? []).map((file) => `\`${file.replace(/\.test\.ts$/, '')}\``);
    return `| ${id} | ${input} | ${at} | ${files.join(' ') || '–'} |`;
  });
  return [
    '# Bad inputs and the tests that hold their answers',
    '',
    'Generated from `tests/attacks/entries.ts` and the names of the tests by `npm run docs`; do not edit. A test that names an id holds',
    'the answer to that input; files are named without `.test.ts`. `tests/attacks/` asks every door alike.',
    '',
    '| Id | Input | Applies at | Tests |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
