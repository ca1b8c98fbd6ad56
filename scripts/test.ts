/**
 * `npm test`: one PostgreSQL for the whole run, every test, and as the last line alone `N passed, N failed`.
 * Further arguments go to `bun test`: `npm test -- src/http`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, startCluster } from '../tests/support/postgres.ts';

type Counts = { readonly passed: number; readonly failed: number; readonly skipped: number };

const nothing: Counts = { passed: 0, failed: 0, skipped: 0 };
const stopping = new AbortController();

async function main(): Promise<number> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort());
  const folder = mkdtempSync(join(tmpdir(), 'cardea-test-'));
  // The PostgreSQL package ends the process by itself on a signal, past any `finally`.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  let cluster: Cluster | undefined;
  try {
    cluster = await startCluster();
    return await runTests(cluster.url, join(folder, 'junit.xml'));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return close({ ...nothing, failed: 1 }, 1);
  } finally {
    await cluster?.stop();
  }
}

/** Runs the tests in a child with this very runtime, whose output streams through; resolves to the exit code. */
async function runTests(postgresUrl: string, junit: string): Promise<number> {
  const flags = ['--no-env-file', '--config=/dev/null', '--no-install'];
  const report = ['--timeout', '30000', '--reporter=junit', `--reporter-outfile=${junit}`];
  const child = Bun.spawn([process.execPath, ...flags, 'test', ...report, ...process.argv.slice(2)], {
    env: { ...process.env, CARDEA_TEST_POSTGRES_URL: postgresUrl },
    stdio: ['inherit', 'inherit', 'inherit'],
    signal: stopping.signal,
  });
  const code = await child.exited;
  return close(await readCounts(junit), code);
}

async function readCounts(junit: string): Promise<Counts> {
  const file = Bun.file(junit);
  if (!(await file.exists())) return nothing;
  const root = /<testsuites[^>]*>/.exec(await file.text())?.[0] ?? '';
  const count = (name: string): number => Number(new RegExp(` ${name}="(\\d+)"`).exec(root)?.[1] ?? 0);
  const failed = count('failures') + count('errors');
  return { passed: count('tests') - failed - count('skipped'), failed, skipped: count('skipped') };
}

/** Keeps the closing line for the very end and settles the exit code: a run that ran nothing has not passed. */
function close(counts: Counts, code: number): number {
  // The report counts tests only; a file that cannot be loaded shows in the exit code alone.
  const isRed = code !== 0 || counts.passed + counts.failed === 0;
  const failed = isRed ? Math.max(counts.failed, 1) : counts.failed;
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  process.once('exit', () => process.stdout.write(`${counts.passed} passed, ${failed} failed${skipped}\n`));
  return failed > 0 ? 1 : 0;
}

process.exit(await main());
