/** Holds at most so many keys; the one that was set longest ago leaves first. */
export type BoundedMap<V> = {
  get(key: string): V | undefined;
  /** Sets a key anew, which makes it the last to leave. */
  set(key: string, value: V): void;
  clear(): void;
  readonly size: () => number;
};

/**
 * The first key is found by an iterator that is kept: it stands behind all that left, while a new one would walk over their places each
 * time, which costs more than anything else here.
 */
export function createBoundedMap<V>(capacity: number): BoundedMap<V> {
  const values = new Map<string, V>();
  let oldest = values.keys();

  function dropOldest(): void {
    let { value, done } = oldest.next();
    if (done === true) {
      oldest = values.keys();
      ({ value, done } = oldest.next());
    }
    if (value !== undefined) values.delete(value);
  }

  return {
    get: (key) => values.get(key),
    set(key, value) {
      values.delete(key);
      values.set(key, value);
      if (values.size > capacity) dropOldest();
    },
    clear() {
      values.clear();
      oldest = values.keys();
    },
    size: () => values.size,
  };
}
