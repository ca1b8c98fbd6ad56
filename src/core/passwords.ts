import { randomBytes } from 'node:crypto';

/** Passwords nobody may choose: the common ones and the operator's own. */
export type Blocklist = {
  /** True when the text, case-folded, is a word of the list. Rejects when the operator's file cannot be read. */
  includes(text: string): Promise<boolean>;
};

/** What the rules for a new password depend on; `minLength` in code points, the last three as stored or configured. */
export type PasswordFacts = {
  readonly minLength: number;
  readonly composition: boolean;
  readonly blocked: Blocklist;
  readonly login: string;
  readonly email: string;
  readonly host: string;
};

const maxBytes = 1_024;
const productName = 'cardea';
const tooLong = 'must be at most 1,024 bytes';

/**
 * The form in which a password is hashed: NFKC, never trimmed or cut (ecgrid-rest.md, 6.2). Null for lone surrogates, which the hash
 * would take for U+FFFD (TC4), and for anything but 1 to 1,024 bytes of UTF-8 before and after.
 */
export function normalizePassword(text: string): string | null {
  if (!isStorable(text)) return null;
  const normal = text.normalize('NFKC');
  // One character can become eighteen (U+FDFA), so the second look is not idle.
  return isStorable(normal) ? normal : null;
}

function isStorable(text: string): boolean {
  return text !== '' && !isTooLong(text) && text.isWellFormed();
}

function isTooLong(text: string): boolean {
  return Buffer.byteLength(text) > maxBytes;
}

/** The form in which login names and e-mail addresses are compared: NFKC, then lower-case; never trimmed (ecgrid-rest.md, 6.2). */
export function normalizeName(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

/**
 * Why a new password is refused, as a clause such as `must be at least 12 characters`, or null when it may be used. Rules in the order
 * of ecgrid-rest.md, 6.6; that it differs from the current one is for the caller to check. Rejects when the blocklist cannot be read.
 */
export async function newPasswordFault(password: string, facts: PasswordFacts): Promise<string | null> {
  // Before NFKC, whose cost grows with the length.
  if (isTooLong(password)) return tooLong;
  if (!password.isWellFormed()) return 'must not contain half a surrogate pair';
  const normal = password.normalize('NFKC');
  return lengthFault(normal, facts.minLength) ?? (await blocklistFault(normal, facts)) ?? formFault(normal, facts);
}

function lengthFault(normal: string, minLength: number): string | null {
  if ([...normal].length < minLength) return `must be at least ${minLength} characters`;
  return isTooLong(normal) ? tooLong : null;
}

async function blocklistFault(normal: string, facts: PasswordFacts): Promise<string | null> {
  const { login, email, host } = facts;
  const localPart = email.slice(0, Math.max(0, email.lastIndexOf('@')));
  const own = [login, email, localPart, host, productName].map(normalizeName);
  if (own.includes(normalizeName(normal)))
    return 'must not be your login, your e-mail address or the name of this server';
  return (await facts.blocked.includes(normal)) ? 'must not be a commonly used password' : null;
}

function formFault(normal: string, facts: PasswordFacts): string | null {
  if (facts.composition && !hasAllClasses(normal))
    return 'must contain a lower-case letter, an upper-case letter, a digit and another character';
  return normal.trim() === '' ? 'must not consist of spaces only' : null;
}

/** The vendor's composition rule, `^(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[^a-zA-Z0-9]).+$`, without its blind spot for line breaks. */
function hasAllClasses(text: string): boolean {
  return [/[a-z]/, /[A-Z]/, /\d/, /[^a-zA-Z0-9]/].every((kind) => kind.test(text));
}

/**
 * The common passwords of `@zxcvbn-ts/language-common` (AUT-07), plus the words of a file, one per line, unless its path is empty. Both
 * are read at the first question (about 80 ms once) and kept (about 9 MB). A read that failed is tried again at the next question.
 */
export function createBlocklist(file: string): Blocklist {
  let words: Promise<Set<string>> | null = null;
  return {
    includes: async (text) => {
      words ??= loadWords(file);
      const pending = words;
      try {
        return (await pending).has(normalizeName(text));
      } catch (error) {
        if (words === pending) words = null;
        throw error;
      }
    },
  };
}

async function loadWords(file: string): Promise<Set<string>> {
  // The bare JSON: the package's entry point would keep two further dictionaries and the compressed text in memory, 21 MB in all.
  const { default: common } = await import('@zxcvbn-ts/language-common/src/passwords.json');
  const words = new Set(common.map(normalizeName));
  if (file === '') return words;
  for (const [line] of (await Bun.file(file).text()).matchAll(/[^\r\n]+/g)) words.add(normalizeName(line));
  return words;
}

// 64 characters, so that six bits of a random byte choose one without bias; none that is easily mistaken for another or that XML or
// JSON must escape.
const alphabet = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.,:=@~';
const leastGenerated = 12;

/**
 * A random password of `length` characters, six bits each, with a lower-case and an upper-case letter, a digit and another character:
 * all such passwords are equally likely. Throws `RangeError` for fewer than 12 characters or more than 1,024.
 */
export function generatePassword(length: number): string {
  if (length < leastGenerated || length > maxBytes) throw new RangeError('password length out of range');
  // Drawn anew as a whole: repairing a missing class in place would make some passwords likelier than others.
  for (;;) {
    const drawn = Array.from(randomBytes(length), (byte) => alphabet.charAt(byte & 63)).join('');
    if (hasAllClasses(drawn)) return drawn;
  }
}
