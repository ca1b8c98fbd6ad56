export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

type Fields = Readonly<Record<string, unknown>>;

/** One JSON line per record. No call waits, throws or ends the process, whatever becomes of the reader. */
export type Log = {
  readonly debug: (event: string, fields?: Fields) => void;
  readonly info: (event: string, fields?: Fields) => void;
  readonly warn: (event: string, fields?: Fields) => void;
  readonly error: (event: string, fields?: Fields) => void;
  /** Resolves when everything so far is written, at the latest after a second: a stalled reader must not hold up a stop. */
  readonly flush: () => Promise<void>;
  /** Records lost so far because the queue was full or writing failed. */
  readonly dropped: () => number;
};

/** Resolves when the text is written and rejects when it is lost. */
export type Write = (text: string) => Promise<void>;

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const queueBytes = 4 * 1024 * 1024;
const batchLines = 256;
const flushMs = 1_000;
const fieldLength = 256;
const stackLength = 2_048;
const maxDepth = 4;
const maxItems = 50;

/** A log of the records at `level` and above, written to stdout unless told otherwise. */
export function createLog(level: LogLevel, write: Write = stdoutWriter()): Log {
  const queue = createQueue(write);
  const at = (own: LogLevel) => (event: string, fields?: Fields) => {
    if (ranks[own] >= ranks[level]) queue.push(toLine(own, event, fields));
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    flush: queue.flush,
    dropped: queue.dropped,
  };
}

/**
 * `process.stdout.write` is the one way out that waits without stopping the event loop when a pipe is full and recovers
 * from a full disk; a closed pipe arrives as an `error` event, which ends the process unless someone listens.
 */
function stdoutWriter(): Write {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.listenerCount('error') === 0) stream.on('error', () => undefined);
  }
  return (text) =>
    new Promise((resolve, reject) => {
      process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
    });
}

type Queue = {
  readonly push: (line: string) => void;
  readonly flush: () => Promise<void>;
  readonly dropped: () => number;
};

/** Lines on their way out, in order and one batch at a time; beyond `queueBytes` they are dropped, counted and told later. */
function createQueue(write: Write): Queue {
  const waiting: string[] = [];
  let waitingBytes = 0;
  let dropped = 0;
  let told = 0;
  let draining: Promise<void> | undefined;

  const push = (line: string): void => {
    const bytes = Buffer.byteLength(line);
    if (waitingBytes + bytes > queueBytes) {
      dropped += 1;
      return;
    }
    waitingBytes += bytes;
    waiting.push(line);
    draining ??= drain();
  };

  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, batchLines);
      const text = batch.join('');
      try {
        await write(text);
        tellDropped();
      } catch {
        dropped += batch.length;
      }
      waitingBytes -= Buffer.byteLength(text);
    }
    draining = undefined;
  };

  const tellDropped = (): void => {
    if (dropped === told) return;
    const line = toLine('warn', 'log_dropped', { records: dropped - told });
    told = dropped;
    waitingBytes += Buffer.byteLength(line);
    waiting.push(line);
  };

  const flush = async (): Promise<void> => {
    if (draining === undefined) return;
    const limit = Promise.withResolvers<void>();
    const timer = setTimeout(limit.resolve, flushMs);
    await Promise.race([draining, limit.promise]);
    clearTimeout(timer);
  };

  return { push, flush, dropped: () => dropped };
}

function toLine(level: LogLevel, event: string, fields: Fields = {}): string {
  const head = { time: new Date().toISOString(), level, event: tidyText(event) };
  try {
    // The head comes first for the eye and last so that no field replaces it.
    return `${escapeLine(JSON.stringify({ ...head, ...tidyRecord(fields, 0), ...head }))}\n`;
  } catch {
    return `${escapeLine(JSON.stringify({ ...head, unprintable: true }))}\n`;
  }
}

/** What JSON leaves as it is although it moves a cursor, turns the reading direction or ends a line somewhere. */
function escapeLine(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function tidy(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return tidyText(value);
  if (typeof value === 'bigint' || typeof value === 'symbol' || typeof value === 'function')
    return tidyText(String(value));
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (depth >= maxDepth) return '[deep]';
  if (value instanceof Error) return tidyError(value, depth);
  if (Array.isArray(value)) return value.slice(0, maxItems).map((item) => tidy(item, depth + 1));
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  return tidyRecord(value as Fields, depth);
}

function tidyRecord(record: Fields, depth: number): object {
  const entries = Object.entries(record).slice(0, maxItems);
  return Object.fromEntries(
    entries.map(([key, value]) => [tidyText(key), isSecret(key) ? '[redacted]' : tidy(value, depth + 1)]),
  );
}

function isSecret(key: string): boolean {
  return /password|secret|token|authorization|cookie|api[-_]?key/i.test(key);
}

function tidyError(error: Error, depth: number): object {
  const { name, message, stack, cause } = error;
  return {
    name: tidyText(name),
    message: tidyText(message),
    ...('code' in error ? { code: tidy(error.code, depth + 1) } : {}),
    stack: tidyText(stack ?? '', stackLength),
    ...(cause === undefined ? {} : { cause: tidy(cause, depth + 1) }),
  };
}

/** Credentials are masked before the text is cut, so that the cut cannot hide the `@` they are found by. */
function tidyText(text: string, length = fieldLength): string {
  const masked = text
    .slice(0, length + 4_096)
    .replace(/(postgres(?:ql)?:\/\/)[^\s"'`<>]*@/gi, '$1[redacted]@')
    .replace(/([?&]password=)[^\s"'`<>&]*/gi, '$1[redacted]');
  return masked.length > length ? `${masked.slice(0, length - 1).toWellFormed()}…` : masked;
}
