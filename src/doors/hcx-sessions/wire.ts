import { createHash, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { CoreError, compareCodePoints, type Membership, type SessionContext } from '../../core/index.ts';
import { HcxError } from './errors.ts';

/** What this installation says of itself to clients of the contract. */
export type Installation = {
  /** UUID, made once per store. */
  readonly id: string;
  /** Milliseconds since 1970 at which the store was made. */
  readonly startedMs: number;
  readonly cloudName: string;
  readonly cloudType: string;
  /** DER of the certificate that the appliance listener shows now, base64. */
  readonly certificate: () => string;
};

export type UserView = {
  enterprise: string;
  organization: string[];
  currentOrganization: string;
  roles: readonly string[];
  username: string;
  transactionId: string;
};

export type SessionData = {
  user: UserView;
  cloud: { name: string; type: string };
  organizations: { name: string; id: string }[];
};

/** Writes JSON with the id of the request at its place. */
export type DataWriter = (transactionId: string) => string;

/** `data` of GET and POST `/api/admin/v1/sessions` (section 4.1 of the contract). */
export function writeSessionData(context: SessionContext, installation: Installation): DataWriter {
  return writeAround((transactionId) => sessionData(context, transactionId, installation));
}

/** Writes a view once, and from then on only the id between its two parts. */
function writeAround(view: (transactionId: string) => unknown): DataWriter {
  // Random, so that nothing in the directory can be the same by chance or by design.
  const mark = randomUUID();
  const [before, behind] = JSON.stringify(view(mark)).split(mark);
  return (transactionId) => `${before}${transactionId}${behind}`;
}

function sessionData(context: SessionContext, transactionId: string, installation: Installation): SessionData {
  return {
    user: userView(context, transactionId),
    cloud: { name: installation.cloudName, type: installation.cloudType },
    organizations: inOrder(context).map(({ organizationName, organizationId }) => ({
      name: organizationName,
      id: String(organizationId),
    })),
  };
}

export type HybridityData = {
  certificate: string;
  cloud: { cloudType: 'VC'; isVCDGVRDepricated: true; delegateAuthToVCD: false };
  user: UserView;
  organizations: { uuid: string }[];
  endpointInfo: { uuid: string };
};

/** `data` of POST `/hybridity/api/sessions` (section 4.2); names as real appliances spell them. */
export function writeHybridityData(context: SessionContext, installation: Installation): DataWriter {
  return writeAround((transactionId) => hybridityData(context, transactionId, installation));
}

function hybridityData(context: SessionContext, transactionId: string, installation: Installation): HybridityData {
  return {
    certificate: installation.certificate(),
    cloud: { cloudType: 'VC', isVCDGVRDepricated: true, delegateAuthToVCD: false },
    user: userView(context, transactionId),
    organizations: inOrder(context).map(({ organizationId }) => ({
      uuid: uuidOf(installation.id, `organization:${organizationId}`),
    })),
    endpointInfo: { uuid: `${digits(installation.startedMs)}-${installation.id}` },
  };
}

function userView(context: SessionContext, transactionId: string): UserView {
  const organizations = inOrder(context);
  const primary = organizations.find(({ isPrimary }) => isPrimary);
  return {
    enterprise: (primary ?? organizations[0])?.enterpriseName ?? '',
    organization: organizations.map(({ organizationKey }) => organizationKey),
    currentOrganization: primary?.organizationKey ?? '',
    roles: context.roles,
    username: context.user.email,
    transactionId,
  };
}

/** Primary first, then by key. */
function inOrder({ memberships }: SessionContext): Membership[] {
  return [...memberships].sort((a, b) => {
    if (a.isPrimary !== b.isPrimary) return a.isPrimary ? -1 : 1;
    return compareCodePoints(a.organizationKey, b.organizationKey);
  });
}

/** UUID version 5 (RFC 9562, 5.5): the same name in the same namespace is always the same UUID. */
function uuidOf(namespace: string, name: string): string {
  const bytes = createHash('sha1')
    .update(Buffer.from(namespace.replaceAll('-', ''), 'hex'))
    .update(name)
    .digest()
    .subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** `yyyyMMddHHmmssSSS` in UTC. */
function digits(ms: number): string {
  return new Date(ms).toISOString().replace(/\D/g, '');
}

export type LoginBody = { readonly username: string; readonly password: string };

const offeredAuthTypes = ['local', 'vsphere', 'password'];
const text = z.string({ error: ({ input }) => (input === undefined ? 'is required' : 'must be a string') });
const loginBody = z.object({
  username: text
    .min(1, 'is required')
    .refine((value) => [...value].length <= 256, 'is too long')
    .regex(/^\P{Cc}*$/u, 'is not allowed'),
  password: text
    .min(1, 'is required')
    .refine((value) => Buffer.byteLength(value) <= 1024, 'is too long')
    .refine((value) => value.isWellFormed(), 'is not allowed'),
  authType: text.optional(),
});

/**
 * Judges a login's members.
 * @throws CoreError `input_invalid` naming the member; HcxError `unsupported_auth_type`
 */
export function readLoginBody(input: Readonly<Record<string, unknown>>): LoginBody {
  const result = loginBody.safeParse(input);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new CoreError('input_invalid', { field: String(issue?.path[0] ?? 'body'), reason: issue?.message ?? '' });
  }
  const { authType = 'local', username, password } = result.data;
  if (!offeredAuthTypes.includes(authType)) {
    throw new HcxError('unsupported_auth_type', { authType: makePrintable(authType) });
  }
  return { username, password };
}

/** The one piece of a request that an answer repeats: cut, and without anything that could be more than text. */
function makePrintable(value: string): string {
  return [...value]
    .slice(0, 64)
    .join('')
    .replace(/[^\x20-\x7e]/gu, '?');
}
