import { authLevels, type SessionContext, type SessionSummary, statuses, type UserFacts } from '../../core/index.ts';
import { element, type Xml } from './xml-writer.ts';

/** Namespace of the documented face. */
export const namespace = 'http://www.ecgridos.net/';

/** A key without an expiry prints this. */
const never = '9999-01-01T00:00:00Z';

/** Simple types, and the complex ones declared below; what an operation answers is one of them. */
export type TypeName = 'string' | 'boolean' | 'int' | 'short' | 'dateTime' | 'AuthLevel' | 'Status' | ComplexTypeName;
export type ComplexTypeName = 'SessionIDInfo' | 'ArrayOfSessionIDInfo' | 'UserIDInfo';

/** One element of a complex type. `optional`: left out when it has no value; `many`: any number of it. */
export type Field = { readonly name: string; readonly type: TypeName; readonly optional?: true; readonly many?: true };

/** Section 5 of the contract; order is part of it: generated clients reject any other. */
export const complexTypes: Readonly<Record<ComplexTypeName, readonly Field[]>> = {
  SessionIDInfo: [
    { name: 'SessionID', type: 'string', optional: true },
    { name: 'UserID', type: 'int' },
    { name: 'NetworkID', type: 'int' },
    { name: 'MailboxID', type: 'int' },
    { name: 'Created', type: 'dateTime' },
    { name: 'Expires', type: 'dateTime' },
  ],
  ArrayOfSessionIDInfo: [{ name: 'SessionIDInfo', type: 'SessionIDInfo', optional: true, many: true }],
  UserIDInfo: [
    { name: 'UserID', type: 'int' },
    { name: 'Login', type: 'string', optional: true },
    { name: 'NetworkID', type: 'int' },
    { name: 'MailboxID', type: 'int' },
    { name: 'AuthLevel', type: 'AuthLevel' },
    { name: 'Email', type: 'string', optional: true },
    { name: 'FirstName', type: 'string', optional: true },
    { name: 'LastName', type: 'string', optional: true },
    { name: 'Status', type: 'Status' },
    { name: 'Created', type: 'dateTime' },
  ],
};

/** The simple types' words, in the order of the WSDL. */
export const enumerations: Readonly<Record<'AuthLevel' | 'Status', readonly string[]>> = {
  AuthLevel: ['NoChange', ...authLevels],
  Status: statuses,
};

/** A value as an operation answers it: text as it will be printed, or fields by name. */
export type Value = string | { readonly [field: string]: Value | readonly Value[] };

/** Writes a value as an element of a declared type. */
export function writeValue(
  name: string,
  type: TypeName,
  value: Value,
  attributes: Readonly<Record<string, string>> = {},
): Xml {
  if (typeof value === 'string') return element(name, [value], attributes);
  const fields = complexTypes[type as ComplexTypeName];
  return element(
    name,
    fields.flatMap((field) => writeField(field, value[field.name])),
    attributes,
  );
}

function writeField(field: Field, value: Value | readonly Value[] | undefined): Xml[] {
  const values = value === undefined || value === '' ? [] : [value].flat();
  return values.map((one) => writeValue(field.name, field.type, one as Value));
}

/** `SessionIDInfo` of the presented credential; `sessionId` is the text as sent. */
export function sessionIdInfo(context: SessionContext, sessionId: string): Value {
  return {
    SessionID: sessionId,
    ...whose(context.user),
    Created: toInstant(context.createdAt),
    Expires: context.expiresAt === null ? never : toInstant(context.expiresAt),
  };
}

/** `SessionIDInfo` of a session in a log: its id is masked, and an ended one expired when it ended. */
export function loggedSession(session: SessionSummary, user: UserFacts, mask: string): Value {
  return {
    SessionID: mask,
    ...whose(user),
    Created: toInstant(session.createdAt),
    Expires: toInstant(session.endedAt ?? session.expiresAt),
  };
}

export function userIdInfo(user: UserFacts): Value {
  const { UserID, NetworkID, MailboxID } = whose(user);
  return {
    UserID,
    Login: user.login,
    NetworkID,
    MailboxID,
    AuthLevel: user.authLevel,
    Email: user.email,
    FirstName: user.firstName,
    LastName: user.lastName,
    Status: user.status,
    Created: toInstant(user.createdAt),
  };
}

function whose(user: UserFacts) {
  return {
    UserID: String(user.id),
    NetworkID: String(user.organizationId ?? 0),
    MailboxID: String(user.mailboxId ?? 0),
  };
}

/** `YYYY-MM-DDTHH:MM:SSZ` of whole seconds since 1970. */
export function toInstant(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
