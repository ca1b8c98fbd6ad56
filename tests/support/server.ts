import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type App, startApp } from '../../src/app.ts';
import { writeDemoData } from '../../src/cli/demo-data.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import type { Core } from '../../src/core/index.ts';
import { createLog } from '../../src/log.ts';
import { testDatabaseUrl } from './postgres.ts';

export type TestEngine = 'sqlite' | 'postgres';
export const engines: readonly TestEngine[] = ['sqlite', 'postgres'];

/** The second at which the documents' example token was issued: its session answers `2026-05-07T18:30:00Z`. */
export const exampleSeconds = 1_778_175_000;

/** A clock that stands still until a test moves it. */
export type TestClock = { nowMs: number; advance(seconds: number): void };

export type TestServer = {
  readonly url: string;
  /** Address of the TLS listener, where the settings switch it on (`CARDEA_HCX_ENABLED`). */
  readonly httpsUrl: string;
  /** Address of the listener for figures, where the settings switch it on (`CARDEA_METRICS_LISTEN`). */
  readonly metricsUrl: string;
  readonly core: Core;
  readonly clock: TestClock;
  readonly config: Config;
  /** Data directory, with database, keys and log lines beside each other. */
  readonly directory: string;
  /** Every log line written so far. */
  readonly log: readonly string[];
  /** Stops the server and starts a new one on the same store and clock. */
  restart(): Promise<TestServer>;
  /** Stops the server and removes what it kept. */
  close(): Promise<void>;
};

export type TestServerOptions = {
  readonly engine?: TestEngine;
  /** Settings by environment name, e.g. `{ CARDEA_CORS_ORIGINS: 'https://app.example.com' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Real argon2id parameters instead of the cheap ones, for tests of cost. */
  readonly realHashes?: boolean;
  /** Fills the empty store; the documents' example data unless given. */
  readonly prepare?: (core: Core) => Promise<void>;
  /** Another composition root than the product's. */
  readonly start?: typeof startApp;
};

/** A real server on a real socket and a real database, with the demo data and a clock at `exampleSeconds`. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'cardea-test-'));
  const databaseUrl = options.engine === 'postgres' ? await testDatabaseUrl() : '';
  const config = loadConfig({
    CARDEA_HTTP_PORT: '0',
    CARDEA_HTTPS_PORT: '0',
    // Making a certificate takes longer than the rest of a start.
    CARDEA_HCX_ENABLED: 'false',
    CARDEA_DATA: directory,
    CARDEA_DATABASE_URL: databaseUrl,
    CARDEA_PUBLIC_URL: 'https://auth.example.com',
    CARDEA_LOG_LEVEL: 'debug',
    ...options.settings,
  });
  const clock: TestClock = {
    nowMs: exampleSeconds * 1000,
    advance(seconds) {
      this.nowMs += seconds * 1000;
    },
  };
  const log: string[] = [];
  const run = (prepare: (core: Core) => Promise<void>) => startOn({ config, clock, log, directory, options, prepare });
  return run(options.prepare ?? writeDemoData);
}

type Ground = {
  readonly config: Config;
  readonly clock: TestClock;
  readonly log: string[];
  readonly directory: string;
  readonly options: TestServerOptions;
  readonly prepare: (core: Core) => Promise<void>;
};

async function startOn(ground: Ground): Promise<TestServer> {
  const { config, clock, log, directory, options } = ground;
  const app: App = await (options.start ?? startApp)({
    config,
    log: createLog('debug', async (text) => {
      log.push(...text.split('\n').filter((line) => line !== ''));
    }),
    clock: () => clock.nowMs,
    prepare: ground.prepare,
    ...(options.realHashes !== true && { hashCost: { memoryKib: 1024, passes: 1 } }),
  });
  return {
    url: app.url,
    httpsUrl: app.httpsUrl ?? '',
    metricsUrl: app.metricsUrl ?? '',
    core: app.core,
    clock,
    config,
    directory,
    log,
    restart: async () => {
      await app.stop();
      return startOn({ ...ground, prepare: async () => undefined });
    },
    close: async () => {
      await app.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
