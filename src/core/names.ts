import { findUsersByName, type Db } from '../store/users.ts';
import { CoreError } from './errors.ts';
import { normalizeName } from './passwords.ts';

const longestLogin = 256;
const longestEmail = 254;
const longestName = 100;
/** Control and format characters and halves of surrogate pairs: invisible, so two names could look alike. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}]/u;

/** True for a canonical name that a user can have at all; others are never looked up. */
export function isNameLike(nameKey: string): boolean {
  return nameKey !== '' && fits(nameKey, longestLogin) && !invisible.test(nameKey);
}

/** @throws CoreError `input_invalid` for `login` */
export function requireUsableLogin(login: string): void {
  if (login === '' || !fits(login, longestLogin)) refuse('login', `must have 1 to ${longestLogin} characters`);
  if (invisible.test(login)) refuse('login', 'must not contain control or format characters');
  if (login !== login.trim()) refuse('login', 'must not begin or end with a space');
}

/** @throws CoreError `input_invalid` for `email` */
export function requireUsableEmail(email: string): void {
  if (email === '' || !fits(email, longestEmail)) refuse('email', `must have 1 to ${longestEmail} characters`);
  if (invisible.test(email) || /\s/u.test(email)) refuse('email', 'must not contain spaces or control characters');
  if (!/^[^@]+@[^@]+$/.test(email)) refuse('email', 'must contain one @ between other characters');
}

/** @throws CoreError `input_invalid` for the named field */
export function requireUsableName(field: string, name: string): void {
  if (!fits(name, longestName)) refuse(field, `must have at most ${longestName} characters`);
  if (/[\p{Cc}\p{Cs}]/u.test(name)) refuse(field, 'must not contain control characters');
}

/** Counts characters, also of the canonical form: what grows beyond the limit there could be stored and never be found. */
function fits(text: string, most: number): boolean {
  return [...text].length <= most && [...normalizeName(text)].length <= most;
}

function refuse(field: string, reason: string): never {
  throw new CoreError('input_invalid', { field, reason });
}

/**
 * A new login name must be nobody's name yet. Somebody's e-mail counts too: the new user would stand in front of that user at
 * sign-in. The caller holds the names' lock.
 * @throws CoreError `login_taken`
 */
export async function requireFreeLogin(trx: Db, login: string): Promise<void> {
  if ((await findUsersByName(trx, normalizeName(login))).length > 0) throw new CoreError('login_taken');
}

/** An e-mail must be no other user's login or e-mail. The caller holds the names' lock. @throws CoreError `email_taken` */
export async function requireFreeEmail(trx: Db, email: string, ownId: number | null): Promise<void> {
  const holders = await findUsersByName(trx, normalizeName(email));
  if (holders.some((holder) => holder.id !== ownId)) throw new CoreError('email_taken');
}
