/** What both databases store and hand back unchanged. */
export type StoreValue = string | number | null;

/**
 * Lets through only what both databases keep as it is. Without this SQLite stores `undefined` and plain objects as NULL, replaces
 * a lone surrogate, rounds large integers and takes the NUL character that PostgreSQL refuses.
 * @throws Error naming the place and the kind of the value, never the value: it may be a secret
 */
export function checkParameters(parameters: readonly unknown[]): StoreValue[] {
  parameters.forEach((value, index) => {
    const flaw = findFlaw(value);
    if (flaw !== undefined) throw new Error(`Parameter ${index + 1} of a statement is ${flaw}.`);
  });
  return parameters as StoreValue[];
}

function findFlaw(value: unknown): string | undefined {
  if (value === null) return undefined;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? undefined : 'not a safe integer';
  if (typeof value !== 'string') return `of type ${typeof value}`;
  if (!value.isWellFormed()) return 'text with a lone surrogate';
  return value.includes('\0') ? 'text with a NUL character' : undefined;
}
