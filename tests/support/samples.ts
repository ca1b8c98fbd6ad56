import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type SampleOperation = 'session' | 'login';
export type SampleLanguage = 'curl' | 'node' | 'python' | 'java';

/** What a program said; `code` is its exit code. */
export type Said = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type SampleRun = {
  /** Takes the place of the published address. */
  readonly url: string;
  readonly apiKey: string;
  /** Java statements that follow the sample's own. */
  readonly after?: string;
  /** Text of a `.netrc` file in the program's home. */
  readonly netrc?: string;
};

const publishedUrl = 'https://rest.ecgrid.io';
const folder = join(import.meta.dir, '..', 'clients', 'samples');

/** What runs each language, and what to install where it is missing. A machine without it skips its tests by name. */
export const runtimes: Readonly<Record<SampleLanguage, { readonly command: string | null; readonly needs: string }>> = {
  curl: { command: Bun.which('curl'), needs: 'curl' },
  // Both run the published text; the one a machine has for its `npm` is the one the text was written for.
  node: { command: Bun.which('node') ?? process.execPath, needs: 'node or bun' },
  python: { command: pythonWithRequests(), needs: 'python3 with requests (Debian: python3-requests)' },
  java: { command: jdk(), needs: 'a JDK from 11 on (Debian: default-jdk-headless)' },
};

/** Runs a published sample unchanged but for the address; the credential comes from the variable that the text names. */
export async function runSample(
  language: SampleLanguage,
  operation: SampleOperation,
  options: SampleRun,
): Promise<Said> {
  const published = await Bun.file(join(folder, `${operation}.${language}.txt`)).text();
  if (published.split(publishedUrl).length !== 2) throw new Error('The sample must name the published address once.');
  const text = published.replace(publishedUrl, () => options.url);
  return runProgram(language, `${preambles[`${operation}.${language}`] ?? ''}${text}`, options);
}

/** Runs a program text of one of the languages in a home of its own; Java statements are put into a class. */
export async function runProgram(
  language: SampleLanguage,
  text: string,
  options: Omit<SampleRun, 'url'>,
): Promise<Said> {
  const home = mkdtempSync(join(tmpdir(), 'cardea-sample-'));
  try {
    if (options.netrc !== undefined) await Bun.write(join(home, '.netrc'), options.netrc);
    const file = join(home, fileNames[language]);
    await Bun.write(file, language === 'java' ? toJavaFile(text, options.after ?? '') : text);
    return await run(
      language === 'curl' ? ['sh', file] : [runtimes[language].command ?? '', file],
      home,
      options.apiKey,
    );
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** As published this one sample ends in a `NameError`: it writes JSON's `true` where Python has `True`. */
const preambles: Readonly<Record<string, string>> = { 'session.python': 'true = True\n' };

// `.mjs`, since the sample awaits at the top.
const fileNames = { curl: 'sample.sh', node: 'sample.mjs', python: 'sample.py', java: 'Sample.java' } as const;

function toJavaFile(statements: string, after: string): string {
  const lines = statements.split('\n');
  const isImport = (line: string): boolean => line.startsWith('import ');
  return [
    ...lines.filter(isImport),
    'public class Sample {',
    'public static void main(String[] args) throws Exception {',
    ...lines.filter((line) => !isImport(line)),
    after,
    '}}',
  ].join('\n');
}

/** Nothing of the caller's environment but the search path: proxies and `.netrc` files of a developer stay out. */
async function run(command: string[], home: string, apiKey: string): Promise<Said> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, ECGRID_API_KEY: apiKey };
  const child = Bun.spawn(command, { cwd: home, env, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}

/** The interpreter itself: a version manager's stand-in would look for its versions in the home. */
function pythonWithRequests(): string | null {
  const said = ask('python3', '-c', 'import requests, sys; print(sys.executable)');
  return said === null || said === '' ? null : said;
}

/** `java` runs a source file only where the compiler is, and has the client from version 11 on. */
function jdk(): string | null {
  const version = ask('javac', '-version');
  const major = Number(/^javac (\d+)/.exec(version ?? '')?.[1] ?? 0);
  return major >= 11 ? Bun.which('java') : null;
}

function ask(...command: string[]): string | null {
  if (Bun.which(command[0] ?? '') === null) return null;
  const { success, stdout } = Bun.spawnSync(command, { stderr: 'ignore' });
  return success ? stdout.toString().trim() : null;
}
