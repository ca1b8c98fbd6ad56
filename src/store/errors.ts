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

/** True for a row that exists already. */
export function isDuplicate(error: unknown): boolean {
  return error instanceof StoreError && error.word === 'duplicate';
}
