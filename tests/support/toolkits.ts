import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/** What a program said; `code` is its exit code. */
type Said = { readonly code: number; readonly stdout: string; readonly stderr: string };

type JavaTools = { readonly wsimport: string; readonly javac: string; readonly java: string; readonly library: string };

const folder = join(import.meta.dir, '..', 'clients');

/** SOAP toolkits of other languages, and what to install where one is missing. A machine without it skips its tests by name. */
export const toolkits = {
  zeep: { found: pythonWithZeep(), needs: 'python3 with zeep (Debian: python3-zeep)' },
  jaxws: { found: javaTools(), needs: 'wsimport and a JDK (Debian: jaxws, default-jdk-headless)' },
} as const;

/** Runs `zeep_session.py` against a service description. */
export function runZeep(wsdl: string, ...credentials: readonly string[]): Promise<Said> {
  return run(folder, [toolkits.zeep.found ?? '', join(folder, 'zeep_session.py'), wsdl, ...credentials]);
}

/** Client classes that wsimport made, in a folder of their own. */
export type JavaClient = {
  /** What wsimport printed. */
  readonly said: Said;
  /** A generated source text, by its path below the folder. */
  source(path: string): Promise<string>;
  /** Compiles `JaxwsSession.java` against the classes and runs it. */
  run(...credentials: readonly string[]): Promise<Said>;
  remove(): void;
};

/** Has wsimport make client classes from a service description, without any option that changes what it makes. */
export async function importWsdl(wsdl: string): Promise<JavaClient> {
  const { wsimport, javac, java, library } = toolkits.jaxws.found as JavaTools;
  const home = mkdtempSync(join(tmpdir(), 'cardea-jaxws-'));
  const said = await run(home, [wsimport, '-keep', '-s', home, '-d', home, wsdl]);
  const classPath = [home, library].join(delimiter);
  return {
    said,
    source: (path) => Bun.file(join(home, path)).text(),
    async run(...credentials) {
      const compiled = await run(home, [javac, '-cp', classPath, '-d', home, join(folder, 'JaxwsSession.java')]);
      return compiled.code === 0 ? run(home, [java, '-cp', classPath, 'JaxwsSession', ...credentials]) : compiled;
    },
    remove: () => rmSync(home, { recursive: true, force: true }),
  };
}

/** Nothing of the caller's environment but the search path: proxies of a developer stay out. */
async function run(home: string, command: string[]): Promise<Said> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, PYTHONDONTWRITEBYTECODE: '1' };
  const child = Bun.spawn(command, { cwd: home, env, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}

/** Any interpreter of the search path that has the library: a distribution's package serves only the distribution's own. */
function pythonWithZeep(): string | null {
  for (const place of (process.env['PATH'] ?? '').split(delimiter)) {
    const python = Bun.which('python3', { PATH: place });
    const asked = python === null ? null : Bun.spawnSync([python, '-c', 'import zeep, sys; print(sys.executable)']);
    if (asked?.success === true) return asked.stdout.toString().trim();
  }
  return null;
}

/** The runtime library lies beside the command, in the layout of the reference implementation. */
function javaTools(): JavaTools | null {
  const [wsimport, javac, java] = [Bun.which('wsimport'), Bun.which('javac'), Bun.which('java')];
  if (wsimport === null || javac === null || java === null) return null;
  const library = join(dirname(dirname(realpathSync(wsimport))), 'lib', 'jaxws-tools.jar');
  return { wsimport, javac, java, library };
}
