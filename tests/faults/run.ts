/**
 * `npm run test:faults`: plays the fault plan and closes with a table. Options: `--only F01,F14`, `--quick`, `--seed N`,
 * `--repeat N` for faults that happen again and again, `--guards-off` to see every one fail, `--list`.
 */
import { parseArgs } from 'node:util';
import { endPrograms } from '../support/program.ts';
import { type Fault, playFault, type SceneOptions } from './fault.ts';
import { freshSeed } from './history/random.ts';
import { faults } from './list.ts';

type Row = {
  readonly fault: Fault;
  readonly verdict: 'passed' | 'FAILED' | 'skipped' | 'could not be played' | 'seen to fail' | 'DID NOT FAIL';
  readonly seconds: number;
  readonly notes: readonly string[];
};

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    seed: { type: 'string' },
    repeat: { type: 'string' },
    'guards-off': { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});

async function main(): Promise<number> {
  const wanted = values.only?.split(',').map((id) => id.trim().toUpperCase());
  const unknown = wanted?.find((id) => !faults.some((fault) => fault.id === id));
  if (unknown !== undefined) throw new Error(`there is no fault ${unknown}; --list shows them`);
  const chosen = faults.filter((fault) => wanted === undefined || wanted.includes(fault.id));
  if (values.list) return list(chosen);
  const seed = values.seed === undefined ? freshSeed() : Number(values.seed);
  say(`seed ${seed}; --seed ${seed} makes the same choices again`);
  const rows: Row[] = [];
  for (const fault of chosen) {
    const row = await play(fault, seed);
    say(`${fault.id} ${row.verdict} in ${row.seconds.toFixed(0)} s: ${shorten(row.notes)}`);
    rows.push(row);
  }
  say(`\n${table(rows)}`);
  return rows.every(({ verdict }) => ['passed', 'skipped', 'seen to fail'].includes(verdict)) ? 0 : 1;
}

function list(chosen: readonly Fault[]): number {
  for (const { id, title, missing } of chosen) {
    const need = missing?.();
    say(`${id} ${title}${need === undefined ? '' : ` (here: needs ${need})`}`);
  }
  return 0;
}

async function play(fault: Fault, seed: number): Promise<Row> {
  const startMs = performance.now();
  const end = (verdict: Row['verdict'], notes: readonly string[]): Row => ({
    fault,
    verdict,
    seconds: (performance.now() - startMs) / 1000,
    notes,
  });
  const need = fault.missing?.();
  if (need !== undefined) return end('skipped', [`needs ${need}`]);
  const guardOff = values['guards-off'];
  say(`${fault.id} ${fault.title}${guardOff ? `, without: ${guardOf(fault)}` : ''}`);
  const options: SceneOptions = {
    quick: values.quick,
    seed,
    repeats: values.repeat === undefined ? undefined : Number(values.repeat),
    guardOff,
    progress: (sentence) => say(`    ${sentence}`),
  };
  try {
    const { failures, figures } = await playFault(fault, options);
    if (guardOff) {
      return failures.length > 0 ? end('seen to fail', [...new Set(failures)]) : end('DID NOT FAIL', figures);
    }
    return failures.length === 0 ? end('passed', figures) : end('FAILED', [...failures, ...figures]);
  } catch (error) {
    return end('could not be played', [error instanceof Error ? (error.stack ?? error.message) : String(error)]);
  } finally {
    await endPrograms();
  }
}

function guardOf({ guard }: Fault): string {
  return typeof guard === 'string' ? guard : guard.words;
}

function table(rows: readonly Row[]): string {
  const heading = values['guards-off'] ? ['Without', 'How it failed'] : ['Guard', 'Figures'];
  const lines = rows.map(({ fault, verdict, seconds, notes }) => {
    const cells = [fault.id, fault.title, guardOf(fault), verdict, `${seconds.toFixed(0)} s`, shorten(notes)];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    `| Id | Fault | ${heading[0]} | Verdict | Time | ${heading[1]} |`,
    '|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

function shorten(notes: readonly string[]): string {
  const shown = notes.length > 12 ? [...notes.slice(0, 8), `… ${notes.length - 12} more`, ...notes.slice(-4)] : notes;
  return shown.join('; ').replaceAll('\n', ' ').replaceAll('|', '\\|');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exit(await main());
