import { ConfigError } from '../config.ts';
import { CoreError } from '../core/index.ts';
import { DataDirectoryError } from '../data-directory.ts';
import { StoreError } from '../store/errors.ts';
import { UsageError } from './with-core.ts';

/** What the person at the terminal is told of an error: a sentence, and only for faults of ours the stack. */
export function toStartError(error: unknown): string {
  if (error instanceof ConfigError || error instanceof UsageError || error instanceof DataDirectoryError) {
    return error.message;
  }
  if (error instanceof CoreError) return describeCoreError(error);
  if (error instanceof StoreError) return describeStoreError(error);
  if (!(error instanceof Error)) return 'something failed without saying why.';
  return error.message;
}

function describeCoreError({ code, detail }: CoreError): string {
  if (code === 'input_invalid') return `${describeField(detail.field)} ${detail.reason ?? 'is not valid'}.`;
  if (code === 'login_taken') return 'a user with this login (or with this e-mail) exists already.';
  if (code === 'email_taken') return 'another user has this e-mail or uses it as login.';
  if (code === 'user_not_found') return 'there is no such user.';
  return `refused: ${code.replaceAll('_', ' ')}.`;
}

/** What the command line calls a field of the core. */
const fieldNames: Readonly<Record<string, string>> = {
  password: 'the password',
  newPassword: 'the new password',
  email: 'the e-mail address',
  login: 'the login',
  firstName: 'the first name',
  lastName: 'the last name',
  organizationId: 'the organization',
  mailboxId: 'the mailbox',
  id: 'the user',
};

function describeField(field = ''): string {
  return fieldNames[field] ?? 'the input';
}

function describeStoreError(error: StoreError): string {
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  const { code } = (error.cause ?? {}) as { code?: unknown };
  if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB')
    return `the database file is damaged${cause}; restore a backup.`;
  if (error.word === 'busy') return `the store is busy; try again.${cause}`;
  return `the store cannot be reached or used${cause}.`;
}
