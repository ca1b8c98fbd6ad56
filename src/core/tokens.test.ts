import { describe, expect, test } from 'bun:test';
import { createHmac } from 'node:crypto';
import vector from '../doors/ecgrid-rest/fixtures/signing-vector.json';
import { toSigningKey } from './signing-keys.ts';
import { signToken, type TokenClaims, verifyToken } from './tokens.ts';

const documentedKey = { id: 'example', bytes: Buffer.from(vector.keyHex, 'hex') };
const otherKey = { id: 'other', bytes: Buffer.from('another key of thirty-two bytes!') };
const mask = Buffer.alloc(32);
const keys = { current: documentedKey, next: null, previous: [], mask };
const expected = { tokenIssuer: 'https://auth.example.com', tokenAudience: 'cardea' };
const [t1, t2] = vector.tokens as [(typeof vector.tokens)[0], (typeof vector.tokens)[0]];
const { claims, token } = t1;
const beforeEnd = claims.exp - 1;
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

function verify(text: string, now = beforeEnd): TokenClaims | null {
  return verifyToken(keys, expected, text, now);
}

/** Signs any header and payload text, rightly. */
function sign(payload: string | Uint8Array, header = '{"alg":"HS256","typ":"JWT"}'): string {
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${createHmac('sha256', documentedKey.bytes).update(signed).digest('base64url')}`;
}

function encode(part: string | Uint8Array): string {
  return Buffer.from(part).toString('base64url');
}

describe('[6] the signing vector', () => {
  test('T1 and T2 are reproduced byte for byte', () => {
    expect(signToken(documentedKey, t1.claims)).toBe(t1.token);
    expect(signToken(documentedKey, t2.claims)).toBe(t2.token);
  });

  test('both verify, and give their claims back', () => {
    expect(verify(t1.token)).toEqual(t1.claims);
    expect(verify(t2.token)).toEqual(t2.claims);
  });

  test('TOK-07: a token of a former key counts until that key’s end, one of the next key already', () => {
    const other = { current: otherKey, next: null, previous: [], mask };
    const judge = (more: object) => verifyToken({ ...other, ...more }, expected, token, beforeEnd);
    const former = (until: number | null) => ({ ...documentedKey, until });
    expect(judge({})).toBeNull();
    expect(judge({ next: documentedKey })).toEqual(claims);
    expect(judge({ previous: [former(null)] })).toEqual(claims);
    expect(judge({ previous: [former(beforeEnd + 1)] })).toEqual(claims);
    expect(judge({ previous: [former(beforeEnd)] })).toBeNull();
    expect(judge({ previous: [{ ...otherKey, until: null }, former(null)] })).toEqual(claims);
  });

  test.each([
    ['the key of the vector', documentedKey.bytes],
    ['the vector continued', Buffer.from(Array.from({ length: 64 }, (_, index) => index))],
    ['31 bytes', Buffer.from('short key, one byte under the 32')],
    ['no bytes', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(32)],
    ['one repeated byte', Buffer.alloc(48, 'x')],
  ])('P01: %s is refused as a signing key', (name, bytes) => {
    const given = name === '31 bytes' ? bytes.subarray(0, 31) : bytes;
    expect(() => toSigningKey(given)).toThrow();
  });

  test('two keys have two ids, and an id does not show the key', () => {
    const [one, two] = [toSigningKey(Buffer.from('one key of thirty-two bytes, yes')), toSigningKey(otherKey.bytes)];
    expect(one.id).not.toBe(two.id);
    expect(one.id).toMatch(/^[0-9a-f]{8}$/);
    expect(Buffer.from(one.bytes).toString('hex')).not.toContain(one.id);
  });
});

describe('5.2 what a token says', () => {
  test('exp is the first second at which it is refused', () => {
    expect(verify(token, claims.exp - 1)).toEqual(claims);
    expect(verify(token, claims.exp)).toBeNull();
    expect(verify(token, claims.exp + 1)).toBeNull();
  });

  test('a clock before iat does not matter: it may have been set back', () => {
    expect(verify(token, claims.iat - 3600)).toEqual(claims);
  });

  test.each<[string, unknown]>([
    ['iss', 'https://auth.example.com.'],
    ['iss', 'https://auth.example.co'],
    ['aud', 'Cardea'],
    ['aud', ['cardea']],
    ['sub', 4821],
    ['sub', '04821'],
    ['sub', ''],
    ['sid', 'Zk3vQ0m1T8uYc2Lw9sHn4'],
    ['jti', 'b7Xk2Jq9RtE5uVw1x'],
    ['iat', '1778175000'],
    ['iat', 1778175000.5],
    ['exp', '1778178600'],
    ['exp', 1778178600.5],
    ['exp', null],
    ['exp', undefined],
    ['nbf', 0],
  ])('%s %p is refused although it is signed', (name, value) => {
    expect(verify(sign(JSON.stringify({ ...claims, [name]: value })))).toBeNull();
  });

  test.each([
    ['1e308', '1e308'],
    ['a float that is whole', '1778178600.0'],
    ['an exponent', '1.7781786e9'],
    ['an unsafe integer', '9007199254740993'],
  ])('exp as %s is refused', (_, text) => {
    expect(verify(sign(JSON.stringify(claims).replace('1778178600', text)))).toBeNull();
  });

  test('claims twice, also with equal values, are refused', () => {
    const text = JSON.stringify(claims);
    for (const twice of [text.replace('{', '{"sub":"1",'), text.replace('}', ',"sub":"4821"}')])
      expect(verify(sign(twice))).toBeNull();
  });

  test.each([
    ['reordered', '{"typ":"JWT","alg":"HS256"}'],
    ['spaced', '{"alg": "HS256","typ":"JWT"}'],
    ['with a kid', '{"alg":"HS256","typ":"JWT","kid":"a"}'],
    ['without a typ', '{"alg":"HS256"}'],
    ['none', '{"alg":"none","typ":"JWT"}'],
    ['HS512', '{"alg":"HS512","typ":"JWT"}'],
  ])('a header that is %s is refused although it is signed', (_, header) => {
    expect(verify(sign(JSON.stringify(claims), header))).toBeNull();
  });
});

describe('5.2 the order of the steps', () => {
  /** Fails the test when the text is looked at any further than its length and shape. */
  const untouchable = {
    get current(): never {
      throw new Error('the signature was looked at');
    },
    next: null,
    previous: [],
    mask,
  };

  test.each([
    ['4,097 characters', `${token.slice(0, token.lastIndexOf('.'))}.${'A'.repeat(4097)}`.slice(0, 4097)],
    ['no dots', token.replaceAll('.', '')],
    ['a fourth part', `${token}.a`],
    ['padding', `${token}=`],
    ['a non-canonical last letter', token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1) ?? '') ^ 1]],
    ['another header', sign(JSON.stringify(claims), '{"alg":"HS256"}')],
  ])('%s is refused before the signature is computed', (_, text) => {
    expect(verifyToken(untouchable, expected, text, beforeEnd)).toBeNull();
  });

  test('the signature is judged before the claims: an unsigned payload is never parsed', () => {
    const text = [encode('{"alg":"HS256","typ":"JWT"}'), encode('not json'), 'A'.repeat(43)].join('.');
    expect(() => verifyToken(untouchable, expected, text, beforeEnd)).toThrow('the signature was looked at');
    expect(verify(text)).toBeNull();
  });

  test.each([
    [4_096, 2_883, true],
    [4_097, 2_884, false],
  ])('a well-signed token of %d characters', (length, issuerLength, accepted) => {
    const iss = 'x'.repeat(issuerLength);
    const text = signToken(documentedKey, { ...claims, iss });
    expect(text).toHaveLength(length);
    expect(verifyToken(keys, { ...expected, tokenIssuer: iss }, text, beforeEnd) !== null).toBe(accepted);
  });
});

describe('[11] other spellings', () => {
  test('every one of 1,000 one-character edits is refused', () => {
    const accepted = Array.from({ length: 1_000 }, (_, index) => {
      const place = (index * 101) % token.length;
      const other = alphabet[(alphabet.indexOf(token[place] ?? '') + 1 + (index % 63)) % 64];
      return token.slice(0, place) + other + token.slice(place + 1);
    }).filter((text) => text === token || verify(text) !== null);
    expect(accepted).toEqual([]);
  });

  test('J06: every one-bit change of the text is refused', () => {
    const accepted: string[] = [];
    for (let bit = 0; bit < token.length * 8; bit += 1) {
      const bytes = Buffer.from(token);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (verify(bytes.toString('latin1')) !== null) accepted.push(bytes.toString('latin1'));
    }
    expect(accepted).toEqual([]);
  });

  test('J07: the three other last letters decode to the same signature, and are refused', () => {
    const last = alphabet.indexOf(token.at(-1) ?? '');
    for (const bits of [1, 2, 3]) {
      const respelled = token.slice(0, -1) + alphabet[last ^ bits];
      const macOf = (text: string) => Buffer.from(text.split('.')[2] ?? '', 'base64url').toString('hex');
      expect(macOf(respelled)).toBe(macOf(token));
      expect(verify(respelled)).toBeNull();
    }
  });

  test('J07: stray characters at the end of each part and inside are refused', () => {
    const strays = ['=', '==', ' ', '\t', '\n', '\r\n', '\0', '+', '/', '*', '.', '\u200b', 'A'];
    const [header = '', payload = '', mac = ''] = token.split('.');
    for (const stray of strays) {
      const texts = [
        `${stray}${token}`,
        `${token}${stray}`,
        [header + stray, payload, mac].join('.'),
        [header, payload + stray, mac].join('.'),
        [header, payload.slice(0, 7) + stray + payload.slice(7), mac].join('.'),
        [header, payload, mac.slice(0, 7) + stray + mac.slice(7)].join('.'),
      ];
      expect(texts.filter((text) => verify(text) !== null)).toEqual([]);
    }
  });
});
