const { CARDEA_TEST_SEED: seed, CARDEA_TEST_PATH: path, CARDEA_TEST_REPLAY: replayPath } = process.env;

/**
 * How often a property is tried, and from where. A failure prints seed and path, and for a list of commands its replay path;
 * `CARDEA_TEST_SEED`, `CARDEA_TEST_PATH` and `CARDEA_TEST_REPLAY` give them back, and the run starts where the failing one ended.
 */
export function tries(numRuns: number): { readonly numRuns: number; readonly seed?: number; readonly path?: string } {
  return { numRuns, ...(seed !== undefined && { seed: Number(seed) }), ...(path !== undefined && { path }) };
}

/** How long a list of commands may be, and which part of one to run again. */
export function commandLists(maxCommands: number) {
  return { maxCommands, size: 'max' as const, ...(replayPath !== undefined && { replayPath }) };
}
