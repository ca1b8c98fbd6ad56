import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { SigningKey, SigningKeys } from './signing-keys.ts';

/** The seven claims of every token, in their order on the wire. */
export type TokenClaims = {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  /** Public id of the server-side session, 22 base64url characters. */
  readonly sid: string;
  /** Id of this very token, 16 base64url characters. */
  readonly jti: string;
  readonly iat: number;
  readonly exp: number;
};

const longestToken = 4096;
const tokenShape = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const tokenHeader = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url');
const guidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Makes a token; the same claims and key always give the same text. */
export function signToken(key: SigningKey, claims: TokenClaims): string {
  const signed = `${tokenHeader}.${Buffer.from(writeClaims(claims)).toString('base64url')}`;
  return `${signed}.${signature(key, signed).toString('base64url')}`;
}

/**
 * Judges all of a token that can be judged without the store: shape, canonical encoding, the literal header, signature, claims,
 * issuer, audience, expiry. The steps and their order are those of the ECGrid contract, 5.2.
 * @returns the claims, or null whatever is wrong
 */
export function verifyToken(
  keys: SigningKeys,
  expected: { readonly tokenIssuer: string; readonly tokenAudience: string },
  token: string,
  nowSeconds: number,
): TokenClaims | null {
  if (token.length > longestToken || !tokenShape.test(token)) return null;
  const [header, payload, mac] = token.split('.') as [string, string, string];
  if (header !== tokenHeader) return null;
  const [payloadBytes, macBytes] = [decodeCanonical(payload), decodeCanonical(mac)];
  if (payloadBytes === null || macBytes === null) return null;
  if (!isSigned(keys, `${header}.${payload}`, macBytes, nowSeconds)) return null;
  const claims = readClaims(payloadBytes);
  if (claims === null || claims.iss !== expected.tokenIssuer || claims.aud !== expected.tokenAudience) return null;
  return claims.exp > nowSeconds ? claims : null;
}

/** Decoders forgive padding and stray last bits, and a second spelling of a token would be a second token. */
function decodeCanonical(part: string): Buffer | null {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : null;
}

function signature(key: SigningKey, signed: string): Buffer {
  return new Bun.CryptoHasher('sha256', key.bytes).update(signed).digest();
}

function isSigned(keys: SigningKeys, signed: string, mac: Buffer, nowSeconds: number): boolean {
  if (mac.length !== 32) return false;
  const isBy = (key: SigningKey) => timingSafeEqual(signature(key, signed), mac);
  if (isBy(keys.current)) return true;
  // Past its end a former key has no honest token left: what it signs now was forged.
  const former = keys.previous.some((key) => (key.until === null || key.until > nowSeconds) && isBy(key));
  return former || (keys.next !== null && isBy(keys.next));
}

function writeClaims({ iss, aud, sub, sid, jti, iat, exp }: TokenClaims): string {
  return JSON.stringify({ iss, aud, sub, sid, jti, iat, exp });
}

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Only this product signs, so only its own spelling counts: no repeated, reordered, missing or further member, no `1.0`. */
function readClaims(payload: Buffer): TokenClaims | null {
  let text: string;
  let parsed: unknown;
  try {
    text = strictDecoder.decode(payload);
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isClaims(parsed) || writeClaims(parsed) !== text) return null;
  return parsed;
}

function isClaims(value: unknown): value is TokenClaims {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { iss, aud, sub, sid, jti, iat, exp } = value as Record<keyof TokenClaims, unknown>;
  return (
    typeof iss === 'string' &&
    typeof aud === 'string' &&
    matches(sub, /^[1-9][0-9]{0,9}$/) &&
    matches(sid, /^[A-Za-z0-9_-]{22}$/) &&
    matches(jti, /^[A-Za-z0-9_-]{16}$/) &&
    Number.isSafeInteger(iat) &&
    Number.isSafeInteger(exp)
  );
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value);
}

/** 128 random bits as 22 base64url characters. */
export function newSessionId(): string {
  return randomBytes(16).toString('base64url');
}

/** 96 random bits as 16 base64url characters: unique within its session, and never a credential by itself. */
export function newTokenId(): string {
  return randomBytes(12).toString('base64url');
}

/** 128 random bits in GUID layout, lower case; no version or variant bits, so that all of them are random. */
export function newGuid(): string {
  return printGuid(randomBytes(16));
}

/** @returns the digest under which an API key is stored, or null for a text that is no dashed GUID; any hex case is the same key */
export function digestApiKey(text: string): string | null {
  if (!guidShape.test(text)) return null;
  return sha256(Buffer.from(text.replaceAll('-', ''), 'hex'));
}

/** The kinds of opaque session secrets; a secret of one kind is no secret of another. */
export type SecretKind = 'cookie' | 'session_guid' | 'appliance_token';

type SecretForm = { readonly make: () => string; readonly shape: RegExp; readonly ignoresCase: boolean };

/** 256 random bits as base64url, and twice 128 in the layouts of two contracts. */
const secretForms: Readonly<Record<SecretKind, SecretForm>> = {
  cookie: {
    make: () => randomBytes(32).toString('base64url'),
    shape: /^[A-Za-z0-9_-]{43}$/,
    ignoresCase: false,
  },
  session_guid: { make: () => newGuid().toUpperCase(), shape: guidShape, ignoresCase: true },
  appliance_token: {
    make: () => newGuid().replaceAll('-', ':'),
    shape: /^[0-9a-f]{8}(:[0-9a-f]{4}){3}:[0-9a-f]{12}$/,
    ignoresCase: false,
  },
};

export function newSecret(kind: SecretKind): string {
  return secretForms[kind].make();
}

/** @returns the digest under which a session secret is stored, or null for a text that cannot be one */
export function digestSecret(kind: SecretKind, text: string): string | null {
  const { shape, ignoresCase } = secretForms[kind];
  if (!shape.test(text)) return null;
  return sha256(`${kind}:${ignoresCase ? text.toLowerCase() : text}`);
}

/** A GUID computed from an id by a key: always the same, and no way back. */
export function maskedGuid(key: Uint8Array, id: string): string {
  return printGuid(createHmac('sha256', key).update(id).digest().subarray(0, 16));
}

/** First 8 hex digits of the session id's digest: how logs and audit name a session. */
export function sessionMark(sessionId: string): string {
  return sha256(sessionId).slice(0, 8);
}

/** Lower-case hex SHA-256. */
export function sha256(data: string | Uint8Array): string {
  return Bun.SHA256.hash(data, 'hex');
}

function printGuid(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
