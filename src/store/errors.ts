/** What a store failure means to the product: a row that exists already, a lost race, or a store out of reach. */
export type StoreWord = 'duplicate' | 'busy' | 'unavailable';

/** The only error the store throws on purpose; the driver's own error is its `cause`. */
export class StoreError extends Error {
  readonly word: StoreWord;

  constructor(word: StoreWord, cause?: unknown) {
    super(`store: ${word}`, { cause });
    this.name = 'StoreError';
    this.word = word;
  }
}

/** True for a store that is busy or out of reach: the caller may try again, and nothing is known to have happened. */
export function isStoreTrouble(error: unknown): boolean {
  return error instanceof StoreError && error.word !== 'duplicate';
}

/** True for a store that somebody else holds at the moment. */
export function isBusy(error: unknown): boolean {
  return error instanceof StoreError && error.word === 'busy';
}

/** True for a change that SQLite rolled back because the disk is full. */
export function isDiskFull(error: unknown): boolean {
  if (!(error instanceof StoreError)) return false;
  return (error.cause as { code?: unknown } | undefined)?.code === 'SQLITE_FULL';
}

/** True for a row that exists already. */
export function isDuplicate(error: unknown): boolean {
  return error instanceof StoreError && error.word === 'duplicate';
}

/**
 * Puts what a driver threw into one of the store's words (docs of the drivers: SQLite result codes, PostgreSQL appendix A).
 * @returns a `StoreError` with the driver's error as cause, or the error itself when it is a mistake of ours
 */
export function translate(error: unknown): unknown {
  if (error instanceof StoreError || !(error instanceof Error)) return error;
  const { code, errno } = error as Error & { code?: unknown; errno?: unknown };
  const word = typeof code === 'string' ? findWord(code, errno) : undefined;
  return word === undefined ? error : new StoreError(word, error);
}

type Pattern = readonly [RegExp, StoreWord];

const codePatterns: readonly Pattern[] = [
  [/^SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY)$/, 'duplicate'],
  [/^SQLITE_(BUSY|LOCKED)/, 'busy'],
  [/^SQLITE_(FULL|READONLY|IOERR|CANTOPEN|CORRUPT|NOTADB)/, 'unavailable'],
  [/^ERR_POSTGRES_(CONNECTION|IDLE_TIMEOUT|LIFETIME_TIMEOUT)/, 'unavailable'],
];

const statePatterns: readonly Pattern[] = [
  [/^23505$/, 'duplicate'],
  [/^(40001|40P01|55P03)$/, 'busy'],
  // 25P03: the server ended the session of a transaction that stood still, as after a freeze of this process.
  [/^(57014|57P0[1-3]|53...|58...|08...|25006|25P03)$/, 'unavailable'],
];

/** Bun.SQL hides the SQLSTATE in `errno`; its `code` is the same for every error of the server. */
function findWord(code: string, errno: unknown): StoreWord | undefined {
  if (code !== 'ERR_POSTGRES_SERVER_ERROR') return matchWord(codePatterns, code);
  return matchWord(statePatterns, String(errno));
}

function matchWord(patterns: readonly Pattern[], text: string): StoreWord | undefined {
  return patterns.find(([pattern]) => pattern.test(text))?.[1];
}
