import { randomUUID } from 'node:crypto';
import { statfsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { type Config, publicUrl } from './config.ts';
import {
  type CallerFacts,
  type Clock,
  type Core,
  createBlocklist,
  createContextCache,
  createCounts,
  createKeyRing,
  createRateLimiter,
  createUseRecorder,
  endEverySession,
  type Hasher,
  type KeyRing,
  type Policy,
  recogniseServer,
  startHasher,
} from './core/index.ts';
import { DataDirectoryError, databasePath, prepareDirectory } from './data-directory.ts';
import type { Log } from './log.ts';
import { loadSigningKeys } from './signing-keys.ts';
import { openClock, type StoreClock } from './store/clock.ts';
import { isBusy, isStoreTrouble } from './store/errors.ts';
import { ensureTimeline } from './store/failover.ts';
import { reservePath } from './store/health.ts';
import { ensureInstallation, type InstallationRow, readInstallation } from './store/installation.ts';
import {
  beginRun,
  type Form,
  findDoubt,
  noteWhole,
  patienceFor,
  type Place,
  readForm,
  removeUnbornFile,
  requireWholeFiles,
  startNoting,
} from './store/lineage.ts';
import { migrate, requireCurrentSchema } from './store/migrations/index.ts';
import { openStore, type Store, transact } from './store/open.ts';
import { checkFile, type Patience, usualPatience } from './store/soundness.ts';

export type CoreOptions = {
  readonly config: Config;
  readonly log: Log;
  /** The clock; the store's own unless a test moves it. */
  readonly clock?: Clock;
  /** Cheaper hashes, for tests alone: no setting reaches below the floor. */
  readonly hashCost?: { readonly memoryKib: number; readonly passes: number };
  /** Processes that hash, in the place of the setting. */
  readonly hashWorkers?: number;
  /** How long a start waits for a database server; 28 s unless a test is in a hurry. */
  readonly storeLimitMs?: number;
  /** How long a start looks at a large file; as `usualPatience` unless a test is in a hurry. */
  readonly patience?: Patience;
  /** Make what is missing and bring the schema up to date, as a server does; otherwise the store must be ready for use. */
  readonly create: boolean;
};

export type OpenCore = {
  readonly core: Core;
  readonly installation: InstallationRow;
  readonly close: () => Promise<void>;
};

/**
 * Opens the core on the configured store, without any listener.
 * @throws DataDirectoryError, Error with a sentence for the operator
 */
export async function openCore(options: CoreOptions): Promise<OpenCore> {
  const { config, log } = options;
  if (options.create) prepareDirectory(config.data);
  const keys = createKeyRing(await loadSigningKeys(config.data, options.create));
  const { store, clock, endCheck } = await openPatiently(options);
  const place = toPlace(config);
  const reportFailure = (error: unknown) => log.warn('mark.not_written', { error });
  const leave = options.create ? startNoting(store, place, noteEveryMs, reportFailure) : async () => false;
  const installation = await readInstallation(store.lists);
  const hasher = openHasher(options);
  const core: Core = {
    store,
    clock: clock.now,
    keys,
    policy: toPolicy(config, installation),
    hasher,
    blocklist: createBlocklist(config.password.blocklistFile),
    log,
    contexts: openContexts(config, store, keys),
    uses: createUseRecorder(),
    counts: createCounts(),
    loginTurns: new Map(),
    checkRates: createRateLimiter(config.limits.checksPerSecond, 2 * config.limits.checksPerSecond),
    refusalRates: createRateLimiter(config.limits.refusedPerSecond, 20 * config.limits.refusedPerSecond),
  };
  const close = async () => {
    await hasher.close();
    clock.stop();
    const isWhole = await endCheck();
    const isCleanEnd = await leave();
    // After an error of the disk, folding the log into the file could lose what the log still has.
    if (store.health.broken() === null) await store.close({ keepLog: !isCleanEnd });
    if (isCleanEnd && isWhole) noteWhole(place, reportFailure);
  };
  return { core, installation, close };
}

/** A copy of the database that is older than this is known as such at the next start. */
const noteEveryMs = 60_000;

/** Where the configured database and what is remembered of it lie. */
export function toPlace({ data, databaseUrl }: Config): Place {
  return { directory: data, file: databaseUrl === '' ? databasePath(data) : null };
}

/** A start waits this long for a database server that is not up yet; with the last try it comes to 30 s at most. */
const storeLimitMs = 28_000;
const storePauseMs = 1_000;
/** A command beside the start may hold the file for a moment, e.g. while it folds the log in. */
const fileLimitMs = 5_000;
const filePauseMs = 100;

/** Only a server waits, for another one or for a file in use: one that is gone does not come back, and people try again. */
async function openPatiently(options: CoreOptions): Promise<ReadyStore> {
  const { config, log, create, storeLimitMs: limitMs = storeLimitMs } = options;
  const isFile = config.databaseUrl === '';
  const untilMs = performance.now() + (isFile ? fileLimitMs : limitMs);
  for (;;) {
    try {
      return await openReadyStore(options);
    } catch (error) {
      const leftMs = untilMs - performance.now();
      if (!create || leftMs <= 0 || !(isFile ? isBusy(error) : isStoreTrouble(error))) throw error;
      log.warn('store.not_reached', { retryForSeconds: Math.ceil(leftMs / 1000), error });
      await Bun.sleep(Math.min(isFile ? filePauseMs : storePauseMs, leftMs));
    }
  }
}

type TimedOptions = CoreOptions & { readonly clock: Clock };

type ReadyStore = {
  readonly store: Store;
  readonly clock: StoreClock;
  /** Ends the look at the file, if it is still under way; before the store is closed. Tells whether the file was found whole. */
  readonly endCheck: () => Promise<boolean>;
};

async function openReadyStore(options: CoreOptions): Promise<ReadyStore> {
  const { config, create } = options;
  const place = toPlace(config);
  requireWholeFiles(place);
  if (create) removeUnbornFile(place);
  if (create && place.file !== null) requireSpace(place.file, options.log);
  const form = place.file === null ? null : readForm(place.file);
  const patience = patienceFor(place, options.patience ?? usualPatience);
  const { allowUnsafeDurability } = config.store;
  const store = await openStore({ url: place.file ?? config.databaseUrl, create, allowUnsafeDurability });
  let endCheck = async () => false;
  let clock: StoreClock | undefined;
  try {
    clock = await openStoreClock(options, store);
    const timed = { ...options, clock: clock.now };
    if (create) endCheck = await makeReady(timed, store, place, patience);
    else await requireCurrentSchema(store);
    await judgeLineage(timed, store, place, form);
    if (create) await guardFailover(timed, store);
    return { store, clock, endCheck };
  } catch (error) {
    clock?.stop();
    await endCheck();
    await store.close({ keepLog: true });
    throw error;
  }
}

async function openStoreClock({ clock, create, log }: CoreOptions, store: Store): Promise<StoreClock> {
  if (clock !== undefined) return { now: clock, stop: () => undefined };
  return openClock(store, create, (behindSeconds) => log.warn('clock.differs_from_database', { behindSeconds }));
}

/** A database from the past loses its sessions when a server starts on it; a command leaves that to the server. */
async function judgeLineage(options: TimedOptions, store: Store, place: Place, form: Form | null): Promise<void> {
  const { log, create, clock } = options;
  const doubt = await findDoubt(store, place, form);
  if (doubt !== null && !create) throw new Error(doubtful);
  if (doubt !== null) {
    const ending = { event: 'store.restored', detail: { cause: doubt } } as const;
    await endEverySession({ store, clock, contexts: null }, ending, own('start'));
    log.warn('store.sessions_ended', { cause: doubt });
  }
  if (create) await beginRun(store, place, (error) => log.warn('mark.not_written', { error }));
}

/** From here on, at the start too, whatever PostgreSQL server answers is recognised first. */
async function guardFailover({ log, clock }: TimedOptions, store: Store): Promise<void> {
  if (store.guardFailover === null) return;
  await ensureTimeline(store.db);
  await store.guardFailover(async (fresh) => {
    const { server, timeline, ended } = await recogniseServer({ store: fresh, clock, contexts: null }, own('failover'));
    if (ended) log.warn('store.sessions_ended', { cause: 'failed_over', timeline });
    return server;
  });
}

/** Who ends sessions when nobody asked for it. */
function own(requestId: string): CallerFacts {
  return { address: 'local', userAgent: 'cardea', requestId };
}

const doubtful =
  'The database is a copy from the past, not the one that the server last used; start the server once, which ends every session.';

async function makeReady(
  { clock }: TimedOptions,
  store: Store,
  place: Place,
  patience: Patience,
): Promise<ReadyStore['endCheck']> {
  const endCheck = await checkFile(store, place.file, patience);
  try {
    await migrate(store);
    const identity = { id: randomUUID(), startedMs: clock() };
    await transact(store, (trx) => ensureInstallation(trx, identity));
    return endCheck;
  } catch (error) {
    await endCheck();
    throw error;
  }
}

/** Below the first the operator is told; below the second not even the end of a session could be written. */
const lowSpaceBytes = 100_000_000;
const leastSpaceBytes = 100_000;

/** @throws DataDirectoryError when there is no room to write anything, not even in the reserve */
function requireSpace(file: string, log: Log): void {
  const directory = dirname(file);
  const { bavail, bsize } = statfsSync(directory);
  const reserve = statSync(reservePath(file), { throwIfNoEntry: false })?.size ?? 0;
  if (bavail * bsize + reserve < leastSpaceBytes) {
    throw new DataDirectoryError(`The disk of ${directory} is full; make room, then start again.`);
  }
  if (bavail * bsize < lowSpaceBytes) log.warn('store.low_space', { freeBytes: bavail * bsize });
}

/** Only where this process sees every change at once: beside other instances on a PostgreSQL each check reads the store. */
function openContexts(config: Config, { foreignChanges }: Store, keys: KeyRing): Core['contexts'] {
  const capacity = config.limits.contexts;
  if (foreignChanges === null || capacity === 0) return null;
  const contexts = createContextCache(capacity, foreignChanges);
  // A token is verified once, so it must be again when other keys verify.
  keys.onChange(() => contexts.forgetAll());
  return contexts;
}

function openHasher({ config, hashCost, hashWorkers }: CoreOptions): Hasher {
  const { memoryKib, passes, workers } = config.password;
  return startHasher({
    width: hashWorkers ?? (workers === 0 ? availableParallelism() : workers),
    memoryKib: hashCost?.memoryKib ?? memoryKib,
    passes: hashCost?.passes ?? passes,
    queueLength: 16,
    queueMs: 500,
  });
}

function toPolicy(config: Config, installation: InstallationRow): Policy {
  // Without a public address the store names the issuer: tokens outlive a change of host or port.
  const issuer = config.publicUrl === '' ? `urn:uuid:${installation.id}` : config.publicUrl;
  return {
    tokenIssuer: config.token.issuer === '' ? issuer : config.token.issuer,
    tokenAudience: config.token.audience,
    absoluteSeconds: config.session.absoluteHours * 3600,
    maxSessionsPerUser: config.session.maxPerUser,
    passwordMinLength: config.password.minLength,
    passwordComposition: config.ecgrid.passwordComposition,
    host: new URL(publicUrl(config, config.httpPort)).hostname,
    throttleFreeTries: config.throttle.freeTries,
    throttleAddressPerMinute: config.throttle.addressPerMinute,
    throttleAddressPerHour: config.throttle.addressPerHour,
  };
}
