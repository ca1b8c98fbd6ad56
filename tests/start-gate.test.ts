import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { copyFileSync, readdirSync, renameSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../src/config.ts';
import { createLog } from '../src/log.ts';
import { type OpenCore, openCore, toPlace } from '../src/open-core.ts';
import type { HealthEvent } from '../src/store/health.ts';
import { patienceFor } from '../src/store/lineage.ts';
import type { Patience } from '../src/store/soundness.ts';
import { damageFile } from './support/damage.ts';
import { fillGround, type Ground, makeGround } from './support/program.ts';

/** As if the file were too large to be read in time, and as if it just were not. */
const none: Patience = { waitMs: 0, smallBytes: 0 };
const enough: Patience = { waitMs: 25_000, smallBytes: 0 };

let ground: Ground;
const opened: OpenCore[] = [];
beforeEach(async () => {
  ground = makeGround();
  await fillGround(ground);
});
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
  ground.remove();
});

/** What a start does before it listens. */
async function start(patience: Patience): Promise<OpenCore> {
  const core = await openCore({
    config: loadConfig(ground.env),
    log: createLog('error', async () => undefined),
    hashWorkers: 1,
    create: true,
    patience,
  });
  opened.push(core);
  return core;
}

/** Resolves with what befalls the store. */
function nextEvent({ core }: OpenCore): Promise<HealthEvent> {
  return new Promise((resolve) => core.store.health.listen(resolve));
}

const codeOf = (error: unknown) => (error as { cause?: { code?: string } }).cause?.code;

describe('DUR-02: a database that is large', () => {
  test('and damaged is refused when that is found in time', async () => {
    damageFile(join(ground.directory, 'cardea.db'));
    const failure: unknown = await start(enough).catch((error: unknown) => error);
    expect(String(failure)).toBe('StoreError: store: unavailable');
    expect(codeOf(failure)).toBe('SQLITE_CORRUPT');
  });

  test('and damaged breaks the store when that is found later, and the next start looks at all of it first', async () => {
    damageFile(join(ground.directory, 'cardea.db'));
    const core = await start(none);
    expect(core.core.store.health.broken()).toBeNull();
    expect(await nextEvent(core)).toMatchObject({ kind: 'broken', error: { code: 'SQLITE_CORRUPT' } });
    await core.close();
    expect(codeOf(await start(none).catch((error: unknown) => error))).toBe('SQLITE_CORRUPT');
  });

  test('is not waited for when nobody touched it since a server left it whole', async () => {
    const place = toPlace(loadConfig(ground.env));
    const file = join(ground.directory, 'cardea.db');
    // As `fillGround` left it.
    expect(patienceFor(place, enough)).toEqual(none);
    const { atimeMs, mtimeMs } = statSync(file);
    utimesSync(file, atimeMs / 1000, mtimeMs / 1000);
    expect(patienceFor(place, enough)).toEqual(enough);
    const core = await start(enough);
    expect(patienceFor(place, enough)).toEqual(enough);
    await core.close();
    expect(patienceFor(place, enough)).toEqual(none);
    copyFileSync(file, `${file}.copy`);
    renameSync(`${file}.copy`, file);
    expect(patienceFor(place, enough)).toEqual(enough);
  });

  test('and sound is served before the look is over, which a stop ends without leaving a log', async () => {
    const core = await start(none);
    expect(core.core.store.health.broken()).toBeNull();
    await core.close();
    expect(readdirSync(ground.directory).filter((name) => name.startsWith('cardea.db'))).toEqual(['cardea.db']);
    const again = await start(enough);
    expect(again.core.store.health.broken()).toBeNull();
  });
});
