import { z } from 'zod';
import { CoreError, compareCodePoints, type Membership, type DescribedContext } from '../../core/index.ts';
import { UserSessionError } from './errors.ts';

export type AccountView = {
  accountId: string;
  accountName: string;
  usersPrimaryAccount: boolean;
  accountAdmin: boolean;
};

/** The one answer of this contract; optional members are left out, never null. Source: the `UserSession` schema. */
export type UserSessionView = {
  id: number;
  email: string;
  createdBy?: string;
  updatedBy?: string;
  createdAt: string;
  updatedAt: string;
  primaryAccount?: AccountView;
  accounts: AccountView[];
  flatRolesList: readonly string[];
  flatPermissionsList: readonly string[];
  token: string;
  active: true;
  impersonating: null;
  expiresAt: string;
  currentAccountId?: string;
};

/**
 * @param token the bearer token, byte for byte as the client has it; empty for a cookie session
 * @param accountId what the client chose by `x-account-id`, judged already; undefined for the primary account
 */
export function userSessionView(
  context: DescribedContext,
  token: string,
  accountId: string | undefined,
): UserSessionView {
  const { user } = context;
  const accounts = context.memberships.map(accountView);
  const primary = accounts.find((account) => account.usersPrimaryAccount);
  const current = accountId ?? primary?.accountId;
  return {
    id: user.id,
    email: user.email,
    ...(user.createdBy !== null && { createdBy: user.createdBy }),
    ...(user.updatedBy !== null && { updatedBy: user.updatedBy }),
    createdAt: toInstant(user.createdAt),
    updatedAt: toInstant(user.updatedAt),
    ...(primary !== undefined && { primaryAccount: primary }),
    accounts,
    flatRolesList: [...context.roles].sort(compareCodePoints),
    flatPermissionsList: context.permissions,
    token,
    active: true,
    impersonating: null,
    expiresAt: toInstant(context.expiresAt ?? 0),
    ...(current !== undefined && { currentAccountId: current }),
  };
}

function accountView(membership: Membership): AccountView {
  return {
    accountId: String(membership.organizationId),
    accountName: membership.organizationName,
    usersPrimaryAccount: membership.isPrimary,
    accountAdmin: membership.isAdmin,
  };
}

/** ISO 8601 with three decimals, of whole seconds since 1970. */
function toInstant(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/**
 * The account that `x-account-id` names.
 * @throws UserSessionError `foreign_account` for anything that is not one of the user's own
 */
export function readAccountChoice(header: string | null, context: DescribedContext): string | undefined {
  if (header === null || header === '' || header === 'null' || header === 'undefined') return undefined;
  const own = context.memberships.some((membership) => String(membership.organizationId) === header);
  if (!own) throw new UserSessionError('foreign_account');
  return header;
}

export type LoginBody = (
  | { readonly kind: 'password'; readonly email: string; readonly password: string }
  | { readonly kind: 'key'; readonly apiKey: string; readonly apiSecret: string }
) & { readonly cookie: boolean };

const password = z.string().refine((text) => text !== '' && Buffer.byteLength(text) <= 1024 && text.isWellFormed());
const passwordPair = z.object({
  email: z
    .string()
    .min(1)
    .max(256)
    .regex(/^\P{Cc}*$/u),
  password,
});
const keyPair = z.object({ apiKey: z.string().min(1).max(128), apiSecret: z.string().min(1).max(256) });
const cookieMember = z.object({ cookie: z.boolean().default(false) });

/**
 * Judges a login's body: exactly one pair, complete, then types and bounds.
 * @throws UserSessionError `pair_incomplete`
 * @throws CoreError `input_invalid` naming the member
 */
export function readLoginBody(input: Readonly<Record<string, unknown>>): LoginBody {
  const has = (...names: readonly string[]) => names.every((name) => input[name] !== undefined);
  const byPassword = has('email', 'password') && !has('apiKey') && !has('apiSecret');
  const byKey = has('apiKey', 'apiSecret') && !has('email') && !has('password');
  if (!byPassword && !byKey) throw new UserSessionError('pair_incomplete');
  const pair = byPassword
    ? { kind: 'password' as const, ...parse(passwordPair, input) }
    : { kind: 'key' as const, ...parse(keyPair, input) };
  return { ...pair, ...parse(cookieMember, input) };
}

function parse<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new CoreError('input_invalid', { field: String(result.error.issues[0]?.path[0] ?? 'body') });
}
