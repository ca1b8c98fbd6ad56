/** `npm run check`: every check in turn, each with its heading and time; `--no-tests` leaves the tests out. */

export {};

type Step = { readonly title: string; readonly command: readonly string[] };

const bun = [process.execPath, '--no-env-file', '--config=/dev/null', '--no-install'];

/** The tools are Node scripts; our own runtime runs them too, so that a machine with only Bun can check. */
const tool = (name: string, ...args: string[]): string[] => [...bun, '--bun', `node_modules/.bin/${name}`, ...args];

const steps: readonly Step[] = [
  { title: 'format', command: tool('biome', 'ci', '--colors=off', '.') },
  { title: 'lint', command: tool('oxlint', '--type-aware', '--deny-warnings', 'src', 'tests', 'scripts', 'bench') },
  { title: 'types', command: tool('tsc', '--noEmit', '-p', '.') },
  { title: 'dead code', command: tool('knip', '--no-progress') },
  { title: 'import rules', command: [...bun, 'test', './tests/architecture.test.ts'] },
  { title: 'generated documents', command: [...bun, 'scripts/docs.ts', '--check'] },
  { title: 'tests', command: [...bun, 'scripts/test.ts'] },
];

async function main(): Promise<number> {
  const withTests = !process.argv.includes('--no-tests');
  const failed: string[] = [];
  for (const step of steps.filter(({ title }) => withTests || title !== 'tests')) {
    if (!(await passes(step))) failed.push(step.title);
  }
  say(failed.length === 0 ? '\nAll checks passed.' : `\nFailed: ${failed.join(', ')}.`);
  return failed.length === 0 ? 0 : 1;
}

async function passes({ title, command }: Step): Promise<boolean> {
  say(`\n== ${title}`);
  const start = performance.now();
  const code = await Bun.spawn([...command], { stdio: ['ignore', 'inherit', 'inherit'] }).exited;
  say(`== ${title}: ${code === 0 ? 'ok' : 'FAILED'} in ${((performance.now() - start) / 1_000).toFixed(1)} s`);
  return code === 0;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exit(await main());
