/**
 * How often a property is tried, and from where. A failure prints seed and path; `CARDEA_TEST_SEED` and `CARDEA_TEST_PATH` give them back,
 * and the run starts where the failing one ended.
 */
export function tries(numRuns: number): { readonly numRuns: number; readonly seed?: number; readonly path?: string } {
  const { CARDEA_TEST_SEED: seed, CARDEA_TEST_PATH: path } = process.env;
  return { numRuns, ...(seed !== undefined && { seed: Number(seed) }), ...(path !== undefined && { path }) };
}
