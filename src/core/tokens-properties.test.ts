import { describe, expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { tries } from '../../tests/support/seeds.ts';
import {
  digestApiKey,
  digestSecret,
  newGuid,
  newSecret,
  newSessionId,
  newTokenId,
  type SecretKind,
  signToken,
  toSigningKey,
  verifyToken,
} from './tokens.ts';

const expected = { tokenIssuer: 'https://auth.example.com', tokenAudience: 'cardea' };
const signing = toSigningKey(Buffer.from('a key of thirty-two bytes, for us'));
const keys = { current: signing, previous: null, mask: Buffer.alloc(32) };
const now = 1_778_175_000;
const base64url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** What may stand where a character of a token stood, or beside it. */
const alphabet = [...base64url, '.', '=', '+', '/', ' ', '\n', '\0', 'é', '\u200b'];

function newToken(sub = '4821'): string {
  const claims = {
    iss: expected.tokenIssuer,
    aud: expected.tokenAudience,
    sub,
  };
  return signToken(signing, { ...claims, sid: newSessionId(), jti: newTokenId(), iat: now, exp: now + 3_600 });
}

const isAccepted = (text: string) => verifyToken(keys, expected, text, now) !== null;

describe('TOK-02: what is not the token itself is refused', () => {
  test('1,000 tokens: at every place another character, one more, one less, and the next two swapped', () => {
    const accepted: string[] = [];
    const judge = (token: string, text: string) => {
      if (text !== token && isAccepted(text)) accepted.push(text);
    };
    for (let count = 0; count < 1_000; count += 1) {
      const token = newToken(String(count + 1));
      if (!isAccepted(token)) throw new Error(`refused: ${token}`);
      for (let at = 0; at <= token.length; at += 1) {
        const other = alphabet[(at * 31 + count) % alphabet.length] ?? '';
        const [before, after] = [token.slice(0, at), token.slice(at)];
        const edits = [
          before + other + after.slice(1),
          before + other + after,
          before + after.slice(1),
          before + after.slice(1, 2) + after.slice(0, 1) + after.slice(2),
        ];
        // One kind of edit at each place of each token; over the tokens every kind comes to every place.
        judge(token, edits[(at + count) % edits.length] ?? '');
      }
    }
    expect(accepted).toEqual([]);
  }, 60_000);

  test('one token: at every place every other character, as an edit, an insertion and a suffix', () => {
    const token = newToken();
    const accepted: string[] = [];
    for (let at = 0; at <= token.length; at += 1) {
      for (const other of alphabet) {
        for (const text of [
          token.slice(0, at) + other + token.slice(at + 1),
          token.slice(0, at) + other + token.slice(at),
        ]) {
          if (text !== token && isAccepted(text)) accepted.push(text);
        }
      }
    }
    expect(accepted).toEqual([]);
  });

  test('any text before, behind or instead of it', () => {
    const token = newToken();
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => String.fromCharCode(...bytes)),
        (text) => {
          for (const spoiled of [token + text, text + token, text, `${token}.${text}`])
            expect(isAccepted(spoiled)).toBe(false);
        },
      ),
      tries(200),
    );
  });

  test('whatever the claims are, the token gives them back, and a part of another token in it is refused', () => {
    const id = (length: number) =>
      fc.string({ unit: fc.constantFrom(...base64url), minLength: length, maxLength: length });
    const claims = fc.record({
      iss: fc.constant(expected.tokenIssuer),
      aud: fc.constant(expected.tokenAudience),
      sub: fc.integer({ min: 1, max: 2_147_483_647 }).map(String),
      sid: id(22),
      jti: id(16),
      iat: fc.integer({ min: 0, max: now }),
      exp: fc.integer({ min: now + 1, max: 9_999_999_999 }),
    });
    fc.assert(
      fc.property(claims, claims, (one, other) => {
        const [token, foreign] = [signToken(signing, one), signToken(signing, other)];
        expect(verifyToken(keys, expected, token, now)).toEqual(one);
        const [header, payload] = token.split('.');
        const mac = foreign.split('.')[2];
        if (token !== foreign) expect(isAccepted([header, payload, mac].join('.'))).toBe(false);
      }),
      tries(500),
    );
  });
});

/** Each layout printed by other code than the product's. */
const layouts: Readonly<Record<SecretKind, { readonly bytes: number; readonly print: (bytes: Uint8Array) => string }>> =
  {
    cookie: {
      bytes: 32,
      print: (bytes) =>
        btoa(String.fromCharCode(...bytes))
          .replaceAll('+', '-')
          .replaceAll('/', '_')
          .replaceAll('=', ''),
    },
    session_guid: { bytes: 16, print: (bytes) => inGroups(bytes, '-').toUpperCase() },
    appliance_token: { bytes: 16, print: (bytes) => inGroups(bytes, ':') },
  };

function inGroups(bytes: Uint8Array, mark: string): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [
    [0, 8],
    [8, 12],
    [12, 16],
    [16, 20],
    [20, 32],
  ]
    .map(([from, to]) => digits.slice(from, to))
    .join(mark);
}

describe('opaque secrets: colon-hex, GUID and base64url', () => {
  const kinds = Object.keys(layouts) as SecretKind[];

  test.each(kinds)(
    '%s: any bytes in its layout have a digest of their own, and no other kind takes the text',
    (kind) => {
      const { bytes, print } = layouts[kind];
      const some = fc.uint8Array({ minLength: bytes, maxLength: bytes });
      fc.assert(
        fc.property(some, some, (one, other) => {
          const [first, second] = [print(one), print(other)];
          expect(digestSecret(kind, first)).toMatch(/^[0-9a-f]{64}$/);
          expect(digestSecret(kind, first) === digestSecret(kind, second)).toBe(first === second);
          for (const foreign of kinds.filter((name) => name !== kind)) expect(digestSecret(foreign, first)).toBeNull();
        }),
        tries(500),
      );
    },
  );

  test.each(kinds)(
    '%s: what the product makes is in the layout, and every edit is refused or another secret',
    (kind) => {
      const made = newSecret(kind);
      const digest = digestSecret(kind, made);
      const shape = layouts[kind].print(new Uint8Array(layouts[kind].bytes));
      expect(made.replace(/[A-Za-z0-9_-]/g, '') + made.length).toBe(shape.replace(/[A-Za-z0-9_-]/g, '') + shape.length);
      for (let at = 0; at <= made.length; at += 1) {
        for (const other of alphabet) {
          const edited = made.slice(0, at) + other + made.slice(at + 1);
          // A GUID is the same in either case; nothing else has a second spelling.
          const same = kind === 'session_guid' ? edited.toLowerCase() === made.toLowerCase() : edited === made;
          expect(digestSecret(kind, edited) === digest).toBe(same);
          expect(digestSecret(kind, made.slice(0, at) + other + made.slice(at))).toBeNull();
        }
      }
    },
  );

  test('an API key is its 16 bytes, in any case, and nothing else is one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.infiniteStream(fc.boolean()), (bytes, upper) => {
        const text = inGroups(bytes, '-');
        const mixed = Array.from(text, (digit) => (upper.next().value === true ? digit.toUpperCase() : digit)).join('');
        expect(digestApiKey(mixed)).toBe(digestApiKey(text));
        for (const odd of [
          `{${text}}`,
          text.replaceAll('-', ''),
          `${text} `,
          text.replaceAll('-', ':'),
          text.slice(1),
        ]) {
          expect(digestApiKey(odd)).toBeNull();
        }
      }),
      tries(500),
    );
    expect(digestApiKey(newGuid())).not.toBe(digestApiKey(newGuid()));
  });
});
