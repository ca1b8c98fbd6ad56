/** `memoryKib` in KiB, `passes` as argon2's t. */
export type HashCost = { readonly memoryKib: number; readonly passes: number };

type StoredHash = HashCost & { readonly algorithm: string };

// m and p are kept to six and two digits, salt to 8-64 bytes and result to 16-64, in base64 without padding (the PHC string format).
const argon2Form =
  /^\$(argon2id|argon2i|argon2d)\$v=19\$m=([1-9]\d{0,5}),t=([1-9]\d?),p=([1-9]\d?)\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$/;
const bcryptForm = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

/** The price of a stored hash, or null when it is damaged or dearer than 256 MiB, 10 passes, 16 lanes, bcrypt cost 14 (TC3: 4 GB ran 14 s). */
export function readStored(stored: string): StoredHash | null {
  const bcrypt = bcryptForm.exec(stored);
  if (bcrypt !== null)
    return isWithin(Number(bcrypt[1]), 4, 14) ? { algorithm: 'bcrypt', memoryKib: 4, passes: 1 } : null;
  const [, algorithm, m, t, p] = argon2Form.exec(stored) ?? [];
  if (algorithm === undefined) return null;
  const [memoryKib, passes, lanes] = [Number(m), Number(t), Number(p)];
  // RFC 9106, 3.1: at least 8 KiB for each lane.
  const affordable = isWithin(memoryKib, 8 * lanes, 262_144) && passes <= 10 && lanes <= 16;
  return affordable ? { algorithm, memoryKib, passes } : null;
}

function isWithin(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}

/** Less memory, or less work in all; more memory with fewer passes at the same work is not weaker, so it is never exchanged. */
export function isOutdated({ memoryKib, passes }: HashCost, stored: string): boolean {
  const found = readStored(stored);
  if (found === null || found.algorithm !== 'argon2id') return true;
  return found.memoryKib < memoryKib || found.memoryKib * found.passes < memoryKib * passes;
}
