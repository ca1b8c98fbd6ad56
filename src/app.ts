import { join } from 'node:path';
import { type Certificate, certificateDer, loadCertificate } from './certificate.ts';
import { type Config, ConfigError, metricsAddress } from './config.ts';
import { type Core, startSweeping } from './core/index.ts';
import { DataDirectoryError, databasePath, prepareDirectory } from './data-directory.ts';
import { createEcgridRest } from './doors/ecgrid-rest/door.ts';
import { createEcgridosSoap } from './doors/ecgridos-soap/door.ts';
import { createHcxSessions } from './doors/hcx-sessions/door.ts';
import { createOps } from './doors/ops/door.ts';
import { createUserSession } from './doors/user-session/door.ts';
import type { Door } from './http/door.ts';
import { type RunningServer, type ServerOptions, startServer } from './http/server.ts';
import type { Log } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { type CoreOptions, type OpenCore, openCore, toPlace } from './open-core.ts';
import { createReadiness, type Readiness } from './readiness.ts';
import { watchSigningKeys } from './signing-keys.ts';
import { explainRefusal, readFileSystem } from './store/file-system.ts';
import type { Health } from './store/health.ts';
import { holdLock } from './store/lock.ts';
import { startTending } from './store/tending.ts';

/** The plain listener and the TLS one, by the names that the setting `listen` uses. */
type Listener = 'http' | 'https';

/** What the doors are made of. */
type Ground = {
  readonly core: Core;
  readonly config: Config;
  readonly opened: OpenCore;
  /** What the TLS listener shows; null when there is none. */
  readonly certificate: () => Certificate | null;
  /** Where clients reach this server, once it listens. */
  readonly ownOrigins: () => readonly string[];
};

/** What every listener reports to. */
type Watch = { readonly log: Log; readonly readiness: Readiness; readonly metrics: Metrics };

type Servers = { http?: RunningServer; https?: RunningServer; metrics?: RunningServer | undefined };

type DoorMaker = (ground: Ground, listener: Listener) => Door | null;

/**
 * Every contract by its name, and how its door is made; null when the configuration switches it off. This is the only place that
 * knows them all: a further contract is one line here.
 */
const doorMakers: Readonly<Record<string, DoorMaker>> = {
  'ecgrid-rest': ({ core, config: { ecgrid, cors } }) =>
    ecgrid.enabled
      ? createEcgridRest(core, {
          tokenSeconds: ecgrid.tokenMinutes * 60,
          refreshGraceSeconds: ecgrid.refreshGraceSeconds,
          keepSessionsOnPasswordChange: ecgrid.keepSessionsOnPasswordChange,
          corsOrigins: cors.origins,
        })
      : null,
  'ecgridos-soap': ({ core, config }) =>
    config.ecgridos.enabled
      ? createEcgridosSoap(core, {
          idleSeconds: config.ecgridos.idleMinutes * 60,
          publicUrl: config.publicUrl,
          allowedHosts: config.allowedHosts,
          listenHost: config.host,
          httpGet: config.ecgridos.httpGet,
          helpPages: config.ecgridos.helpPages,
          keepSessionsOnPasswordChange: config.ecgrid.keepSessionsOnPasswordChange,
        })
      : null,
  'user-session': ({ core, config: { userSession, cors }, ownOrigins }) =>
    userSession.enabled
      ? createUserSession(core, {
          idleSeconds: userSession.idleMinutes * 60,
          cookieMode: userSession.cookie,
          corsOrigins: cors.origins,
          ownOrigins,
        })
      : null,
  'hcx-sessions': ({ core, config: { hcx }, opened, certificate }, listener) =>
    hcx.enabled
      ? createHcxSessions(core, {
          idleSeconds: hcx.idleMinutes * 60,
          hybridityIdleSeconds: hcx.hybridityIdleMinutes * 60,
          installation: {
            ...opened.installation,
            cloudName: hcx.cloudName,
            cloudType: hcx.cloudType,
            // Asked at each login: a reload exchanges it under both listeners.
            certificate: () => certificateDer(certificate()),
          },
          servesAdmin: listener === 'https' || hcx.onMain,
          servesHybridity: listener === 'http',
        })
      : null,
};

