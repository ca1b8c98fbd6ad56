/** What was seen of a server at one moment, and of its checks since the moment before. */
export type SoakSample = {
  readonly atSeconds: number;
  readonly residentMb: number;
  readonly descriptors: number;
  readonly logMb: number;
  readonly databaseMb: number;
  /** Checks a second. */
  readonly rate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

/** What the last third is compared with: the first one is that of warming up. */
export type Thirds = { readonly second: readonly SoakSample[]; readonly last: readonly SoakSample[] };

export function thirdsOf(samples: readonly SoakSample[]): Thirds {
  const third = Math.floor(samples.length / 3);
  return { second: samples.slice(third, 2 * third), last: samples.slice(samples.length - third) };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Collected garbage comes and goes: with a third of a minute or of two hours, this much is no trend. */
const memoryFactor = 1.05;
const memorySlackMb = 4;
/** Files that are open for a moment. */
const descriptorSlack = 1;
const slowerFactor = 1.5;
/** A log that was once as long as this is written over from its beginning. */
const logSlackMb = 16;

/**
 * Judges a steady load: nothing may grow and nothing may slow down from the second third to the last one. Medians, since a
 * disturbance of the machine is no trend, and what leaks is there in every sample.
 * @returns one sentence for each thing that does not hold
 */
export function judgeSoak(samples: readonly SoakSample[]): string[] {
  const { second, last } = thirdsOf(samples);
  if (second.length < 3) return ['there are too few samples to judge by'];
  const of = (some: readonly SoakSample[], key: keyof SoakSample) => median(some.map((sample) => sample[key]));
  const sentences: string[] = [];
  const limit = (key: keyof SoakSample, name: string, most: (before: number) => number) => {
    const [before, after] = [of(second, key), of(last, key)];
    if (after > most(before)) sentences.push(`${name} went from ${before.toFixed(1)} to ${after.toFixed(1)}`);
  };
  limit('residentMb', 'resident MB', (before) => before * memoryFactor + memorySlackMb);
  limit('descriptors', 'open descriptors', (before) => before + descriptorSlack);
  limit('p99Ms', "the checks' p99 in ms", (before) => before * slowerFactor);
  limit('logMb', 'the MB of the write-ahead log', (before) => before + logSlackMb);
  return sentences;
}
