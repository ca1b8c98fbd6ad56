import { describe, expect, test } from 'bun:test';
import type { Run } from './measure.ts';
import type { Result } from './rounds.ts';
import { useNothing } from './server.ts';
import { makeRows, writeComparisons, writeTable } from './table.ts';
import type { Target } from './target.ts';

const quiet: Run = {
  perSecond: 1000,
  p50Ms: 1,
  p99Ms: 2,
  cpuMicros: 10,
  behindMicros: 0,
  residentBytes: 50_000_000,
  behindBytes: 0,
  requests: 1000,
  fault: '',
};

function result(name: string, kind: Target['kind'], runs: readonly Partial<Run>[]): Result {
  const server = { name, port: 0, use: useNothing, useBehind: useNothing };
  const accepted = { status: 200, contains: '' };
  const neighbour = kind === 'cardea' ? { neighbour: 'nginx-rest' } : {};
  const target: Target = { name, title: name, kind, server, requests: [], accepted, ...neighbour };
  return { target, runs: runs.map((run) => ({ ...quiet, ...run })) };
}

describe('the table of the benchmark', () => {
  const results = [
    result('rest-bearer', 'cardea', [{ perSecond: 9000, cpuMicros: 14 }, { perSecond: 1 }, { perSecond: 10_000 }]),
    result('rest-cold', 'cardea', [{ cpuMicros: 30 }]),
    result('nginx-rest', 'neighbour', [{ cpuMicros: 5 }]),
    result('slow', 'peer', [{ perSecond: 500 }]),
    result('fast', 'peer', [{ perSecond: 3000 }, { perSecond: 99_000, fault: '7 answers of a wrong status' }]),
  ];
  const rows = makeRows(results);

  test('shows the median of each figure, and what void runs are void for', () => {
    expect(rows[0]?.figures).toMatchObject({ perSecond: 9000, cpuMicros: 10 });
    expect(rows[4]).toMatchObject({ figures: { perSecond: 3000 }, faults: ['7 answers of a wrong status'] });
  });

  test('compares with nginx of the same body and with the fastest peer of runs that count', () => {
    expect(rows[0]).toMatchObject({ timesNginx: 2, timesPeer: 3 });
    expect(rows[2]?.timesNginx).toBeNull();
    expect(writeComparisons(rows).join()).toContain('A cold check costs 20.0 µs CPU more');
  });

  test('never shows figures of a target whose every run was void', () => {
    const [row] = makeRows([result('web', 'cardea', [{ perSecond: 424_242, fault: '1 connections broke' }])]);
    const table = writeTable(row === undefined ? [] : [row]);
    expect(table).toContain('1 connections broke');
    expect(table).not.toContain('424');
  });
});
