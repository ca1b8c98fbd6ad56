import { describe, expect, test } from 'bun:test';
import { dirname, join } from 'node:path/posix';

/** `to` is a path of the project (`src/core/index.ts`), a package, or `Bun.serve` for the runtime's own server. */
type Import = { readonly to: string; readonly isType: boolean };
type SourceFile = { readonly path: string; readonly imports: readonly Import[] };

/** Below this number the scan has gone wrong: a check that reads nothing must not pass. */
const minFiles = 25;

const vagueNames = ['utils', 'util', 'helpers', 'helper', 'common', 'misc', 'shared'];

/** What each room may import of ours, as beginnings of paths; a room that is not named here does not exist. */
function allowedFor(path: string): readonly string[] | undefined {
  const [room = '', place = ''] = path.slice('src/'.length).split('/');
  switch (room) {
    case 'main.ts':
    case 'cli':
      return allBut('src/doors/', 'src/main.ts');
    case 'app.ts':
      return allBut('src/main.ts', 'src/cli/');
    case 'config.ts':
    case 'log.ts':
    case 'option.ts':
      return ['src/option.ts'];
    case 'certificate.ts':
      return ['src/config.ts'];
    case 'open-core.ts':
      return allBut('src/main.ts', 'src/cli/', 'src/app.ts', 'src/doors/', 'src/http/');
    case 'data-directory.ts':
      return ['src/core/index.ts'];
    case 'readiness.ts':
      return ['src/store/'];
    case 'store':
      return ['src/store/'];
    case 'http':
      return ['src/http/'];
    case 'core':
      return ['src/core/', 'src/store/'];
    case 'doors':
      return ['src/core/index.ts', 'src/http/', `src/doors/${place}/`];
    case 'console':
      return ['src/console/'];
    default:
      return undefined;
  }
}

const everything = [
  'main.ts',
  'app.ts',
  'open-core.ts',
  'certificate.ts',
  'cli/',
  'config.ts',
  'log.ts',
  'data-directory.ts',
  'readiness.ts',
  'doors/',
  'core/',
  'store/',
  'http/',
  'console/',
];

function allBut(...closed: string[]): string[] {
  return everything.map((room) => `src/${room}`).filter((room) => !closed.includes(room));
}

/** What the house rules forbid, one sentence each; nothing means that the files may stand as they are. */
function violations(files: readonly SourceFile[]): string[] {
  return [...files.flatMap(wrongImports), ...files.flatMap(vagueName), ...cycles(files)];
}

function wrongImports({ path, imports }: SourceFile): string[] {
  const allowed = allowedFor(path);
  if (allowed === undefined) return [`${path} lies in no room of the house`];
  return imports
    .filter((one) => (isOurs(one.to) ? !isAllowed(path, one, allowed) : isForeignForbidden(path, one.to)))
    .map((one) => `${path} may not import ${one.to}`);
}

function isOurs(target: string): boolean {
  return target.startsWith('src/') || target.startsWith('tests/') || target.startsWith('scripts/');
}

function isAllowed(path: string, { to, isType }: Import, allowed: readonly string[]): boolean {
  if (path.startsWith('src/console/') && isType && to.startsWith('src/doors/admin/')) return true;
  return allowed.some((beginning) => (beginning.endsWith('/') ? to.startsWith(beginning) : to === beginning));
}

/** The core knows neither a validation library nor a command line nor XML; only `http` and `app` open a server. */
function isForeignForbidden(path: string, target: string): boolean {
  if (target === 'Bun.serve') return !path.startsWith('src/http/') && path !== 'src/app.ts';
  const name = target.startsWith('@') ? target.split('/').slice(0, 2).join('/') : target.split('/')[0];
  const isCore = path.startsWith('src/core/') || path.startsWith('src/store/');
  return isCore && ['zod', 'commander', 'saxes', 'node:http', 'node:https', 'node:http2'].includes(name ?? '');
}

function vagueName({ path }: SourceFile): string[] {
  const isVague = path.split('/').some((part) => vagueNames.includes(part.replace(/\..*$/, '').toLowerCase()));
  return isVague ? [`${path} has a name that says nothing`] : [];
}

/** Circles of value imports, each named once, from its alphabetically first file on. */
function cycles(files: readonly SourceFile[]): string[] {
  const targets = new Map(files.map(({ path, imports }) => [path, imports.filter((one) => !one.isType)]));
  const found = new Set<string>();
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.add(nameCycle(trail.slice(start)));
    if (start >= 0 || done.has(path)) return;
    for (const { to } of targets.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const { path } of files) visit(path, []);
  return [...found];
}

function nameCycle(circle: readonly string[]): string {
  const first = circle.indexOf([...circle].sort()[0] ?? '');
  return `import cycle: ${[...circle.slice(first), ...circle.slice(0, first), circle[first]].join(' → ')}`;
}

/** The imports of a source text. Bun's scan leaves types out, so the text is searched as well. */
function importsOf(path: string, text: string): Import[] {
  const transpiler = new Bun.Transpiler({ loader: path.endsWith('x') ? 'tsx' : 'ts' });
  const values = new Set(transpiler.scanImports(text).map((one) => one.path));
  const all = new Set([...values, ...specifiers(text)]);
  const imports = [...all].map((one) => ({ to: resolve(path, one), isType: !values.has(one) }));
  return /\bBun\s*\.\s*serve\b/.test(text) ? [...imports, { to: 'Bun.serve', isType: false }] : imports;
}

/** What follows `from`, a bare `import`, or the brackets of `import(…)`; comments never start a line with these words. */
function specifiers(text: string): string[] {
  const statements = text.matchAll(/^[ \t]*(?:import|export)\b[^;'"`]*?\bfrom\s*(['"])(.*?)\1/gm);
  const effects = text.matchAll(/^[ \t]*import\s*(['"])(.*?)\1/gm);
  const calls = text.matchAll(/\bimport\s*\(\s*(['"`])(.*?)\1/g);
  return [...statements, ...effects, ...calls].map((match) => match[2] ?? '');
}

function resolve(from: string, specifier: string): string {
  return specifier.startsWith('.') ? join(dirname(from), specifier) : specifier;
}

const root = join(import.meta.dir, '..');

async function sourceFiles(): Promise<{ path: string; text: string }[]> {
  const paths = [...new Bun.Glob('src/**/*.{ts,tsx}').scanSync({ cwd: root })].sort();
  const own = paths.filter((path) => !/\.test\.tsx?$/.test(path));
  return Promise.all(own.map(async (path) => ({ path, text: await Bun.file(join(root, path)).text() })));
}

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
