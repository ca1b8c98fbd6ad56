import type { ColumnTypes } from './index.ts';

/** The tables of `schema.ts`. `instant`, `strict`: see `ColumnTypes`. */
export function firstSchema({ instant, strict }: ColumnTypes): string[] {
  return [
    `create table counters (name text primary key, value integer not null)${strict}`,
    `insert into counters (name, value) values ('session_epoch', 1)`,

    `create table enterprises (id integer primary key, name text not null unique)${strict}`,
    `create table organizations (
      id integer primary key,
      enterprise_id integer not null references enterprises (id),
      key text not null unique,
      name text not null
    )${strict}`,
    `create table mailboxes (
      id integer primary key,
      organization_id integer not null references organizations (id),
      name text not null
    )${strict}`,

    `create table users (
      id integer primary key,
      login text not null,
      login_key text not null unique,
      email text not null,
      email_key text not null,
      first_name text not null,
      last_name text not null,
      auth_level text not null,
      status text not null,
      password_hash text,
      password_expires_at ${instant},
      password_change_due integer not null default 0,
      failed_passwords integer not null default 0,
      session_generation integer not null default 0,
      created_at ${instant} not null,
      created_by integer references users (id) on delete set null,
      updated_at ${instant} not null,
      updated_by integer references users (id) on delete set null
    )${strict}`,
    `create index users_email_key on users (email_key)`,
    `create index users_created_by on users (created_by)`,
    `create index users_updated_by on users (updated_by)`,
    `create table memberships (
      user_id integer not null references users (id) on delete cascade,
      organization_id integer not null references organizations (id),
      mailbox_id integer references mailboxes (id),
      is_primary integer not null,
      is_admin integer not null,
      primary key (user_id, organization_id)
    )${strict}`,
    `create unique index memberships_one_primary on memberships (user_id) where is_primary = 1`,
    `create index memberships_organization on memberships (organization_id)`,

    `create table roles (id integer primary key, name text not null unique)${strict}`,
    `create table permissions (id integer primary key, name text not null unique)${strict}`,
    `create table role_permissions (
      role_id integer not null references roles (id) on delete cascade,
      permission_id integer not null references permissions (id) on delete cascade,
      primary key (role_id, permission_id)
    )${strict}`,
    `create table user_roles (
      user_id integer not null references users (id) on delete cascade,
      role_id integer not null references roles (id) on delete cascade,
      position integer not null,
      primary key (user_id, role_id)
    )${strict}`,
    `create table user_permissions (
      user_id integer not null references users (id) on delete cascade,
      permission_id integer not null references permissions (id) on delete cascade,
      primary key (user_id, permission_id)
    )${strict}`,

    `create table api_keys (
      id integer primary key,
      user_id integer not null references users (id) on delete cascade,
      digest text not null unique,
      created_at ${instant} not null,
      expires_at ${instant}
    )${strict}`,
    `create index api_keys_user on api_keys (user_id)`,

    `create table sessions (
      id text primary key,
      user_id integer not null references users (id) on delete cascade,
      generation integer not null,
      entry text not null,
      secret_digest text unique,
      live_jti text,
      live_issued_at ${instant},
      live_expires_at ${instant},
      live_key_id text,
      previous_jti text,
      rotated_ms ${instant},
      api_key_id integer,
      epoch integer not null,
      idle_seconds integer,
      created_at ${instant} not null,
      last_used_at ${instant} not null,
      absolute_expires_at ${instant} not null,
      ended_at ${instant},
      end_reason text,
      address text not null,
      user_agent text not null,
      sender text not null
    )${strict}`,
    `create index sessions_user on sessions (user_id, created_at)`,
    `create index sessions_ended on sessions (ended_at) where ended_at is not null`,
    `create index sessions_absolute on sessions (absolute_expires_at)`,
    `create index sessions_api_key on sessions (api_key_id) where api_key_id is not null`,

    `create table throttle (
      subject text primary key,
      failures integer not null,
      since_ms ${instant} not null,
      last_ms ${instant} not null
    )${strict}`,
    `create index throttle_last on throttle (last_ms)`,
    `create table known_addresses (
      user_id integer not null references users (id) on delete cascade,
      address text not null,
      last_try_ms ${instant} not null,
      last_login_at ${instant} not null,
      primary key (user_id, address)
    )${strict}`,
    `create index known_addresses_last on known_addresses (last_login_at)`,

    `create table audit_events (
      id integer primary key,
      at ${instant} not null,
      event text not null,
      actor_user_id integer,
      target_user_id integer,
      session_mark text,
      address text not null,
      user_agent text not null,
      request_id text not null,
      detail text not null,
      previous_hash text not null,
      hash text not null
    )${strict}`,
    `create index audit_events_target on audit_events (target_user_id, id)`,
    `create table audit_head (id integer primary key, last_id integer not null, last_hash text not null)${strict}`,
    `insert into audit_head (id, last_id, last_hash) values (1, 0, '')`,
  ];
}
