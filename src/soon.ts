/** A value that is there now, or later. What is in memory is answered in one go; only what must wait gets a promise. */
export type Soon<T> = T | Promise<T>;

/** Goes on with a value as soon as it is there: at once, in the same turn of the event loop, unless it is still to come. */
export function after<T, U>(value: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** `after` with what fails at once and what fails later handled alike; `failed` does not see what `done` throws. */
export function settle<T, U>(
  work: () => Soon<T>,
  done: (value: T) => Soon<U>,
  failed: (error: unknown) => Soon<U>,
): Soon<U> {
  let value: Soon<T>;
  try {
    value = work();
  } catch (error) {
    return failed(error);
  }
  return value instanceof Promise ? value.then(done, failed) : done(value);
}
