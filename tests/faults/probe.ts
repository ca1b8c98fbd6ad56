import { doorsOf, tokenOf } from '../support/http.ts';

/** One check, and how it was answered. */
export type Sample = { readonly atMs: number; readonly ms: number; readonly status: number };

/** Asks about one session again and again, one request after the other, until stopped. */
export type Probe = { readonly samples: readonly Sample[]; stop(): Promise<void> };

export function startProbe(url: string, token: string, pauseMs = 10): Probe {
  const samples: Sample[] = [];
  const doors = doorsOf(url);
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      samples.push(await timed(async () => (await doors.restSession(token)).status));
      await Bun.sleep(pauseMs);
    }
  })();
  return {
    samples,
    stop: () => {
      isOver = true;
      return asking;
    },
  };
}

export async function timed(ask: () => Promise<number>): Promise<Sample> {
  const atMs = performance.now();
  const status = await ask();
  return { atMs, ms: performance.now() - atMs, status };
}

/** The `part`-th of the sorted times, e.g. 0.99. */
export function quantile(samples: readonly Pick<Sample, 'ms'>[], part: number): number {
  const sorted = samples.map(({ ms }) => ms).sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

export function slowest(samples: readonly Pick<Sample, 'ms'>[]): number {
  return samples.reduce((most, { ms }) => Math.max(most, ms), 0);
}

/** Samples of each status, e.g. `200 × 310, 503 × 4`. */
export function statusCounts(samples: readonly Sample[]): string {
  const byStatus = Map.groupBy(samples, ({ status }) => status);
  return [...byStatus]
    .sort(([one], [other]) => one - other)
    .map(([status, some]) => `${status === 0 ? 'none' : status} × ${some.length}`)
    .join(', ');
}

/** Signs in over REST, again for a while when the hash lane is full. @throws Error when that does not work */
export async function signIn(url: string, login: string, password: string): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    const answer = await doorsOf(url).restLogin(login, password);
    if (answer.status === 200) return tokenOf(answer);
    if (answer.status !== 503 || tries === 50) throw new Error(`signing in was answered with ${answer.status}`);
    await Bun.sleep(100);
  }
}
