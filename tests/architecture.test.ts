import { describe, expect, test } from 'bun:test';
import { join } from 'node:path/posix';
import { importsOf, isOurs, root, type SourceFile, sourceFiles, violations } from './support/import-rules.ts';

/** Below this number the scan has gone wrong: a check that reads nothing must not pass. */
const minFiles = 25;

describe('the house', () => {
  test('keeps its import rules', async () => {
    const files = await sourceFiles();
    expect(files.length).toBeGreaterThanOrEqual(minFiles);
    expect(violations(files.map(({ path, text }) => ({ path, imports: importsOf(path, text) })))).toEqual([]);
  });

  test('never hands an async function to a synchronous transaction, which would commit at its first await', async () => {
    const files = await sourceFiles();
    const broken = files.filter(({ text }) => /\.transaction\(\s*async\b/.test(text));
    expect(broken.map(({ path }) => path)).toEqual([]);
  });

  test('has no import that leads nowhere', async () => {
    const files = await sourceFiles();
    const targets = files.flatMap(({ path, text }) => importsOf(path, text).map((one) => one.to));
    const lost = [...new Set(targets.filter(isOurs))].filter((target) => !Bun.file(join(root, target)).size);
    expect(lost).toEqual([]);
  });
});

/** A made-up house: `'src/a.ts': ['src/b.ts', 'type src/c.ts']`. */
function house(files: Record<string, readonly string[]>): SourceFile[] {
  return Object.entries(files).map(([path, targets]) => ({
    path,
    imports: targets.map((target) => ({ to: target.replace(/^type /, ''), isType: target.startsWith('type ') })),
  }));
}

describe('the import rules', () => {
  test('allow the house as it is planned', () => {
    const planned = house({
      'src/main.ts': ['src/cli/index.ts', 'src/app.ts', 'commander'],
      'src/cli/index.ts': [
        'src/app.ts',
        'src/config.ts',
        'src/log.ts',
        'src/core/index.ts',
        'src/store/open.ts',
        'commander',
      ],
      'src/app.ts': ['src/doors/ecgrid-rest/operations.ts', 'src/http/server.ts', 'src/core/index.ts', 'src/config.ts'],
      'src/config.ts': ['src/option.ts', 'node:fs'],
      'src/option.ts': ['node:net'],
      'src/log.ts': [],
      'src/doors/ecgrid-rest/operations.ts': ['src/doors/ecgrid-rest/wire.ts', 'src/core/index.ts', 'src/http/door.ts'],
      'src/doors/ecgrid-rest/wire.ts': ['type src/doors/ecgrid-rest/operations.ts', 'zod'],
      'src/core/index.ts': ['src/core/login.ts'],
      'src/core/login.ts': ['src/store/users.ts', 'type src/core/index.ts', '@zxcvbn-ts/language-common'],
      'src/store/users.ts': ['src/store/schema.ts', 'kysely', 'bun:sqlite'],
      'src/http/server.ts': ['Bun.serve', 'src/http/door.ts'],
      'src/console/page.tsx': ['src/console/table.tsx', 'type src/doors/admin/wire.ts', 'react'],
    });
    expect(violations(planned)).toEqual([]);
  });

  const broken: [rule: string, files: Record<string, readonly string[]>, violation: string][] = [
    [
      'store → core',
      { 'src/store/users.ts': ['src/core/errors.ts'] },
      'src/store/users.ts may not import src/core/errors.ts',
    ],
    [
      'store → core, as a type',
      { 'src/store/users.ts': ['type src/core/errors.ts'] },
      'src/store/users.ts may not import src/core/errors.ts',
    ],
    [
      'store → http',
      { 'src/store/users.ts': ['src/http/body.ts'] },
      'src/store/users.ts may not import src/http/body.ts',
    ],
    ['store → config', { 'src/store/open.ts': ['src/config.ts'] }, 'src/store/open.ts may not import src/config.ts'],
    [
      'store → tests',
      { 'src/store/open.ts': ['tests/support/postgres.ts'] },
      'src/store/open.ts may not import tests/support/postgres.ts',
    ],
    [
      'http → core',
      { 'src/http/server.ts': ['src/core/index.ts'] },
      'src/http/server.ts may not import src/core/index.ts',
    ],
    [
      'http → store',
      { 'src/http/server.ts': ['src/store/users.ts'] },
      'src/http/server.ts may not import src/store/users.ts',
    ],
    [
      'core → http',
      { 'src/core/login.ts': ['type src/http/caller.ts'] },
      'src/core/login.ts may not import src/http/caller.ts',
    ],
    [
      'core → door',
      { 'src/core/login.ts': ['src/doors/ops/operations.ts'] },
      'src/core/login.ts may not import src/doors/ops/operations.ts',
    ],
    ['core → cli', { 'src/core/login.ts': ['src/cli/serve.ts'] }, 'src/core/login.ts may not import src/cli/serve.ts'],
    ['core → log', { 'src/core/core.ts': ['type src/log.ts'] }, 'src/core/core.ts may not import src/log.ts'],
    ['core → validation library', { 'src/core/users.ts': ['zod'] }, 'src/core/users.ts may not import zod'],
    [
      'core → a part of the validation library',
      { 'src/core/users.ts': ['zod/mini'] },
      'src/core/users.ts may not import zod/mini',
    ],
    ['core → XML', { 'src/core/users.ts': ['saxes'] }, 'src/core/users.ts may not import saxes'],
    ['core → server', { 'src/core/core.ts': ['Bun.serve'] }, 'src/core/core.ts may not import Bun.serve'],
    [
      'door → server',
      { 'src/doors/ops/operations.ts': ['Bun.serve'] },
      'src/doors/ops/operations.ts may not import Bun.serve',
    ],
    [
      'door → other door',
      { 'src/doors/ops/operations.ts': ['src/doors/admin/wire.ts'] },
      'src/doors/ops/operations.ts may not import src/doors/admin/wire.ts',
    ],
    [
      'door → door of a longer name',
      { 'src/doors/ops/operations.ts': ['src/doors/ops-two/wire.ts'] },
      'src/doors/ops/operations.ts may not import src/doors/ops-two/wire.ts',
    ],
    [
      'door → store',
      { 'src/doors/ops/operations.ts': ['src/store/open.ts'] },
      'src/doors/ops/operations.ts may not import src/store/open.ts',
    ],
    [
      'door → inside of core',
      { 'src/doors/ops/operations.ts': ['type src/core/context.ts'] },
      'src/doors/ops/operations.ts may not import src/core/context.ts',
    ],
    [
      'door → config',
      { 'src/doors/ops/operations.ts': ['src/config.ts'] },
      'src/doors/ops/operations.ts may not import src/config.ts',
    ],
    [
      'cli → door',
      { 'src/cli/serve.ts': ['src/doors/ops/operations.ts'] },
      'src/cli/serve.ts may not import src/doors/ops/operations.ts',
    ],
    [
      'main → door',
      { 'src/main.ts': ['src/doors/ops/operations.ts'] },
      'src/main.ts may not import src/doors/ops/operations.ts',
    ],
    ['app → cli', { 'src/app.ts': ['src/cli/serve.ts'] }, 'src/app.ts may not import src/cli/serve.ts'],
    ['config → core', { 'src/config.ts': ['src/core/index.ts'] }, 'src/config.ts may not import src/core/index.ts'],
    [
      'console → admin, as a value',
      { 'src/console/page.tsx': ['src/doors/admin/wire.ts'] },
      'src/console/page.tsx may not import src/doors/admin/wire.ts',
    ],
    ['a room of its own', { 'src/lib/things.ts': [] }, 'src/lib/things.ts lies in no room of the house'],
    ['a vague file name', { 'src/core/utils.ts': [] }, 'src/core/utils.ts has a name that says nothing'],
    ['a vague folder name', { 'src/http/shared/body.ts': [] }, 'src/http/shared/body.ts has a name that says nothing'],
    [
      'a cycle',
      { 'src/core/c.ts': ['src/core/a.ts'], 'src/core/b.ts': ['src/core/c.ts'], 'src/core/a.ts': ['src/core/b.ts'] },
      'import cycle: src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts',
    ],
  ];
  for (const [rule, files, violation] of broken) {
    test(`see ${rule}`, () => {
      expect(violations(house(files))).toEqual([violation]);
    });
  }
});

describe('the scan', () => {
  test('finds every way to import, and knows types from values', () => {
    const text = [
      "import { a } from './a.ts';",
      "import type { B } from './b.ts';",
      "import {\n  type C,\n  type D,\n} from '../http/c.ts';",
      "export type { E } from './e.ts';",
      "export { f } from './f.ts';",
      "export * from './g.ts';",
      "import './h.ts';",
      "const i = import('./i.ts');",
      "type J = import('./j.ts').J;",
      "import * as k from 'zod';",
      "// import { no } from './comment.ts';",
      "/** import { no } from './comment.ts'; */",
      'export const z = [a, f, i, k, Bun.serve];',
    ].join('\n');
    const found = importsOf('src/core/x.ts', text);
    const targets = (isType: boolean) =>
      found
        .filter((one) => one.isType === isType)
        .map((one) => one.to)
        .sort();
    expect(targets(true)).toEqual(['src/core/b.ts', 'src/core/e.ts', 'src/core/j.ts', 'src/http/c.ts']);
    expect(targets(false)).toEqual([
      'Bun.serve',
      'src/core/a.ts',
      'src/core/f.ts',
      'src/core/g.ts',
      'src/core/h.ts',
      'src/core/i.ts',
      'zod',
    ]);
  });
});

test('every write of the core goes through `change`, which forgets what is in memory', async () => {
  const calling: string[] = [];
  for await (const path of new Bun.Glob('src/core/*.ts').scan()) {
    if (!path.endsWith('.test.ts') && /\btransact\(/.test(await Bun.file(path).text())) calling.push(path);
  }
  expect(calling).toEqual(['src/core/change.ts']);
});
