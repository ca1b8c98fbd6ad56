import { type App, startApp } from '../app.ts';
import { type Config, loadConfig } from '../config.ts';
import { type Core, createFirstAdministrator } from '../core/index.ts';
import { createLog, type Log } from '../log.ts';
import { printLine } from './output.ts';
import { localCaller } from './with-core.ts';

/** `cardea serve`: the real server, on the configured store. */
export async function serve(): Promise<void> {
  const config = loadConfig(process.env);
  const log = createLog(config.log.level);
  const app = await startApp({ config, log, prepare: announceFirstAdministrator });
  // Whoever reads the line may send a signal at once.
  stopOnSignal(app, config, log);
  exitWhenBroken(app, log);
  process.on('SIGHUP', () => void reloadCertificate(app, log));
  // Nothing here needs it, and a fault would own the machine.
  if (process.getuid?.() === 0) log.warn('server.started_as_root');
  log.info('server.started', { url: app.url, httpsUrl: app.httpsUrl, store: app.core.store.engine });
}

/**
 * After an error of the disk no change may be acknowledged any more: what is under way is answered, and the supervisor starts a new
 * process, which looks at the whole file first.
 */
export function exitWhenBroken(app: App, log: Log): void {
  void app.broken.then(async () => {
    await app.stop().catch((error: unknown) => log.error('server.stop_failed', { error }));
    await log.flush();
    process.exit(1);
  });
}

/** A certificate that cannot be used leaves the one in use: whoever renews it reads why in the log. */
async function reloadCertificate(app: App, log: Log): Promise<void> {
  try {
    await app.reloadCertificate();
    log.info('certificate.reloaded');
  } catch (error) {
    log.error('certificate.not_reloaded', { error });
  }
}

async function announceFirstAdministrator(core: Core): Promise<void> {
  const password = await createFirstAdministrator(core, localCaller());
  if (password === null) return;
  printLine('First start: an administrator was made.');
  printLine('  login     admin');
  printLine(`  password  ${password}`);
  printLine('The password is shown this once and works for 24 hours; change it before (PUT /v2/auth/password).');
}

/** One Ctrl-C reaches us twice, from the terminal and from a wrapper such as npm that passes it on; this soon it is one. */
const sameSignalMs = 300;

/**
 * On SIGTERM or SIGINT: not ready any more, then after the drain time no new requests, then the rest finishes, then exit 0.
 * A second signal ends the process at once.
 * @returns what happens on such a signal
 */
export function stopOnSignal(app: App, config: Config, log: Log, afterStop?: () => void): NodeJS.SignalsListener {
  let stoppingSinceMs: number | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    if (stoppingSinceMs !== undefined) {
      if (performance.now() - stoppingSinceMs > sameSignalMs) process.exit(1);
      return;
    }
    stoppingSinceMs = performance.now();
    log.info('server.stopping', { signal });
    app.drain();
    setTimeout(() => void finish(app, log, afterStop), config.shutdown.drainMs);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  // Without a listener the runtime dies of it.
  process.on('SIGUSR1', () => log.info('signal.ignored', { signal: 'SIGUSR1' }));
  return onSignal;
}

async function finish(app: App, log: Log, afterStop: (() => void) | undefined): Promise<void> {
  try {
    await app.stop();
    afterStop?.();
    log.info('server.stopped');
    await log.flush();
    process.exit(0);
  } catch (error) {
    log.error('server.stop_failed', { error });
    await log.flush();
    process.exit(1);
  }
}
