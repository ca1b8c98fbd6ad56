import { describe, expect, test } from 'bun:test';
import { generatePassword } from './passwords.ts';
import { newGuid, newSecret, newSessionId, newTokenId } from './tokens.ts';

/** A tenth of the full scale of SES-01; five standard deviations of a fair coin at this number. */
const count = 100_000;
const allowed = (5 * 0.5) / Math.sqrt(count);

const fromGuid = (text: string) => Buffer.from(text.replaceAll('-', ''), 'hex');
const fromBase64 = (text: string) => Buffer.from(text, 'base64url');

const kinds: [kind: string, make: () => string, shape: RegExp, read: (text: string) => Buffer, bits: number][] = [
  ['session id', newSessionId, /^[A-Za-z0-9_-]{22}$/, fromBase64, 128],
  ['API key', newGuid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, fromGuid, 128],
  ['cookie secret', () => newSecret('cookie'), /^[A-Za-z0-9_-]{43}$/, fromBase64, 256],
  ['SOAP session id', () => newSecret('session_guid'), /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/, fromGuid, 128],
  // No credential: it only tells the tokens of one session apart, and is signed.
  ['token id', newTokenId, /^[A-Za-z0-9_-]{16}$/, fromBase64, 96],
];

describe('SES-01: what is random', () => {
  test.each(kinds)('%s: no repeat in 100,000, and every bit is fair', (_kind, make, shape, read, bits) => {
    const seen = new Set<string>();
    const ones = new Uint32Array(bits);
    for (let made = 0; made < count; made += 1) {
      const text = make();
      if (!shape.test(text)) throw new Error(`odd shape: ${text}`);
      seen.add(text);
      const bytes = read(text);
      if (bytes.length * 8 !== bits) throw new Error(`${bytes.length} bytes`);
      for (let bit = 0; bit < bits; bit += 1)
        ones[bit] = (ones[bit] ?? 0) + (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1);
    }
    expect(seen.size).toBe(count);
    for (const number of ones) expect(Math.abs(number / count - 0.5)).toBeLessThan(allowed);
  });

  test('generated passwords never repeat and always hold the four classes', () => {
    const seen = new Set(Array.from({ length: 10_000 }, () => generatePassword(12)));
    expect(seen.size).toBe(10_000);
    for (const password of seen) {
      for (const kind of [/[a-z]/, /[A-Z]/, /[0-9]/, /[^a-zA-Z0-9]/]) expect(password).toMatch(kind);
    }
  });
});
