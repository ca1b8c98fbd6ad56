import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCore } from '../../src/open-core.ts';
import { loadConfig } from '../../src/config.ts';
import {
  CoreError,
  authenticate,
  type CallerFacts,
  type Core,
  type Credential,
  login,
  type OpenedSession,
  type SessionContext,
  type SessionPolicy,
  startHasher,
} from '../../src/core/index.ts';
import { createLog } from '../../src/log.ts';
import { isStoreTrouble } from '../../src/store/errors.ts';
import { testDatabaseUrl } from './postgres.ts';
import { exampleSeconds, type TestClock, type TestEngine } from './server.ts';
import { testPassword } from './users.ts';

/** The core on a store of its own, without any door, at a clock that stands still. */
export type TestCore = {
  readonly core: Core;
  readonly clock: TestClock;
  /** Every log line written so far. */
  readonly log: readonly string[];
  /** A further instance on the same store and clock. */
  readonly openAnother: () => Promise<Core>;
  readonly close: () => Promise<void>;
};

export type TestCoreOptions = {
  readonly engine?: TestEngine;
  readonly settings?: Readonly<Record<string, string>>;
};

export async function openTestCore({ engine = 'sqlite', settings = {} }: TestCoreOptions = {}): Promise<TestCore> {
  const directory = mkdtempSync(join(tmpdir(), 'cardea-core-'));
  const databaseUrl = engine === 'postgres' ? await testDatabaseUrl() : '';
  const config = loadConfig({ CARDEA_DATA: directory, CARDEA_DATABASE_URL: databaseUrl, ...settings });
  const clock: TestClock = {
    nowMs: exampleSeconds * 1000,
    advance(seconds) {
      this.nowMs += seconds * 1000;
    },
  };
  const log: string[] = [];
  const closings: (() => Promise<void>)[] = [];
  const open = async (): Promise<Core> => {
    const opened = await openCore({
      config,
      log: createLog('debug', async (text) => void log.push(...text.trim().split('\n'))),
      clock: () => clock.nowMs,
      hashWorkers: 1,
      create: true,
    });
    // A lane that sheds nothing: races are about the store, not about waiting for a hash.
    const hasher = startHasher({ width: 2, memoryKib: 1024, passes: 1, queueLength: 1000, queueMs: 20_000 });
    closings.push(async () => {
      await hasher.close();
      await opened.close();
    });
    return { ...opened.core, hasher };
  };
  const core = await open();
  const close = async () => {
    for (const closing of closings) await closing();
    rmSync(directory, { recursive: true, force: true });
  };
  return { core, clock, log, openAnother: open, close };
}

export const restPolicy: SessionPolicy = { entry: 'test-rest', idleSeconds: null, tokenSeconds: 3600, form: 'token' };
export const webPolicy: SessionPolicy = { entry: 'test-web', idleSeconds: 3600, tokenSeconds: null, form: 'token' };

export function callerFrom(address = '192.0.2.1'): CallerFacts {
  return { address, userAgent: 'test', requestId: 'test' };
}

/** A new address at each call, for tries that no address limit should join. */
export function freshCaller(): CallerFacts {
  freshAddresses += 1;
  return callerFrom(`10.${(freshAddresses >> 16) & 255}.${(freshAddresses >> 8) & 255}.${freshAddresses & 255}`);
}
let freshAddresses = 0;

export type SignIn = { readonly password?: string; readonly policy?: SessionPolicy; readonly caller?: CallerFacts };

/** Signs in with the password of `addUser` unless told otherwise. */
export function signIn(core: Core, name: string, input: SignIn = {}): Promise<OpenedSession> {
  return login(core, {
    name,
    password: input.password ?? testPassword,
    matching: 'either',
    policy: input.policy ?? restPolicy,
    caller: input.caller ?? freshCaller(),
  });
}

/** `ok`, or the core's word for what it refused or could not do; a fault of ours flies. */
export async function outcomeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (error) {
    if (error instanceof CoreError) return error.code;
    if (isStoreTrouble(error)) return 'unavailable';
    throw error;
  }
}

/** Whether a token is accepted now. */
export async function isLive(core: Core, token: string): Promise<boolean> {
  const outcome = await outcomeOf(check(core, { kind: 'bearer', token }));
  if (outcome !== 'ok' && outcome !== 'session_invalid') throw new Error(outcome);
  return outcome === 'ok';
}

/**
 * How often each outcome came. Those that a busy store shed (AVL-03) are left out: on a slow machine a crowd outlasts its half second.
 */
export async function tally(works: readonly Promise<unknown>[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const outcome of await Promise.all(works.map(outcomeOf))) counts[outcome] = (counts[outcome] ?? 0) + 1;
  delete counts['unavailable'];
  return counts;
}

/** `authenticate` by promise, whether the core answers at once or later. */
export async function check(core: Core, credential: Credential): Promise<SessionContext> {
  return authenticate(core, credential);
}
