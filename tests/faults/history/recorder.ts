import { closeSync, openSync, writeSync } from 'node:fs';
import type { Action, Line, Outcome, Result } from './history.ts';

export type Ending = { readonly outcome: Outcome; readonly status: number; readonly result?: Result };

/** Writes a history line by line, at once, so that it is there whatever becomes of the run. */
export type Recorder = {
  readonly path: string;
  invoke(client: number, action: (op: number) => Action): number;
  end(op: number, ending: Ending): void;
  fault(name: string): void;
  healed(name: string): void;
  write(line: Line): void;
  /** How many requests were acknowledged so far. */
  readonly acknowledged: () => number;
  close(): void;
};

export function openRecorder(path: string): Recorder {
  const file = openSync(path, 'w', 0o600);
  let ops = 0;
  let acknowledged = 0;
  const write = (line: Line): void => void writeSync(file, `${JSON.stringify(line)}\n`);
  return {
    path,
    invoke(client, action) {
      ops += 1;
      write({ phase: 'invoke', op: ops, at: now(), client, action: action(ops) });
      return ops;
    },
    end(op, { outcome, status, result }) {
      if (outcome === 'ok') acknowledged += 1;
      write({ phase: outcome, op, at: now(), status, ...(result !== undefined && { result }) });
    },
    fault: (name) => write({ phase: 'fault', name, at: now() }),
    healed: (name) => write({ phase: 'healed', name, at: now() }),
    write,
    acknowledged: () => acknowledged,
    close: () => closeSync(file),
  };
}

/** One process, one monotonic clock: those of different processes cannot be compared. */
function now(): number {
  return Math.round(performance.now() * 1000) / 1000;
}