/** The doors that the setting `listen` leaves to a listener: all, unless it names some. @throws ConfigError for an unknown name */
function createDoors(ground: Ground, listener: Listener): Door[] {
  const pairs = ground.config.listen.map((pair) => pair.split(':') as [Listener, string]);
  const known = Object.keys(doorMakers);
  const unknown = pairs.find(([, name]) => !known.includes(name));
  if (unknown !== undefined) {
    throw new ConfigError(`CARDEA_LISTEN names ${unknown[1]}, which is none of ${known.join(', ')}.`);
  }
  const named = pairs.filter(([one]) => one === listener).map(([, name]) => name);
  const wanted = named.length === 0 ? known : named;
  return wanted.flatMap((name) => doorMakers[name]?.(ground, listener) ?? []);
}

export type AppOptions = Omit<CoreOptions, 'create' | 'hashWorkers'> & {
  /** Runs once the store is ready and before anybody can connect: first administrator, demo data. */
  readonly prepare: (core: Core) => Promise<void>;
};

export type App = {
  readonly core: Core;
  readonly url: string;
  /** Address of the TLS listener; null when nothing needs one. */
  readonly httpsUrl: string | null;
  /** Address of the listener for `/metrics`; null when the settings name none. */
  readonly metricsUrl: string | null;
  /** From now on `/readyz` says no, so that a balancer sends nothing new. */
  readonly drain: () => void;
  /** Reads the certificate files again; requests under way on the TLS listener finish with the old one. */
  readonly reloadCertificate: () => Promise<void>;
  /** Resolves if the store breaks: the process must then stop, and a new one look at the file afresh. */
  readonly broken: Promise<Error>;
  /** Reads the signing keys again. @throws DataDirectoryError for a file that cannot be used; the keys in use stay */
  readonly reloadKeys: () => void;
  /** Finishes what is under way, at most the configured grace, and closes everything. */
  readonly stop: () => Promise<void>;
};

const sweepEveryMs = 60_000;
const tendEveryMs = 1_000;

/**
 * Starts the whole server.
 * @throws Error with a sentence for the operator when it cannot: directory in use or open, store unreachable or unfit, port taken
 */
export async function startApp(options: AppOptions): Promise<App> {
  const { config } = options;
  prepareDirectory(config.data);
  requireFileSystem(config, options.log);
  const lock = config.databaseUrl === '' ? holdLock(config.data) : undefined;
  if (lock === null) throw new DataDirectoryError(`Another Cardea server is using ${join(config.data, '.')}.`);
  const opened = await openCore({ ...options, create: true });
  try {
    const certificate = config.hcx.enabled || config.tls.cert !== '' ? await loadCertificate(config) : null;
    await options.prepare(opened.core);
    return listen(options, opened, certificate, () => lock?.release());
  } catch (error) {
    await opened.close();
    lock?.release();
    throw error;
  }
}

/**
 * A database file on a network would be locked and flushed by luck. What is gone with the machine serves well enough, but somebody
 * should know. @throws DataDirectoryError for a network
 */
function requireFileSystem({ data, databaseUrl }: Config, log: Log): void {
  const fileSystem = readFileSystem(data);
  const refusal = databaseUrl === '' ? explainRefusal(data, fileSystem) : null;
  if (refusal !== null) throw new DataDirectoryError(refusal);
  const { name, kind } = fileSystem;
  if (kind !== 'local') log.warn(`store.file_system_${kind}`, { directory: data, fileSystem: name });
}

