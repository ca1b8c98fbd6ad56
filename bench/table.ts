import type { Run } from './measure.ts';
import { medianOf, type Result } from './rounds.ts';

/** One line of the table; figures are medians of the runs that count. */
export type Row = {
  readonly name: string;
  readonly title: string;
  readonly kind: 'cardea' | 'neighbour' | 'peer';
  /** Null when every run was void. */
  readonly figures: Run | null;
  /** CPU per request as a multiple of nginx with the same body; null where there is none to compare with. */
  readonly timesNginx: number | null;
  /** Requests per second as a multiple of the fastest peer's. */
  readonly timesPeer: number | null;
  /** Why runs were void, each reason once. */
  readonly faults: readonly string[];
};

/** The rows of a run, with their ratios. */
export function makeRows(results: readonly Result[]): Row[] {
  const medians = new Map(results.map((result) => [result.target.name, medianOf(result)]));
  const fastest = Math.max(
    0,
    ...results
      .filter(({ target }) => target.kind === 'peer')
      .map(({ target }) => medians.get(target.name)?.perSecond ?? 0),
  );
  return results.map(({ target, runs }) => {
    const figures = medians.get(target.name) ?? null;
    const nginx = medians.get(target.neighbour ?? (target.kind === 'neighbour' ? '' : 'nginx-rest'));
    return {
      name: target.name,
      title: target.title,
      kind: target.kind,
      figures,
      timesNginx: figures === null || nginx == null ? null : figures.cpuMicros / nginx.cpuMicros,
      timesPeer: figures === null || fastest === 0 ? null : figures.perSecond / fastest,
      faults: [...new Set(runs.map(({ fault }) => fault).filter((fault) => fault !== ''))],
    };
  });
}

const heads = [
  'Server and call',
  'CPU µs/request',
  '× nginx',
  'requests/s',
  '× fastest peer',
  'p50 ms',
  'p99 ms',
  'MB resident',
  'behind it: CPU µs, MB',
  'errors',
];

/** The Markdown table, one row per target. */
export function writeTable(rows: readonly Row[]): string {
  const lines = rows.map(({ title, kind, figures, timesNginx, timesPeer, faults }) => {
    const errors = faults.length === 0 ? '0' : faults.join('; ');
    const name = kind === 'cardea' ? `**Cardea** ${title}` : title;
    if (figures === null) return [name, ...Array.from({ length: heads.length - 2 }, () => 'void'), errors];
    const behind =
      figures.behindBytes === 0 ? '' : `${figures.behindMicros.toFixed(1)}, ${megabytes(figures.behindBytes)}`;
    return [
      name,
      figures.cpuMicros.toFixed(1),
      ratio(timesNginx),
      Math.round(figures.perSecond).toLocaleString('en'),
      ratio(timesPeer),
      figures.p50Ms.toFixed(2),
      figures.p99Ms.toFixed(2),
      megabytes(figures.residentBytes),
      behind,
      errors,
    ];
  });
  const rule = heads.map((_, index) => (index === 0 || index === heads.length - 1 ? '---' : '---:'));
  return [heads, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** The comparisons that the columns do not hold, one sentence each, as far as their rows were measured. */
export function writeComparisons(rows: readonly Row[]): string[] {
  const sentences: string[] = [];
  const compare = (first: string, second: string, tell: (a: Run, b: Run) => string) => {
    const [a, b] = [first, second].map((name) => rows.find((row) => row.name === name)?.figures);
    if (a != null && b != null) sentences.push(`- ${tell(a, b)}`);
  };
  const timesCpu = (a: Run, b: Run) => (a.cpuMicros / b.cpuMicros).toFixed(2);
  compare('rest-unknown', 'rest-key', (a, b) => `An unknown key costs ${timesCpu(a, b)} × the CPU of a good one.`);
  compare('rest-revoked', 'rest-bearer', (a, b) => `A revoked bearer costs ${timesCpu(a, b)} × the CPU of a good one.`);
  compare(
    'soap',
    'node-soap',
    (a, b) => `SOAP: ${(a.perSecond / b.perSecond).toFixed(2)} × the requests/s of node-soap.`,
  );
  compare('rest-cold', 'rest-bearer', (cold, warm) => {
    const own = (cold.cpuMicros - warm.cpuMicros).toFixed(1);
    const behind = (cold.behindMicros - warm.behindMicros).toFixed(1);
    const p99 = `p99 ${cold.p99Ms.toFixed(2)} ms instead of ${warm.p99Ms.toFixed(2)} ms`;
    return `A cold check costs ${own} µs CPU more than a warm one (and ${behind} µs more behind the server); ${p99}.`;
  });
  return sentences.length === 0 ? [] : [...sentences, ''];
}

function ratio(value: number | null): string {
  return value === null ? '' : value.toFixed(2);
}

function megabytes(bytes: number): string {
  return Math.round(bytes / 1_000_000).toString();
}
