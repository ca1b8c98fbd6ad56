import type { Store } from '../store/open.ts';
import type { ContextCache } from './contexts.ts';
import type { Hasher } from './hash-lane.ts';
import type { Blocklist } from './passwords.ts';
import type { RateLimiter } from './rates.ts';
import type { SigningKeys } from './tokens.ts';
import type { Turns } from './turns.ts';
import type { UseRecorder } from './uses.ts';

/** Milliseconds since 1970; injected so that tests move it. */
export type Clock = () => number;

export type LogFields = Record<string, unknown>;

/** The part of the log that the core writes to. */
export type CoreLog = {
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
};

/** The rules that are settings. Durations in seconds unless named otherwise. */
export type Policy = {
  readonly tokenIssuer: string;
  readonly tokenAudience: string;
  readonly absoluteSeconds: number;
  readonly maxSessionsPerUser: number;
  readonly passwordMinLength: number;
  readonly passwordComposition: boolean;
  /** Host of the public address, which is no password either. */
  readonly host: string;
  readonly throttleFreeTries: number;
  readonly throttleAddressPerMinute: number;
  readonly throttleAddressPerHour: number;
};

/** Everything an operation needs; made once by the composition root. */
export type Core = {
  readonly store: Store;
  readonly clock: Clock;
  readonly keys: SigningKeys;
  readonly policy: Policy;
  readonly hasher: Hasher;
  readonly blocklist: Blocklist;
  readonly log: CoreLog;
  /** Contexts of credentials that were judged before; null where every check reads the store. */
  readonly contexts: ContextCache | null;
  readonly uses: UseRecorder;
  /** Tries to sign in that are under way in this process, by name. */
  readonly loginTurns: Turns;
  /** Accepted checks per principal, and refused credentials per address. */
  readonly checkRates: RateLimiter;
  readonly refusalRates: RateLimiter;
};

/** Whole seconds since 1970: the unit in which every instant is stored, printed and enforced. */
export function nowSeconds(core: Pick<Core, 'clock'>): number {
  return Math.floor(core.clock() / 1000);
}
