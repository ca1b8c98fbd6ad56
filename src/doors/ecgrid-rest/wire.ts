import { z } from 'zod';
import { authLevels, type SessionContext, statuses, type UserFacts } from '../../core/index.ts';

/** A key without an expiry prints this: one year before the last instant that clients can represent in every time zone. */
const never = '9999-01-01T00:00:00Z';

export type SessionView = {
  userId: number;
  login: string;
  networkId: number;
  mailboxId: number;
  authLevel: string;
  expiresAt: string;
};

/** `POST /v2/auth/session`; source: the vendor's Session page. */
export function sessionView(context: SessionContext): SessionView {
  const { user } = context;
  return {
    userId: user.id,
    login: user.login,
    networkId: user.organizationId ?? 0,
    mailboxId: user.mailboxId ?? 0,
    authLevel: user.authLevel,
    expiresAt: context.expiresAt === null ? never : toInstant(context.expiresAt),
  };
}

export type LoginView = { token: string; expiresAt: string; userId: number };

/** `POST /v2/auth/login` and `/refresh`; source: the vendor's Login page. `expiresAt` is the token's own `exp`. */
export function loginView(opened: {
  readonly credential: string;
  readonly credentialExpiresAt: number;
  readonly context: SessionContext;
}): LoginView {
  return {
    token: opened.credential,
    expiresAt: toInstant(opened.credentialExpiresAt),
    userId: opened.context.user.id,
  };
}

export type UserView = {
  userId: number;
  login: string;
  email: string;
  firstName: string;
  lastName: string;
  networkId: number;
  mailboxId: number;
  authLevel: string;
  status: string;
  created: string;
};

export function userView(user: UserFacts): UserView {
  return {
    userId: user.id,
    login: user.login,
    email: user.email,
    firstName: user.firstName,
    lastName: user.lastName,
    networkId: user.organizationId ?? 0,
    mailboxId: user.mailboxId ?? 0,
    authLevel: user.authLevel,
    status: user.status,
    created: toInstant(user.createdAt),
  };
}

/** `YYYY-MM-DDTHH:MM:SSZ` of whole seconds since 1970. */
function toInstant(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

const largestId = 2_147_483_647;
const longestPasswordBytes = 1024;

function typed(word: string) {
  return { error: (issue: { input?: unknown }) => (issue.input === undefined ? 'is required' : `must be ${word}`) };
}

const text = z.string(typed('a string'));
const nameReason = 'must have 1 to 256 characters';
const name = text.refine((value) => value !== '' && [...value].length <= 256, nameReason);
const password = text
  .refine((value) => value !== '', 'must not be empty')
  .refine((value) => Buffer.byteLength(value) <= longestPasswordBytes, 'must have at most 1,024 bytes')
  .refine((value) => value.isWellFormed(), 'must not contain half a surrogate pair');
const idReason = `must be a whole number from 1 to ${largestId}`;
const id = z
  .int({ error: (issue) => (issue.input === undefined ? 'is required' : idReason) })
  .min(1, idReason)
  .max(largestId, idReason);
const idOrNoneReason = `must be a whole number from 0 to ${largestId}`;
const idOrNone = z.int(idOrNoneReason).min(0, idOrNoneReason).max(largestId, idOrNoneReason);
const level = z.enum(authLevels, typed('an AuthLevel word other than NoChange'));
const levelOrNoChange = z.enum([...authLevels, 'NoChange'], typed('an AuthLevel word'));
const status = z.enum(statuses, typed('a Status word'));

/** Two names for one thing may both be sent, if they say the same. */
function firstGiven(
  input: Readonly<Record<string, unknown>>,
  names: readonly string[],
  context: z.RefinementCtx,
): void {
  const given = names.filter((key) => input[key] !== undefined);
  if (new Set(given.map((key) => input[key])).size <= 1) return;
  context.addIssue({ code: 'custom', path: [given[1] ?? ''], message: `must equal ${given[0]}` });
}

export const loginBody = z
  .object({ login: name.optional(), email: name.optional(), username: name.optional(), password })
  .superRefine((input, context) => firstGiven(input, ['login', 'email', 'username'], context))
  .transform(({ login, email, username, ...rest }, context) => {
    const given = login ?? email ?? username;
    if (given !== undefined) return { login: given, ...rest };
    context.addIssue({ code: 'custom', path: ['login'], message: 'is required' });
    return z.NEVER;
  });

export const refreshBody = z
  .object({ token: text.optional(), refreshToken: text.optional() })
  .superRefine((input, context) => firstGiven(input, ['token', 'refreshToken'], context))
  .transform(({ token, refreshToken }) => token ?? refreshToken ?? null);

export const passwordChangeBody = z.object({ currentPassword: password, newPassword: text });

export const createUserBody = z.object({
  login: text,
  password: text,
  email: text,
  firstName: text.default(''),
  lastName: text.default(''),
  networkId: idOrNone.optional(),
  mailboxId: idOrNone.default(0),
  authLevel: level.default('MailboxUser'),
});

export const updateUserBody = z.object({
  userId: id,
  email: text.optional(),
  firstName: text.optional(),
  lastName: text.optional(),
});

const pageReason = 'must be a whole number from 1 to 1000000';
const perPageReason = 'must be a whole number from 1 to 500';

/** `0` and `NoChange` are the contract's words for "no filter". */
export const listUsersBody = z.object({
  networkId: idOrNone.default(0),
  mailboxId: idOrNone.default(0),
  authLevel: levelOrNoChange.default('NoChange'),
  status: status.optional(),
  pageNo: z.int(pageReason).min(1, pageReason).max(1_000_000, pageReason).default(1),
  recordsPerPage: z.int(perPageReason).min(1, perPageReason).max(500, perPageReason).default(25),
});

export const byNameBody = z.object({ login: name });
export const setPasswordBody = z.object({ userId: id, newPassword: text });
export const moveUserBody = z.object({ userId: id, networkId: idOrNone.optional(), mailboxId: idOrNone.optional() });
export const changeRoleBody = moveUserBody.extend({ authLevel: levelOrNoChange });
export const generatePasswordBody = z.object({ length: z.int('must be a whole number').optional() });

/** The `{id}` of a path, undecoded: null for anything but a plain decimal within range. */
export function readPathId(segment: string): number | null {
  if (!/^[1-9][0-9]{0,9}$/.test(segment)) return null;
  const value = Number(segment);
  return value <= largestId ? value : null;
}

export const pathIdReason = idReason;
