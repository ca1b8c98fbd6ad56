import { Database as Sqlite } from 'bun:sqlite';
import { SQL } from 'bun';
import type { Config } from '../../src/config.ts';
import type { Core } from '../../src/core/index.ts';
import { signToken } from '../../src/core/tokens.ts';
import { databasePath } from '../../src/data-directory.ts';
import type { Database } from '../database.ts';

/** Sessions that lie in the store beside those that sign in during the run. */
export type StoredSessions = {
  readonly count: number;
  /** The token of the n-th one, from 0. */
  readonly token: (index: number) => string;
  /** The name of whom it belongs to. */
  readonly login: (index: number) => string;
  /** When all of their tokens expire. */
  readonly endsAtSeconds: number;
};

const firstUserId = 1_000_000;
const sessionsPerUser = 10;
const mostUsers = 100_000;
/** From login to the absolute end. */
const lifeSeconds = 12 * 3600;

/** Who owns the stored sessions: blocks of the same user, so that every index grows at its end. */
function countUsers(sessions: number): number {
  return Math.min(mostUsers, Math.max(1, Math.ceil(sessions / sessionsPerUser)));
}

/**
 * Writes rows of sessions past the core, in the order of their keys: through the core ten million would take a day. What the rows
 * hold is what a login at `/v2` leaves.
 * @param tokenSeconds life of their tokens, all of which expire in the same second
 */
export async function writeStoredSessions(
  core: Core,
  config: Config,
  count: number,
  database: Pick<Database, 'url'> | undefined,
  report: (line: string) => void,
  tokenSeconds: number = lifeSeconds,
): Promise<StoredSessions> {
  const now = Math.floor(Date.now() / 1000);
  if (count > 0) {
    report(`writing ${count.toLocaleString('en')} stored sessions`);
    const rows = { count, now, end: now + tokenSeconds, keyId: core.keys.current.id };
    if (database === undefined) writeToSqlite(databasePath(config.data), rows, report);
    else await writeToPostgres(database.url, rows);
  }
  const users = countUsers(count);
  const { tokenIssuer: iss, tokenAudience: aud } = core.policy;
  const ownerOf = (index: number) => Math.floor((index * users) / count);
  const token = (index: number) => {
    const sub = String(firstUserId + ownerOf(index));
    const claims = { iss, aud, sub, sid: sessionId(index), jti: tokenId(index), iat: now, exp: now + tokenSeconds };
    return signToken(core.keys.current, claims);
  };
  const login = (index: number) => `stored${ownerOf(index)}@example.com`;
  return { count, token, login, endsAtSeconds: now + tokenSeconds };
}

function sessionId(index: number): string {
  return `stored${tokenId(index)}`;
}

function tokenId(index: number): string {
  return String(index).padStart(16, '0');
}

const userColumns = `id, login, login_key, email, email_key, first_name, last_name, auth_level, status, created_at, updated_at`;
const sessionColumns = `id, user_id, generation, entry, live_jti, live_issued_at, live_expires_at, live_key_id, epoch,
  created_at, last_used_at, absolute_expires_at, address, user_agent, sender`;
const rowsPerCommit = 100_000;

/** `end` is the second at which the tokens expire. */
type Rows = { readonly count: number; readonly now: number; readonly end: number; readonly keyId: string };

function writeToSqlite(path: string, { count, now, end, keyId }: Rows, report: (line: string) => void): void {
  const db = new Sqlite(path, { readwrite: true, strict: true });
  const users = countUsers(count);
  // Only here, before any server: what a power cut would cost is a benchmark.
  db.run('pragma synchronous = off');
  db.run('pragma cache_size = -400000');
  const insertUser = db.prepare(
    `insert into users (${userColumns}) values (?1, ?2, ?2, ?2, ?2, 'Stored', 'User', 'MailboxUser', 'Active', ?3, ?3)`,
  );
  const insertMembership = db.prepare(
    'insert into memberships (user_id, organization_id, is_primary, is_admin) values (?, 1, 1, 0)',
  );
  const insertSession = db.prepare(
    `insert into sessions (${sessionColumns})
     values (?1, ?2, 0, 'ecgrid-rest', ?3, ?4, ?5, ?6, 1, ?4, ?4, ?7, '203.0.113.7', 'bench', '{}')`,
  );
  inTransactions(db, users, (index) => {
    insertUser.run(firstUserId + index, `stored${index}@example.com`, now);
    insertMembership.run(firstUserId + index);
  });
  const userOf = (index: number) => firstUserId + Math.floor((index * users) / count);
  inTransactions(db, count, (index) => {
    insertSession.run(sessionId(index), userOf(index), tokenId(index), now, end, keyId, now + lifeSeconds);
    if (index % 1_000_000 === 999_999) report(`  ${(index + 1).toLocaleString('en')} written`);
  });
  for (const statement of [insertUser, insertMembership, insertSession]) statement.finalize();
  db.run('pragma wal_checkpoint(truncate)');
  db.close();
}

function inTransactions(db: Sqlite, count: number, write: (index: number) => void): void {
  for (let start = 0; start < count; start += rowsPerCommit) {
    db.transaction(() => {
      for (let index = start; index < Math.min(count, start + rowsPerCommit); index++) write(index);
    })();
  }
}

async function writeToPostgres(url: string, { count, now, end, keyId }: Rows): Promise<void> {
  const sql = new SQL(url, { max: 1 });
  const users = countUsers(count);
  const userOf = `${firstUserId} + (index * ${users}::bigint / ${count})::integer`;
  const jti = `lpad(index::text, 16, '0')`;
  const name = `'stored' || index || '@example.com'`;
  await sql.unsafe(
    `insert into users (${userColumns})
     select ${firstUserId} + index, ${name}, ${name}, ${name}, ${name}, 'Stored', 'User', 'MailboxUser', 'Active', ${now}, ${now}
     from generate_series(0, ${users - 1}) as index`,
  );
  await sql.unsafe(
    `insert into memberships (user_id, organization_id, is_primary, is_admin)
     select ${firstUserId} + index, 1, 1, 0 from generate_series(0, ${users - 1}) as index`,
  );
  await sql.unsafe(
    `insert into sessions (${sessionColumns})
     select 'stored' || ${jti}, ${userOf}, 0, 'ecgrid-rest', ${jti}, ${now}, ${end}, '${keyId}', 1,
       ${now}, ${now}, ${now + lifeSeconds}, '203.0.113.7', 'bench', '{}'
     from generate_series(0, ${count - 1}) as index`,
  );
  await sql.unsafe('analyze');
  await sql.close();
}
