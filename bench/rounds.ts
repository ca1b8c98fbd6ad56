import { type LoadOptions, measure, prepareLoad, type Run, warmUp } from './measure.ts';
import type { Target } from './target.ts';

/** A target with its runs, one per round. */
export type Result = { readonly target: Target; readonly runs: readonly Run[] };

export type Course = {
  readonly rounds: number;
  readonly seconds: number;
  readonly load: LoadOptions;
  readonly report: (line: string) => void;
};

/** Measures all targets in turn, as often as there are rounds: what disturbs the machine for a while disturbs them all. */
export async function runRounds(targets: readonly Target[], course: Course): Promise<Result[]> {
  const { rounds, seconds, load, report } = course;
  const results = targets.map((target) => ({ target, runs: [] as Run[] }));
  for (const target of targets) await prepareLoad(load, target);
  for (let round = 1; round <= rounds; round++) {
    for (const [index, { target, runs }] of results.entries()) {
      // The first round also lets the compilers of the runtimes do their work.
      await warmUp(load, target, round === 1 ? Math.min(3, seconds) : 1);
      const run = await measure(load, target, seconds);
      runs.push(run);
      report(`round ${round}/${rounds}  ${index + 1}/${results.length}  ${target.title}: ${describeRun(run)}`);
    }
  }
  return results;
}

function describeRun({ perSecond, cpuMicros, p99Ms, fault }: Run): string {
  const figures = `${Math.round(perSecond)}/s, ${cpuMicros.toFixed(1)} µs CPU, p99 ${p99Ms.toFixed(2)} ms`;
  return fault === '' ? figures : `${figures}  VOID: ${fault}`;
}

/** The median of the runs that count, each figure by itself; null when none counts. */
export function medianOf({ runs }: Result): Run | null {
  const good = runs.filter(({ fault }) => fault === '');
  const [first] = good;
  if (first === undefined) return null;
  const median = (read: (run: Run) => number): number => {
    const sorted = good.map(read).sort((a, b) => a - b);
    const middle = Math.floor(sorted.length / 2);
    const upper = sorted[middle] ?? 0;
    return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
  };
  return {
    perSecond: median((run) => run.perSecond),
    p50Ms: median((run) => run.p50Ms),
    p99Ms: median((run) => run.p99Ms),
    cpuMicros: median((run) => run.cpuMicros),
    behindMicros: median((run) => run.behindMicros),
    residentBytes: median((run) => run.residentBytes),
    behindBytes: median((run) => run.behindBytes),
    requests: median((run) => run.requests),
    fault: '',
  };
}
