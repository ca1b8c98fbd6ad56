import { medianOf, type Result } from './rounds.ts';

/** One line of the table; figures are medians of the runs that count. */
export type Row = {
  readonly name: string;
  readonly title: string;
  readonly kind: 'cardea' | 'neighbour' | 'peer';
  /** Null when every run was void. */
  readonly figures: NonNullable<ReturnType<typeof medianOf>> | null;
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

/** What reading a session from the store costs beyond one held in memory; nothing unless both were measured. */
export function describeCold(rows: readonly Row[]): string[] {
  const figuresOf = (name: string) => rows.find((row) => row.name === name)?.figures;
  const [warm, cold] = [figuresOf('rest-bearer'), figuresOf('rest-cold')];
  if (warm == null || cold == null) return [];
  const micros = (cold.cpuMicros - warm.cpuMicros).toFixed(1);
  const behind = (cold.behindMicros - warm.behindMicros).toFixed(1);
  const p99 = `p99 ${cold.p99Ms.toFixed(2)} ms instead of ${warm.p99Ms.toFixed(2)} ms`;
  return [`Cold beside warm: ${micros} µs CPU more a request (and ${behind} µs behind it), ${p99}.`, ''];
}

function ratio(value: number | null): string {
  return value === null ? '' : value.toFixed(2);
}

function megabytes(bytes: number): string {
  return Math.round(bytes / 1_000_000).toString();
}
