import { sha256 } from './tokens.ts';

/** A key that signs JWTs. `id` is public: it tells the keys apart. */
export type SigningKey = { readonly id: string; readonly bytes: Uint8Array };

/** A key that signs nothing any more. `until` is the second at which its last token has expired, null while nobody knows. */
export type FormerKey = SigningKey & { readonly until: number | null };

export type SigningKeys = {
  readonly current: SigningKey;
  /** The one to sign next. It verifies already, so that no instance refuses what another one signs with it first. */
  readonly next: SigningKey | null;
  /** Newest first. */
  readonly previous: readonly FormerKey[];
  /** Masks session ids in lists; it outlives the signing keys, so that a session keeps its mask. */
  readonly mask: Uint8Array;
};

/** The keys in use, which may be exchanged while the server runs: read its members anew at each use. */
export type KeyRing = SigningKeys & {
  /** Puts other keys in the place of all of these, at once, and then tells the listeners. */
  readonly replace: (keys: SigningKeys) => void;
  /** Calls `listener` after each exchange, in the same tick: whatever was concluded from the former keys must go. */
  readonly onChange: (listener: () => void) => void;
};

/** A ring that starts with the given keys. */
export function createKeyRing(keys: SigningKeys): KeyRing {
  const listeners: (() => void)[] = [];
  const ring = {
    ...keys,
    replace: (others: SigningKeys) => {
      Object.assign(ring, others);
      for (const listener of listeners) listener();
    },
    onChange: (listener: () => void) => void listeners.push(listener),
  };
  return ring;
}

/**
 * Wraps key bytes for signing.
 * @throws Error for keys under 256 bits, of one repeated byte, or printed in the documents
 */
export function toSigningKey(bytes: Uint8Array): SigningKey {
  if (bytes.length < 32) throw new Error('a signing key has at least 32 bytes');
  if (bytes.every((byte) => byte === bytes[0])) throw new Error('a signing key of one repeated byte is no secret');
  // The signing vector of the ECGrid contract uses 00 01 02 …: whoever read it could sign.
  if (bytes.every((byte, index) => byte === index % 256))
    throw new Error('this signing key is printed in the documents');
  return { id: sha256(bytes).slice(0, 8), bytes };
}

/** The key of that id, whether it still signs or not; null when it is gone. */
export function findSigningKey(keys: SigningKeys, id: string | null): SigningKey | null {
  return [keys.current, ...keys.previous].find((key) => key.id === id) ?? null;
}
