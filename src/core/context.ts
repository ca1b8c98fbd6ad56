import type { FactRow } from '../store/directory.ts';
import type { UserRow } from '../store/users.ts';
import type { AuthLevel, Status } from './access.ts';
import type { SecretKind } from './tokens.ts';

/** What a caller presents; the door found it, the core judges it. */
export type Credential =
  /** A JWT, as it came. */
  | { readonly kind: 'bearer'; readonly token: string }
  /** An API key in GUID layout. */
  | { readonly kind: 'api_key'; readonly key: string }
  /** An opaque secret: of a cookie, a GUID (SOAP) or a token of hex and colons (appliance). */
  | { readonly kind: SecretKind; readonly secret: string };

/** Where a request comes from, for throttle, audit and log. */
export type CallerFacts = { readonly address: string; readonly userAgent: string; readonly requestId: string };

export type UserFacts = {
  readonly id: number;
  readonly login: string;
  readonly email: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly authLevel: AuthLevel;
  readonly status: Status;
  readonly createdAt: number;
  /** E-mail of the user who created this one; null when the system did, or that user is gone. */
  readonly createdBy: string | null;
  readonly updatedAt: number;
  readonly updatedBy: string | null;
  /** Organization of the primary membership, null for none. */
  readonly organizationId: number | null;
  /** The user's mailbox in it, null for none. */
  readonly mailboxId: number | null;
};

export type Membership = {
  readonly organizationId: number;
  readonly organizationKey: string;
  readonly organizationName: string;
  readonly enterpriseName: string;
  readonly isPrimary: boolean;
  readonly isAdmin: boolean;
};

/** What the directory says of a user beyond the user's own record. */
export type DirectoryFacts = {
  /** Primary first, then by name, then by id. */
  readonly memberships: readonly Membership[];
  /** Names, each once, in the order in which they were given. */
  readonly roles: readonly string[];
  /** Held directly or through a role; names, each once, in ascending code-point order. */
  readonly permissions: readonly string[];
};

/** Whom a credential stands for, now: an immutable value that every contract's answer is a view of. Instants in seconds. */
export type SessionContext = {
  readonly credential: Credential['kind'] | 'password';
  readonly user: UserFacts;
  /** The session behind the credential; null for an API key, which has none. */
  readonly session: { readonly id: string; readonly entry: string } | null;
  /** Whose allowance of requests a use spends: the session, or the user where there is none. */
  readonly principal: string;
  /** When the session was opened, or the key made. */
  readonly createdAt: number;
  /** The earliest of token expiry, idle end and absolute end; for a key its own expiry, null for none. */
  readonly expiresAt: number | null;
  /** The user has to do something elsewhere first (change the password): nearly every operation is closed. */
  readonly stepDue: boolean;
};

/** A context with everything that any contract prints. */
export type DescribedContext = SessionContext & DirectoryFacts;

const words = new Map<string, string>();

/** One of few words, such as a level: a driver makes a new text for each row, and thousands of contexts would each hold their own. */
export function keptOnce(word: string): string {
  const kept = words.get(word);
  if (kept !== undefined) return kept;
  words.set(word, word);
  return word;
}

export function toUserFacts(row: UserRow): UserFacts {
  return {
    id: row.user_id,
    login: row.login,
    email: row.email,
    firstName: row.first_name,
    lastName: row.last_name,
    authLevel: keptOnce(row.auth_level) as AuthLevel,
    status: keptOnce(row.status) as Status,
    createdAt: row.user_created_at,
    createdBy: row.created_by_email,
    updatedAt: row.user_updated_at,
    updatedBy: row.updated_by_email,
    organizationId: row.organization_id,
    mailboxId: row.mailbox_id,
  };
}

export function toDirectoryFacts(rows: readonly FactRow[]): DirectoryFacts {
  return {
    memberships: rows
      .filter((row) => row.kind === 'organization')
      .map(toMembership)
      .sort(compareMemberships),
    roles: namesOf(rows, 'role'),
    permissions: namesOf(rows, 'permission').sort(compareCodePoints),
  };
}

function toMembership(row: FactRow): Membership {
  return {
    organizationId: row.id,
    organizationKey: row.key,
    organizationName: row.name,
    enterpriseName: row.enterprise,
    isPrimary: row.is_primary === 1,
    isAdmin: row.is_admin === 1,
  };
}

function compareMemberships(a: Membership, b: Membership): number {
  if (a.isPrimary !== b.isPrimary) return a.isPrimary ? -1 : 1;
  return compareCodePoints(a.organizationName, b.organizationName) || a.organizationId - b.organizationId;
}

function namesOf(rows: readonly FactRow[], kind: FactRow['kind']): string[] {
  const found = rows.filter((row) => row.kind === kind).sort((a, b) => a.position - b.position);
  return [...new Set(found.map((row) => row.name))];
}

/** Compares by code points: UTF-8 bytes sort as they do, JavaScript's own order is that of UTF-16 units. */
export function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
