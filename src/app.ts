import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Config, publicUrl } from './config.ts';
import {
  type Clock,
  type Core,
  createBlocklist,
  createRateLimiter,
  type Hasher,
  type Policy,
  startHasher,
  startSweeping,
} from './core/index.ts';
import { DataDirectoryError, databasePath, loadSigningKeys, prepareDirectory } from './data-directory.ts';
import { createEcgridRest } from './doors/ecgrid-rest/door.ts';
import { createEcgridosSoap } from './doors/ecgridos-soap/door.ts';
import { createOps } from './doors/ops/door.ts';
import { createUserSession } from './doors/user-session/door.ts';
import type { Door } from './http/door.ts';
import { type RunningServer, startServer } from './http/server.ts';
import type { Log } from './log.ts';
import { createReadiness } from './readiness.ts';
import { isStoreTrouble } from './store/errors.ts';
import { holdLock } from './store/lock.ts';
import { migrate, requireCurrentSchema } from './store/migrations/index.ts';
import { openStore, requireSoundFile, type Store } from './store/open.ts';

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

export type OpenCore = { readonly core: Core; readonly close: () => Promise<void> };

/**
 * Opens the core on the configured store, without any listener.
 * @throws DataDirectoryError, Error with a sentence for the operator
 */
export async function openCore(options: CoreOptions): Promise<OpenCore> {
  const { config, log } = options;
  if (options.create) prepareDirectory(config.data);
  const keys = await loadSigningKeys(config.data, options.create);
  const store = await openPatiently(options);
  const hasher = openHasher(options);
  const core: Core = {
    store,
    clock: options.clock ?? Date.now,
    keys,
    policy: toPolicy(config),
    hasher,
    blocklist: createBlocklist(config.password.blocklistFile),
    log,
    loginTurns: new Map(),
    checkRates: createRateLimiter(config.limits.checksPerSecond, 2 * config.limits.checksPerSecond),
    refusalRates: createRateLimiter(config.limits.refusedPerSecond, 20 * config.limits.refusedPerSecond),
  };
  const close = async () => {
    await hasher.close();
    await store.close();
  };
  return { core, close };
}

/** A start waits this long for a database server that is not up yet; with the last try it comes to 30 s at most. */
const storeLimitMs = 28_000;
const storePauseMs = 1_000;

/** Only a server waits, and only for another one: a file does not come back, and whoever is at a terminal tries again. */
async function openPatiently({
  config,
  log,
  create,
  storeLimitMs: limitMs = storeLimitMs,
}: CoreOptions): Promise<Store> {
  const patient = create && config.databaseUrl !== '';
  const untilMs = performance.now() + limitMs;
  for (;;) {
    try {
      return await openReadyStore(config, create);
    } catch (error) {
      const leftMs = untilMs - performance.now();
      if (!patient || leftMs <= 0 || !isStoreTrouble(error)) throw error;
      log.warn('store.not_reached', { retryForSeconds: Math.ceil(leftMs / 1000), error });
      await Bun.sleep(Math.min(storePauseMs, leftMs));
    }
  }
}

async function openReadyStore(config: Config, create: boolean): Promise<Store> {
  const url = config.databaseUrl === '' ? databasePath(config.data) : config.databaseUrl;
  const { allowUnsafeDurability } = config.store;
  const store = await openStore({ url, create, allowUnsafeDurability });
  try {
    if (create) await requireSoundFile(store);
    if (create) await migrate(store);
    else await requireCurrentSchema(store);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
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

function toPolicy(config: Config): Policy {
  const address = publicUrl(config, config.httpPort);
  return {
    tokenIssuer: config.token.issuer === '' ? address : config.token.issuer,
    tokenAudience: config.token.audience,
    absoluteSeconds: config.session.absoluteHours * 3600,
    maxSessionsPerUser: config.session.maxPerUser,
    passwordMinLength: config.password.minLength,
    passwordComposition: config.ecgrid.passwordComposition,
    host: new URL(address).hostname,
    throttleFreeTries: config.throttle.freeTries,
    throttleAddressPerMinute: config.throttle.addressPerMinute,
    throttleAddressPerHour: config.throttle.addressPerHour,
  };
}

/** Every contract that the configuration switches on. This list is the only place that knows them all. */
function createDoors(core: Core, config: Config): Door[] {
  const address = publicUrl(config, config.httpPort);
  const doors: Door[] = [];
  if (config.ecgrid.enabled) {
    doors.push(
      createEcgridRest(core, {
        tokenSeconds: config.ecgrid.tokenMinutes * 60,
        refreshGraceSeconds: config.ecgrid.refreshGraceSeconds,
        keepSessionsOnPasswordChange: config.ecgrid.keepSessionsOnPasswordChange,
        corsOrigins: config.cors.origins,
      }),
    );
  }
  if (config.ecgridos.enabled) {
    doors.push(
      createEcgridosSoap(core, {
        idleSeconds: config.ecgridos.idleMinutes * 60,
        publicUrl: config.publicUrl,
        allowedHosts: config.allowedHosts,
        listenHost: config.host,
        httpGet: config.ecgridos.httpGet,
        helpPages: config.ecgridos.helpPages,
        keepSessionsOnPasswordChange: config.ecgrid.keepSessionsOnPasswordChange,
      }),
    );
  }
  if (config.userSession.enabled) {
    doors.push(
      createUserSession(core, {
        idleSeconds: config.userSession.idleMinutes * 60,
        cookieMode: config.userSession.cookie,
        corsOrigins: config.cors.origins,
        publicOrigin: address,
      }),
    );
  }
  return doors;
}

export type AppOptions = Omit<CoreOptions, 'create' | 'hashWorkers'> & {
  /** Runs once the store is ready and before anybody can connect: first administrator, demo data. */
  readonly prepare: (core: Core) => Promise<void>;
};

export type App = {
  readonly core: Core;
  readonly url: string;
  /** From now on `/readyz` says no, so that a balancer sends nothing new. */
  readonly drain: () => void;
  /** Finishes what is under way, at most the configured grace, and closes everything. */
  readonly stop: () => Promise<void>;
};

const sweepEveryMs = 60_000;

/**
 * Starts the whole server.
 * @throws Error with a sentence for the operator when it cannot: directory in use or open, store unreachable or unfit, port taken
 */
export async function startApp(options: AppOptions): Promise<App> {
  const { config } = options;
  prepareDirectory(config.data);
  const lock = config.databaseUrl === '' ? holdLock(config.data) : undefined;
  if (lock === null) throw new DataDirectoryError(`Another Cardea server is using ${join(config.data, '.')}.`);
  const opened = await openCore({ ...options, create: true });
  try {
    await options.prepare(opened.core);
    return listen(options, opened, () => lock?.release());
  } catch (error) {
    await opened.close();
    lock?.release();
    throw error;
  }
}

function listen({ config, log }: AppOptions, opened: OpenCore, releaseLock: () => void): App {
  const { core } = opened;
  const readiness = createReadiness(core.store);
  const server: RunningServer = startServer({
    host: config.host,
    port: config.httpPort,
    doors: createDoors(core, config),
    fallback: createOps(readiness.isReady),
    trustedProxies: config.trustedProxies,
    reportError: (error, requestId) => log.error('request.failed', { requestId, error }),
  });
  const stopSweeping = startSweeping(core, sweepEveryMs);
  return {
    core,
    url: server.url,
    drain: readiness.drain,
    stop: async () => {
      readiness.drain();
      await server.stop(config.shutdown.graceMs);
      await stopSweeping();
      await opened.close();
      releaseLock();
    },
  };
}
