import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { type Config, publicUrl } from './config.ts';
import {
  type Clock,
  type Core,
  createBlocklist,
  createContextCache,
  createRateLimiter,
  createUseRecorder,
  type Hasher,
  type Policy,
  startHasher,
} from './core/index.ts';
import { databasePath, loadSigningKeys, prepareDirectory } from './data-directory.ts';
import type { Log } from './log.ts';
import { isBusy, isStoreTrouble } from './store/errors.ts';
import { ensureInstallation, type InstallationRow, readInstallation } from './store/installation.ts';
import { migrate, requireCurrentSchema } from './store/migrations/index.ts';
import { openStore, requireSoundFile, type Store, transact } from './store/open.ts';

export type CoreOptions = {
  readonly config: Config;
  readonly log: Log;
  /** The clock; the machine's own unless a test moves it. */
  readonly clock?: Clock;
  /** Cheaper hashes, for tests alone: no setting reaches below the floor. */
  readonly hashCost?: { readonly memoryKib: number; readonly passes: number };
  /** Processes that hash, in the place of the setting. */
  readonly hashWorkers?: number;
  /** How long a start waits for a database server; 28 s unless a test is in a hurry. */
  readonly storeLimitMs?: number;
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
  const keys = await loadSigningKeys(config.data, options.create);
  const store = await openPatiently(options);
  const installation = await readInstallation(store.lists);
  const hasher = openHasher(options);
  const core: Core = {
    store,
    clock: options.clock ?? Date.now,
    keys,
    policy: toPolicy(config, installation),
    hasher,
    blocklist: createBlocklist(config.password.blocklistFile),
    log,
    contexts: openContexts(config, store),
    uses: createUseRecorder(),
    loginTurns: new Map(),
    checkRates: createRateLimiter(config.limits.checksPerSecond, 2 * config.limits.checksPerSecond),
    refusalRates: createRateLimiter(config.limits.refusedPerSecond, 20 * config.limits.refusedPerSecond),
  };
  const close = async () => {
    await hasher.close();
    await store.close();
  };
  return { core, installation, close };
}

/** A start waits this long for a database server that is not up yet; with the last try it comes to 30 s at most. */
const storeLimitMs = 28_000;
const storePauseMs = 1_000;
/** A command beside the start may hold the file for a moment, e.g. while it folds the log in. */
const fileLimitMs = 5_000;
const filePauseMs = 100;

/** Only a server waits, for another one or for a file in use: one that is gone does not come back, and people try again. */
async function openPatiently({
  config,
  log,
  create,
  clock = Date.now,
  storeLimitMs: limitMs = storeLimitMs,
}: CoreOptions): Promise<Store> {
  const isFile = config.databaseUrl === '';
  const untilMs = performance.now() + (isFile ? fileLimitMs : limitMs);
  for (;;) {
    try {
      return await openReadyStore(config, create, clock);
    } catch (error) {
      const leftMs = untilMs - performance.now();
      if (!create || leftMs <= 0 || !(isFile ? isBusy(error) : isStoreTrouble(error))) throw error;
      log.warn('store.not_reached', { retryForSeconds: Math.ceil(leftMs / 1000), error });
      await Bun.sleep(Math.min(isFile ? filePauseMs : storePauseMs, leftMs));
    }
  }
}

async function openReadyStore(config: Config, create: boolean, clock: Clock): Promise<Store> {
  const url = config.databaseUrl === '' ? databasePath(config.data) : config.databaseUrl;
  const { allowUnsafeDurability } = config.store;
  const store = await openStore({ url, create, allowUnsafeDurability });
  try {
    if (create) await makeReady(store, clock);
    else await requireCurrentSchema(store);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function makeReady(store: Store, clock: Clock): Promise<void> {
  await requireSoundFile(store);
  await migrate(store);
  const identity = { id: randomUUID(), startedMs: clock() };
  await transact(store, (trx) => ensureInstallation(trx, identity));
}

/** Only where this process sees every change at once: beside other instances on a PostgreSQL each check reads the store. */
function openContexts(config: Config, { foreignChanges }: Store): Core['contexts'] {
  const { contexts } = config.limits;
  return foreignChanges === null || contexts === 0 ? null : createContextCache(contexts, foreignChanges);
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
