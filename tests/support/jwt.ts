import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompactSign, type CompactJWSHeaderParameters } from 'jose';
import type { TestServer } from './server.ts';

/** The claims of a token, as far as they can be read; tests add, drop and bend them. */
export type Claims = Readonly<Record<string, unknown>>;

/** The one header of the product's tokens. */
export const ownHeader: CompactJWSHeaderParameters = { alg: 'HS256', typ: 'JWT' };

/** The server's own signing key, taken from its data directory: what only an insider could sign with. */
export function readSigningKey({ directory }: Pick<TestServer, 'directory'>): Uint8Array {
  const { current } = JSON.parse(readFileSync(join(directory, 'signing-keys.json'), 'utf8')) as { current: string };
  return Buffer.from(current, 'base64url');
}

export function readClaims(token: string): Claims {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Claims;
}

/** Signs with jose, which shares no code with the product. A text or bytes are taken as the payload as they are. */
export function makeToken(
  key: CompactSignKey,
  payload: Claims | string | Uint8Array,
  header: CompactJWSHeaderParameters = ownHeader,
): Promise<string> {
  const bytes = payload instanceof Uint8Array ? payload : Buffer.from(asText(payload));
  return new CompactSign(bytes).setProtectedHeader(header).sign(key);
}

type CompactSignKey = Parameters<CompactSign['sign']>[0];

function asText(payload: Claims | string): string {
  return typeof payload === 'string' ? payload : JSON.stringify(payload);
}

/** Joins header text and payload text as they are and signs them with HS256: for headers that jose refuses to make. */
export function makeRawToken(key: Uint8Array, header: string | Uint8Array, payload: string | Uint8Array): string {
  const signed = `${Buffer.from(header).toString('base64url')}.${Buffer.from(payload).toString('base64url')}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}
