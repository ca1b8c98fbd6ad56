import { type BoundedMap, createBoundedMap } from './bounded-map.ts';
import type { Credential, SessionContext } from './context.ts';

/** What a credential stands for, and the seconds from which on the store must be asked again: its end, or a use worth recording. */
type Entry = {
  readonly kind: Credential['kind'];
  readonly context: SessionContext;
  readonly goodBefore: number;
  /** What `changes` was when the entry was made. */
  readonly change: number;
  touchedAt: number;
};

/**
 * The contexts of credentials that proved good, by the credential's exact text, so that a repeated check costs one look-up. An
 * entry answers only as long as nothing that it was read from can have changed.
 */
export type ContextCache = {
  /** The context of a credential, if the store need not be asked. */
  find(kind: Credential['kind'], text: string, nowSeconds: number): SessionContext | undefined;
  /** Keeps what was read in this very turn of the event loop: a context that waited in between may be from before a change. */
  keep(kind: Credential['kind'], text: string, context: SessionContext, goodBefore: number, nowSeconds: number): void;
  /** Whether a credential was refused a moment ago. */
  isRefused(kind: Credential['kind'], text: string, nowSeconds: number): boolean;
  /** Keeps a refusal for a few seconds: clients repeat a dead credential, and asking the store costs most of the answer. */
  keepRefusal(kind: Credential['kind'], text: string, nowSeconds: number): void;
  /** Forgets what is known of one user. */
  forgetUser(userId: number): void;
  forgetAll(): void;
  /** How many credentials are held. */
  readonly size: () => number;
};

/** Changes of other processes are looked for at most this often; whoever makes one waits longer before it reports success. */
const foreignCheckMs = 50;
/**
 * Refusals kept of each kind; they have a place of their own, so that guesses push no good credential out. What is refused can become good only by
 * a change that concerns everybody (a user enabled again, a key stored), or not at all.
 */
const mostRefusals = 1_000;
const refusalSeconds = 10;
/** With more forgotten users than this everything is forgotten instead, so that the list of them stays short. */
const mostForgotten = 10_000;

/**
 * @param capacity most credentials held; the least recently used leave first, by the second
 * @param foreignChanges a number that moves when another process changed the store; may throw, which then forgets everything
 */
export function createContextCache(capacity: number, foreignChanges: () => number): ContextCache {
  const entries = createBoundedMap<Entry>(capacity);
  /** By kind, since one text may be refused as two, and by text the second of the refusal. */
  const refusals = new Map<Credential['kind'], BoundedMap<number>>();
  /** By user, the change after which an entry is good again. */
  const forgotten = new Map<number, number>();
  let changes = 0;
  let foreign = -1;
  let lookedMs = Number.NEGATIVE_INFINITY;

  function forgetAll(): void {
    entries.clear();
    refusals.clear();
    forgotten.clear();
  }

  /** A store that cannot say whether it changed is asked for everything: then its trouble is told as what it is. */
  function lookForForeignChanges(): void {
    const nowMs = performance.now();
    if (nowMs - lookedMs < foreignCheckMs) return;
    lookedMs = nowMs;
    let seen = -1;
    try {
      seen = foreignChanges();
    } catch {
      lookedMs = Number.NEGATIVE_INFINITY;
    }
    if (seen !== foreign || seen === -1) forgetAll();
    foreign = seen;
  }

  lookForForeignChanges();
  return {
    find(kind, text, nowSeconds) {
      lookForForeignChanges();
      const entry = entries.get(text);
      if (entry === undefined || entry.kind !== kind || nowSeconds >= entry.goodBefore) return undefined;
      if (entry.change < (forgotten.get(entry.context.user.id) ?? 0)) return undefined;
      if (entry.touchedAt !== nowSeconds) {
        entry.touchedAt = nowSeconds;
        entries.set(text, entry);
      }
      return entry.context;
    },
    keep(kind, text, context, goodBefore, nowSeconds) {
      entries.set(text, { kind, context, goodBefore, change: changes, touchedAt: nowSeconds });
    },
    isRefused(kind, text, nowSeconds) {
      const since = refusals.get(kind)?.get(text);
      if (since === undefined) return false;
      // A clock that was set back must not make a refusal last.
      return nowSeconds >= since && nowSeconds < since + refusalSeconds;
    },
    keepRefusal(kind, text, nowSeconds) {
      let own = refusals.get(kind);
      if (own === undefined) {
        own = createBoundedMap<number>(mostRefusals);
        refusals.set(kind, own);
      }
      own.set(text, nowSeconds);
    },
    forgetUser(userId) {
      changes += 1;
      if (forgotten.size >= mostForgotten) forgetAll();
      else forgotten.set(userId, changes);
    },
    forgetAll,
    size: entries.size,
  };
}
