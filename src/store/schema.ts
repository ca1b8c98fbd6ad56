/**
 * The persisted shapes, and their only home. Column types are chosen so that both drivers hand back the same plain values:
 * identifiers are 32-bit integers, flags are the integers 0 and 1, and instants (`…_at`, whole seconds since 1970) are
 * `integer` on SQLite and `double precision` on PostgreSQL, whose 64-bit integers would arrive as strings.
 */
export type Schema = {
  /**
   * `schema`: number of the last migration. `installation_id`, `installation_started_ms`: the store's identity. `backup_made_at`:
   * the file was written by `cardea backup` then, and is not in use. `timeline`: of the PostgreSQL server on which the sessions live
   * (see `failover.ts`).
   */
  meta: { name: string; value: string };
  /**
   * `session_epoch`: sessions of another epoch are dead (a restored backup raises it). `starts`: servers started so far (see
   * `lineage.ts`). Any other name is a table: the last identifier given out in it, so that none is used twice, also after a
   * deletion.
   */
  counters: { name: string; value: number };

  enterprises: { id: number; name: string };
  organizations: { id: number; enterprise_id: number; key: string; name: string };
  mailboxes: { id: number; organization_id: number; name: string };

  users: UsersTable;
  memberships: {
    user_id: number;
    organization_id: number;
    /** The user's mailbox in this organization, if any. */
    mailbox_id: number | null;
    is_primary: number;
    is_admin: number;
  };

  roles: { id: number; name: string };
  permissions: { id: number; name: string };
  role_permissions: { role_id: number; permission_id: number };
  /** `position`: place in the order in which the roles were given. */
  user_roles: { user_id: number; role_id: number; position: number };
  user_permissions: { user_id: number; permission_id: number };

  api_keys: {
    id: number;
    user_id: number;
    /** SHA-256 of the 16 key bytes, lower-case hex. The key itself is shown once and stored nowhere. */
    digest: string;
    created_at: number;
    expires_at: number | null;
  };

  sessions: SessionsTable;

  throttle: {
    /** What is counted: `name:<digest>`, `minute:<address>`, `hour:<address>`. */
    subject: string;
    failures: number;
    /** First failure of the window. */
    since_ms: number;
    /** Latest failure. */
    last_ms: number;
  };

  /** Addresses from which a name signed in before: they keep one try per 30 s while the name is throttled. */
  known_addresses: { user_id: number; address: string; last_try_ms: number; last_login_at: number };

  audit_events: {
    id: number;
    at: number;
    event: string;
    actor_user_id: number | null;
    target_user_id: number | null;
    /** First 8 hex digits of the session id's digest: enough to follow, useless to sign in with. */
    session_mark: string | null;
    address: string;
    user_agent: string;
    request_id: string;
    /** JSON text, never a secret. */
    detail: string;
    previous_hash: string;
    hash: string;
  };
  /** The one row that orders the audit chain. */
  audit_head: { id: number; last_id: number; last_hash: string };
};

export type UsersTable = {
  id: number;
  login: string;
  /** NFKC, lower case: what sign-in compares. Unique. */
  login_key: string;
  email: string;
  email_key: string;
  first_name: string;
  last_name: string;
  auth_level: string;
  status: string;
  password_hash: string | null;
  /** After this instant the password no longer signs in (the first administrator's printed one). */
  password_expires_at: number | null;
  password_change_due: number;
  /** Wrong passwords in a row over every name this user signs in with; at 100 password sign-in is off until reset. */
  failed_passwords: number;
  /** Raised by whatever ends all sessions: one of an older generation is dead, whatever its row says. */
  session_generation: number;
  created_at: number;
  created_by: number | null;
  updated_at: number;
  updated_by: number | null;
};

export type SessionsTable = {
  /** Public id, 22 base64url characters; not a credential. */
  id: string;
  user_id: number;
  /** The user's `session_generation` when it was opened. */
  generation: number;
  /** Which way in opened it, e.g. `ecgrid-rest`. */
  entry: string;
  /** SHA-256 of an opaque secret (cookie and, later, SOAP and appliance tokens); null for JWT sessions. */
  secret_digest: string | null;
  /** The one live JWT of the session, rebuilt from these when a refresh is repeated within the grace. */
  live_jti: string | null;
  live_issued_at: number | null;
  live_expires_at: number | null;
  live_key_id: string | null;
  previous_jti: string | null;
  rotated_ms: number | null;
  api_key_id: number | null;
  /** The store's `session_epoch` when it was opened. */
  epoch: number;
  idle_seconds: number | null;
  created_at: number;
  last_used_at: number;
  absolute_expires_at: number;
  ended_at: number | null;
  end_reason: string | null;
  address: string;
  user_agent: string;
  /** JSON text: what the client said of itself at login. */
  sender: string;
};
