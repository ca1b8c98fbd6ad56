/** `npm run bench`: see `options.ts` for the command line, `README.md` for how to read what comes out. */
import { endPrograms } from '../tests/support/program.ts';
import { writeFlood } from './flood.ts';
import { writeHeld } from './held.ts';
import { help, readOptions, UsageError } from './options.ts';
import { type Outcome, runBench } from './run.ts';
import { writeComparisons, writeTable } from './table.ts';

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args, Bun.which('wrk') !== null);
  if (options === null) {
    process.stdout.write(help);
    return 0;
  }
  const outcome = await runBench(options, (line) => process.stderr.write(`${line}\n`));
  process.stdout.write(options.json ? `${JSON.stringify(outcome, null, 2)}\n` : writePage(outcome, args));
  const isClean = outcome.rows.every(({ faults }) => faults.length === 0) && (outcome.flood?.faults ?? 0) === 0;
  return isClean ? 0 : 1;
}

function writePage(outcome: Outcome, args: readonly string[]): string {
  const { date, machine, loadBefore, versions, options, pinned, readyMs, rows, flood, held, omitted } = outcome;
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const pins = pinned ? 'server on one core, load on another' : 'not pinned to cores';
  const stored = `${options.sessions.toLocaleString('en')} stored sessions`;
  return [
    `- ${date} UTC, ${machine}, load ${loadBefore.toFixed(1)} before the run, ${pins}`,
    `- ${names.join(', ')}`,
    `- ${stored}, ${options.store}; Cardea answered ${readyMs} ms after its start`,
    `- \`npm run bench${args.length === 0 ? '' : ` -- ${args.join(' ')}`}\`: medians of ${options.rounds} rounds of ${options.seconds} s`,
    ...omitted.map((line) => `- left out: ${line}`),
    '',
    writeTable(rows),
    '',
    ...writeComparisons(rows),
    ...(flood === null ? [] : [writeFlood(flood)]),
    ...(held === null ? [] : [writeHeld(held)]),
  ].join('\n');
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void endPrograms().then(() => process.exit(130)));
}
try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  await endPrograms();
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
