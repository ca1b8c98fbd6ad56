import { dirname, join } from 'node:path/posix';

/** `to` is a path of the project (`src/core/index.ts`), a package, or `Bun.serve` for the runtime's own server. */
type Import = { readonly to: string; readonly isType: boolean };
export type SourceFile = { readonly path: string; readonly imports: readonly Import[] };

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
    case 'soon.ts':
      return [];
    case 'store':
      return ['src/soon.ts', 'src/store/'];
    case 'http':
      return ['src/soon.ts', 'src/http/'];
    case 'core':
      return ['src/soon.ts', 'src/core/', 'src/store/'];
    case 'doors':
      return ['src/soon.ts', 'src/core/index.ts', 'src/http/', `src/doors/${place}/`];
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
  'soon.ts',
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
export function violations(files: readonly SourceFile[]): string[] {
  return [...files.flatMap(wrongImports), ...files.flatMap(vagueName), ...cycles(files)];
}

function wrongImports({ path, imports }: SourceFile): string[] {
  const allowed = allowedFor(path);
  if (allowed === undefined) return [`${path} lies in no room of the house`];
  return imports
    .filter((one) => (isOurs(one.to) ? !isAllowed(path, one, allowed) : isForeignForbidden(path, one.to)))
    .map((one) => `${path} may not import ${one.to}`);
}

export function isOurs(target: string): boolean {
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
export function importsOf(path: string, text: string): Import[] {
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

/** Folder of the project. */
export const root = join(import.meta.dir, '../..');

/** The product's own sources, without their tests. */
export async function sourceFiles(): Promise<{ path: string; text: string }[]> {
  const paths = [...new Bun.Glob('src/**/*.{ts,tsx}').scanSync({ cwd: root })].sort();
  const own = paths.filter((path) => !/\.test\.tsx?$/.test(path));
  return Promise.all(own.map(async (path) => ({ path, text: await Bun.file(join(root, path)).text() })));
}