function listen(
  { config, log }: AppOptions,
  opened: OpenCore,
  certificate: Certificate | null,
  releaseLock: () => void,
): App {
  const { core } = opened;
  const readiness = createReadiness(core.store);
  const servers: Servers = {};
  const ownOrigins = () => ownOriginsOf(config, servers);
  let shown = certificate;
  const metrics = createMetrics(core, log, config.databaseUrl === '' ? databasePath(config.data) : null);
  const watch: Watch = { log, readiness, metrics };
  const open = (listener: Listener, port: number) =>
    openListener({ core, config, opened, certificate: () => shown, ownOrigins }, listener, port, watch);
  try {
    servers.http = open('http', config.httpPort);
    if (certificate !== null) servers.https = open('https', config.httpsPort);
    servers.metrics = openMetrics(config, watch);
  } catch (error) {
    for (const server of Object.values(servers)) void server?.stop(0);
    metrics.stop();
    throw error;
  }
  const broken = listenToHealth(core.store.health, log);
  const stopTending = startTending(core.store, toPlace(config).file, tendEveryMs);
  const keyWatch = watchSigningKeys(config.data, core.keys, log);
  const stopSweeping = startSweeping(core, sweepEveryMs);
  const grace = config.shutdown.graceMs;
  const retired: Promise<void>[] = [];
  return {
    core,
    url: servers.http.url,
    httpsUrl: servers.https?.url ?? null,
    metricsUrl: servers.metrics?.url ?? null,
    drain: readiness.drain,
    broken,
    reloadCertificate: async () => {
      if (servers.https === undefined) return;
      shown = await loadCertificate(config);
      // In one go, so that two reloads do not meet: the port is free as soon as the old listener lets it go.
      const { port, retire } = servers.https;
      retired.push(retire(grace));
      servers.https = open('https', port);
    },
    reloadKeys: keyWatch.reload,
    stop: async () => {
      readiness.drain();
      await Promise.all([servers.http?.stop(grace), servers.https?.stop(grace), ...retired]);
      keyWatch.stop();
      // Whoever watches sees the end of the last request.
      await servers.metrics?.stop(0);
      metrics.stop();
      await stopSweeping();
      await stopTending();
      await opened.close();
      releaseLock();
    },
  };
}

/** Logs what befalls the store. @returns a promise of its breaking in a way that a new process may overcome */
function listenToHealth(health: Health, log: Log): Promise<Error> {
  const { promise, resolve } = Promise.withResolvers<Error>();
  health.listen((event) => {
    if (event.kind === 'full') log.error('store.disk_full', { consequence: 'logins are refused' });
    if (event.kind === 'space_back') log.warn('store.space_back');
    if (event.kind !== 'broken') return;
    log.error('store.broken', { error: event.error, readOnly: event.readOnly });
    if (!event.readOnly) resolve(event.error);
  });
  return promise;
}

function ownOriginsOf(config: Config, servers: Servers): string[] {
  if (config.publicUrl !== '') return [config.publicUrl];
  return [servers.http?.url, servers.https?.url].filter((url) => url !== undefined);
}

function openListener(ground: Ground, listener: Listener, port: number, watch: Watch): RunningServer {
  const { config } = ground;
  const tls = listener === 'https' ? ground.certificate() : null;
  const ops = createOps(watch.readiness.isReady);
  const doors = [...createDoors(ground, listener), ops];
  // What nobody serves at the appliance's port is told in the appliance's words.
  const appliance = doors.find((door) => door.name === 'hcx-sessions');
  return nameBusyPort(`CARDEA_${listener.toUpperCase()}_PORT`, () =>
    startServer({
      host: config.host,
      port,
      doors,
      fallback: listener === 'https' && appliance !== undefined ? appliance : ops,
      trustedProxies: config.trustedProxies,
      ...reportTo(watch),
      ...(tls !== null && { tls }),
    }),
  );
}

/** The listener for whoever operates the server, apart from every contract (AUZ-02). */
function openMetrics(config: Config, watch: Watch): RunningServer | undefined {
  const address = metricsAddress(config);
  if (address === null) return undefined;
  const ops = createOps(watch.readiness.isReady, watch.metrics.write);
  return nameBusyPort('CARDEA_METRICS_LISTEN', () =>
    startServer({ ...address, doors: [ops], fallback: ops, trustedProxies: [], ...reportTo(watch) }),
  );
}

function reportTo({ log, metrics }: Watch): Pick<ServerOptions, 'reportError' | 'countAnswer'> {
  return {
    reportError: (error, requestId) => log.error('request.failed', { requestId, error }),
    countAnswer: metrics.countAnswer,
  };
}

/** @throws ConfigError naming the option of a port that is taken */
function nameBusyPort(option: string, start: () => RunningServer): RunningServer {
  try {
    return start();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new ConfigError(`the port is in use; choose another with ${option} (0 takes any free one).`);
  }
}
