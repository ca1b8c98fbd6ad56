/** Who is at work under a key in this process, and who waits for a turn. */
export type Turns = Map<string, { active: number; readonly waiting: ((goOn: boolean) => void)[] }>;

/** Longer lines are turned away at once: a flood must be shed, not collected. */
const longestLine = 16;

/**
 * Takes one of `width` places under a key, waiting in line for it at most `limitMs`.
 * @returns what to call when the work is over, or null when the line is full or the wait was too long
 */
export async function takeTurn(
  turns: Turns,
  key: string,
  width: number,
  limitMs: number,
): Promise<(() => void) | null> {
  const place = turns.get(key) ?? { active: 0, waiting: [] };
  turns.set(key, place);
  if (place.active >= width) {
    if (place.waiting.length >= longestLine || !(await waitInLine(place.waiting, limitMs))) return null;
    // Whoever left handed the place over, so it is counted already.
  } else place.active += 1;
  return () => leave(turns, key);
}

async function waitInLine(waiting: ((goOn: boolean) => void)[], limitMs: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  waiting.push(resolve);
  const timer = setTimeout(() => {
    waiting.splice(waiting.indexOf(resolve), 1);
    resolve(false);
  }, limitMs);
  const goOn = await promise;
  clearTimeout(timer);
  return goOn;
}

function leave(turns: Turns, key: string): void {
  const place = turns.get(key);
  if (place === undefined) return;
  const next = place.waiting.shift();
  if (next !== undefined) return next(true);
  place.active -= 1;
  if (place.active === 0) turns.delete(key);
}
