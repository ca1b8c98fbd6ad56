/**
 * Behind one address another PostgreSQL server may stand at any moment, promoted from a standby that had not yet heard of the last
 * revocations. The server behind a connection cannot change while the connection lives, so each new one makes its server suspect:
 * until that server is recognised, nothing that was read counts.
 */
import { sql } from 'kysely';
import { StoreError } from './errors.ts';
import type { Db } from './users.ts';

/** What the server at the other end is, read from itself. */
export type ServerIdentity = {
  /** Eight hex digits; every promotion begins a new one. */
  readonly timeline: string;
  /** The timeline to which the database's sessions belong; null before the first start. */
  readonly known: string | null;
  /** When the server process began. */
  readonly startedAt: string;
};

const timelineName = 'timeline';
/** Any role may ask this; the server's own record of its last checkpoint would lag behind a promotion. */
const timeline = sql<string>`substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)`;

/** @throws StoreError, also for a standby, which has no position of its own to write at */
export async function readServer(db: Db): Promise<ServerIdentity> {
  const known = db.selectFrom('meta').select('value').where('name', '=', timelineName);
  const { rows } = await sql<ServerIdentity>`select ${timeline} as timeline, (${known}) as known,
    cast(pg_postmaster_start_time() as text) as "startedAt"`.execute(db);
  return rows[0] as ServerIdentity;
}

/** Gives a database that has none its timeline: a new one, or one from before timelines were written down. */
export async function ensureTimeline(db: Db): Promise<void> {
  await db
    .insertInto('meta')
    .values({ name: timelineName, value: timeline })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
}

/** Writes down the timeline of the server. @returns whether it was another; of two instances at once one is told so */
export async function takeTimeline(trx: Db): Promise<boolean> {
  const result = await trx
    .insertInto('meta')
    .values({ name: timelineName, value: timeline })
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet((row) => ({ value: row.ref('excluded.value') }))
        .where('meta.value', '<>', timeline),
    )
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** Lets nothing count that was asked of a server before it was recognised. */
export type FailoverGuard = {
  /** A connection was opened. */
  readonly suspect: () => void;
  /** What `admit` is to be told when the answer is there. */
  readonly era: () => number;
  /** Whether what was asked in `era` counts at once; costs nothing while no connection is opened. */
  readonly counts: (era: number) => boolean;
  /** Waits until the server is recognised. @throws StoreError 'unavailable' when it is not, or not the one of that `era` */
  readonly admit: (era: number) => Promise<void>;
  /** As `admit`, for what is asked only afterwards. */
  readonly recognised: () => Promise<void>;
  /** From now on connections make suspect; `recognise` names the server, by a connection opened for it. @throws what it throws */
  readonly begin: (recognise: () => Promise<string>) => Promise<void>;
};

export function createFailoverGuard(): FailoverGuard {
  let recognise: (() => Promise<string>) | undefined;
  let server: string | undefined;
  let era = 0;
  let isSuspect = false;
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    while (isSuspect && recognise !== undefined) {
      // A connection that is opened meanwhile may reach yet another server: it is looked at in the next round.
      isSuspect = false;
      try {
        const found = await recognise();
        if (found !== server) era += 1;
        server = found;
      } catch (error) {
        isSuspect = true;
        throw error instanceof StoreError ? error : new StoreError('unavailable', error);
      }
    }
  }

  const counts = (asked: number): boolean => !isSuspect && looking === undefined && asked === era;
  const recognised = async (): Promise<void> => {
    if (!isSuspect && looking === undefined) return;
    looking ??= look().finally(() => {
      looking = undefined;
    });
    await looking;
  };

  return {
    suspect() {
      isSuspect = recognise !== undefined;
    },
    era: () => era,
    counts,
    async admit(asked) {
      await recognised();
      if (!counts(asked)) throw new StoreError('unavailable', new Error('Another server of PostgreSQL took over'));
    },
    recognised,
    async begin(by) {
      recognise = by;
      isSuspect = true;
      await recognised();
    },
  };
}
