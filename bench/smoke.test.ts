import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endPrograms, programCommand, projectRoot, runProgram } from '../tests/support/program.ts';
import { useOfProcess } from './machine.ts';
import { checkAnswers, type LoadOptions, measure, prepareLoad } from './measure.ts';
import type { Outcome } from './run.ts';
import { useNothing } from './server.ts';
import { type Target, writeRequest } from './target.ts';

afterEach(endPrograms);

const [bun, ...flags] = programCommand.slice(0, -1);
const bench = [bun ?? '', ...flags, join(projectRoot, 'bench/main.ts')];

describe('npm run bench', () => {
  test('measures the checks of a real server beside a bare one, with nothing installed but Cardea', async () => {
    const what = ['--targets', 'rest-key,rest-bearer,rest-unknown', '--neighbours', 'bun', '--peers', 'none'];
    const how = ['--seconds', '1', '--rounds', '1', '--sessions', '100', '--generator', 'own', '--json'];
    // No wrk, nginx, Redis or Node is found by this path.
    const run = await runProgram([...what, ...how], { command: bench, env: { PATH: join(projectRoot, 'bench') } });
    expect(run.errors).toContain('round 1/1');
    expect(run.code).toBe(0);
    const { rows } = JSON.parse(run.output) as Outcome;
    expect(rows.map(({ name }) => name)).toEqual(['rest-key', 'rest-bearer', 'rest-unknown', 'bun']);
    for (const { figures, faults } of rows) {
      expect(faults).toEqual([]);
      expect(figures?.requests).toBeGreaterThan(0);
      expect(figures?.cpuMicros).toBeGreaterThan(0);
      expect(figures?.residentBytes).toBeGreaterThan(1_000_000);
    }
  }, 60_000);

  test('prints its help, and refuses what it does not know in one sentence', async () => {
    expect(await runProgram(['--help'], { command: bench })).toMatchObject({ code: 0, errors: '' });
    const refused = await runProgram(['--peers', 'nobody'], { command: bench });
    expect(refused).toMatchObject({ code: 2, output: '' });
    expect(refused.errors).toMatch(/^bench: --peers knows [^\n]+, not nobody\.\n$/);
  });
});

describe('a measurement', () => {
  /** A server whose n-th answer `answer` gives, as a target that must always answer 200 with "good". */
  async function withTarget(
    answer: (count: number) => Response,
    work: (target: Target, load: LoadOptions) => Promise<void>,
  ): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'cardea-bench-test-'));
    const load: LoadOptions = { generator: 'own', pinning: [], folder };
    let count = 0;
    const listener = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => answer(count++) });
    const use = () => useOfProcess(process.pid);
    const target: Target = {
      name: 'made-up',
      title: 'made up',
      kind: 'peer',
      requests: [writeRequest('GET', '/', {})],
      server: { name: 'made up', port: listener.port ?? 0, use, useBehind: useNothing },
      accepted: { status: 200, contains: 'good' },
    };
    await prepareLoad(load, target);
    try {
      await work(target, load);
    } finally {
      await listener.stop(true);
      rmSync(folder, { recursive: true, force: true });
    }
  }

  test('does not start while the answer is another than it should be', async () => {
    const answers = [new Response('bad'), new Response('good', { status: 201 })];
    await withTarget(
      (count) => answers[count] ?? new Response(),
      async (target) => {
        for (const _ of answers) await expect(checkAnswers(target)).rejects.toThrow('made-up answered');
      },
    );
  });

  test('is void after a single wrong status', async () => {
    const answer = (count: number) => new Response('good', { status: count === 5 ? 500 : 200 });
    await withTarget(answer, async (target, load) => {
      expect(await measure(load, target, 1)).toMatchObject({ fault: '1 answers of a wrong status' });
    });
  });

  test('counts when every answer was right', async () => {
    await withTarget(
      () => new Response('good'),
      async (target, load) => {
        expect(await measure(load, target, 1)).toMatchObject({ fault: '' });
      },
    );
  });
});
