import { isIP } from 'node:net';

/** One option: how its text or JSON value is read, what stands when it is not given, and what it is for. */
export type Option<T> = {
  readonly fallback: T;
  /** Completes the sentence "<name> must be …". */
  readonly allowed: string;
  /** The value as the option's type, or undefined when it is not allowed. */
  readonly read: (value: unknown) => T | undefined;
  readonly meaning: string;
  /** A secret value is never printed, not even when it is wrong. */
  readonly secret: boolean;
};

/** A whole number within bounds, as digits or as a JSON number. */
export function int(fallback: number, min: number, max: number, meaning: string): Option<number> {
  const read = (value: unknown): number | undefined => {
    const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;
    return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max
      ? number
      : undefined;
  };
  return { fallback, allowed: `a whole number from ${min} to ${max}`, read, meaning, secret: false };
}

/** `true` or `false`, as text or as a JSON boolean. */
export function flag(fallback: boolean, meaning: string): Option<boolean> {
  const read = (value: unknown): boolean | undefined => {
    if (value === true || value === 'true') return true;
    return value === false || value === 'false' ? false : undefined;
  };
  return { fallback, allowed: 'true or false', read, meaning, secret: false };
}

/** One of some words. */
export function oneOf<const T extends string>(fallback: NoInfer<T>, words: readonly T[], meaning: string): Option<T> {
  const read = (value: unknown): T | undefined => words.find((word) => word === value);
  return { fallback, allowed: `one of ${words.join(', ')}`, read, meaning, secret: false };
}

/** A file or directory. */
export function path(fallback: string, meaning: string): Option<string> {
  return text(fallback, 'a path', (value) => value !== '', meaning);
}

/** A file or directory, or none. */
export function optionalPath(meaning: string): Option<string> {
  return text('', 'empty or a path', () => true, meaning);
}

/** Text without blanks, at least one character. */
export function word(fallback: string, meaning: string): Option<string> {
  return text(fallback, 'text without blanks', (value) => /^\S+$/.test(value), meaning);
}

/** Text without blanks, or none. */
export function optionalWord(meaning: string): Option<string> {
  return text('', 'empty or text without blanks', (value) => /^\S*$/.test(value), meaning);
}

/** An address to listen on. */
export function host(fallback: string, meaning: string): Option<string> {
  return text(fallback, 'an IP address without brackets or a host name', isHost, meaning);
}

/** An IP address and a port to listen on, or none. */
export function listenAddress(meaning: string): Option<string> {
  const isAllowed = (value: string) => value === '' || readListenAddress(value) !== null;
  return text('', 'empty or an IP address and a port such as 127.0.0.1:9464 or [::1]:9464', isAllowed, meaning);
}

/** The two parts of `127.0.0.1:9464` or `[::1]:9464`, null for anything else. */
export function readListenAddress(value: string): { readonly host: string; readonly port: number } | null {
  const [, v6, v4, digits = ''] = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(value) ?? [];
  const host = v6 ?? v4 ?? '';
  const isAddress = isIP(host) === (v6 === undefined ? 4 : 6);
  return isAddress && Number(digits) <= 65_535 ? { host, port: Number(digits) } : null;
}

/** Host names without ports. */
export function hosts(meaning: string): Option<readonly string[]> {
  return list('host names without ports', (item) => isHost(item) && item === item.toLowerCase(), meaning);
}

/** One origin, or none. */
export function origin(meaning: string): Option<string> {
  return text(
    '',
    'empty or an origin such as https://id.example.com',
    (value) => value === '' || isOrigin(value),
    meaning,
  );
}

/** A URL of the PostgreSQL client, or none; secret, for it may hold a password. */
export function databaseUrl(meaning: string): Option<string> {
  const isAllowed = (value: string): boolean =>
    value === '' || (/^postgres(ql)?:\/\/./.test(value) && URL.canParse(value));
  return { ...text('', 'empty or a postgres:// URL', isAllowed, meaning), secret: true };
}

/** Origins, compared as text: exactly as browsers send them. */
export function origins(meaning: string): Option<readonly string[]> {
  return list('exact origins such as https://app.example.com', isOrigin, meaning);
}

/** Which doors a listener serves. */
export function listeners(meaning: string): Option<readonly string[]> {
  const isPair = (item: string) => /^https?:[a-z]+(-[a-z]+)*$/.test(item);
  return list('pairs of listener and door such as https:hcx-sessions', isPair, meaning);
}

/** IP addresses and networks. */
export function networks(meaning: string): Option<readonly string[]> {
  return list('IP addresses or networks such as 10.0.0.0/8', isNetwork, meaning);
}

/** One line of text; a control character in it is always a slip. */
function text(
  fallback: string,
  allowed: string,
  isAllowed: (value: string) => boolean,
  meaning: string,
): Option<string> {
  const read = (value: unknown): string | undefined =>
    typeof value === 'string' && !/\p{Cc}/u.test(value) && isAllowed(value) ? value : undefined;
  return { fallback, allowed, read, meaning, secret: false };
}

/** Text separated by commas in the environment, an array in the file. */
function list(items: string, isItem: (item: string) => boolean, meaning: string): Option<readonly string[]> {
  const read = (value: unknown): readonly string[] | undefined => {
    const parts: unknown = typeof value === 'string' ? splitList(value) : value;
    const isList = Array.isArray(parts) && parts.every((part) => typeof part === 'string' && isItem(part));
    return isList ? (parts as string[]) : undefined;
  };
  return { fallback: [], allowed: `empty or a list of ${items}`, read, meaning, secret: false };
}

function splitList(value: string): string[] {
  return value.trim() === '' ? [] : value.split(',').map((part) => part.trim());
}

/** Digits and dots alone are an address: 127.0.0.256 is a slip, not a name. */
function isHost(value: string): boolean {
  const isName = value.length <= 253 && /^[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)*$/i.test(value);
  return isIP(value) !== 0 || (isName && !/^[\d.]+$/.test(value));
}

/** Only what a URL parser would not write differently: lower case, no path, no default port, no pattern. */
function isOrigin(value: string): boolean {
  return /^https?:\/\/[^*]+$/.test(value) && URL.canParse(value) && new URL(value).origin === value;
}

function isNetwork(value: string): boolean {
  const [address = '', prefix, ...rest] = value.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}
