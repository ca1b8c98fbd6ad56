import type { Server } from '../support/program.ts';
import type { Scene } from './fault.ts';
import type { Step } from './history/history.ts';
import { type HistoryOptions, type HistoryReport, runHistory } from './history/run.ts';

/** Plays random clients through a script, demands I1 to I8 and gives the counts. */
export async function playHistory(
  scene: Scene,
  options: Omit<HistoryOptions, 'seed' | 'directory'>,
): Promise<HistoryReport> {
  const report = await runHistory({ ...options, seed: scene.seed, directory: scene.directory() });
  for (const { invariant, op, sentence } of report.violations)
    scene.require(false, `${invariant} at ${op}: ${sentence}`);
  const { steps } = report.history;
  scene.require(report.acknowledged > 20, `only ${report.acknowledged} requests were acknowledged: nothing was tested`);
  scene.figure('requests', steps.length);
  scene.figure('acknowledged', report.acknowledged);
  scene.figure('acknowledged changes', steps.filter(isAcknowledgedChange).length);
  scene.figure('final checks', report.finalChecks);
  const count = (invariant: string) => report.violations.filter((one) => one.invariant === invariant).length;
  scene.figure('lost', count('I1'));
  scene.figure('revived', count('I2') + count('I5'));
  return report;
}

export function isAcknowledgedChange({ action, outcome }: Step): boolean {
  return outcome === 'ok' && action.kind !== 'check' && action.kind !== 'guess';
}

/** After the last fault: long enough for "no errors after 5 s" to be asked. */
export const calmMs = 6_000;

/** Kills the server, waits until it is gone, and starts the next. */
export async function killAndServe(
  scene: Scene,
  server: Server,
  env: Readonly<Record<string, string>>,
): Promise<Server> {
  server.signal('SIGKILL');
  await server.exited;
  return scene.serve(env);
}
