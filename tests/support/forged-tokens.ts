import { CompactEncrypt, FlattenedSign, generateKeyPair } from 'jose';
import vector from '../../src/doors/ecgrid-rest/fixtures/signing-vector.json';
import { type Claims, makeRawToken, makeToken, ownHeader } from './jwt.ts';
import { exampleSeconds } from './server.ts';

/** What a forger may have in hand: a live token, another one of the same user, and even the signing key. */
export type Hand = {
  readonly key: Uint8Array;
  readonly token: string;
  readonly claims: Claims;
  readonly other: Claims;
  /** Address that no server has a reason to call. */
  readonly canary: string;
  /** Ids of users who may not sign in or are no more. */
  readonly deadUserIds: readonly number[];
};
export type Forge = (hand: Hand) => readonly string[] | Promise<readonly string[]>;

/** Each claim set signed with the real key: only the claims are wrong. */
export async function signed(hand: Hand, ...claims: readonly Claims[]): Promise<readonly string[]> {
  return Promise.all(claims.map((each) => makeToken(hand.key, { ...hand.claims, ...each })));
}

/** Each payload signed with the real key as it is. */
function sealed({ key }: Hand, ...payloads: readonly (string | Uint8Array)[]): readonly string[] {
  return payloads.map((payload) => makeRawToken(key, JSON.stringify(ownHeader), payload));
}

/** Each header with the live claims, signed with the real key: only the header is wrong. */
function headed({ key, claims }: Hand, ...headers: readonly (string | object)[]): readonly string[] {
  const text = (header: string | object) => (typeof header === 'string' ? header : JSON.stringify(header));
  return headers.map((header) => makeRawToken(key, text(header), JSON.stringify(claims)));
}

function without(claims: Claims, name: string): Claims {
  return Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name));
}

/** As JSON text, with one member written as given. */
function withRaw(claims: Claims, name: string, text: string): string {
  const members = Object.entries(claims).map(
    ([key, value]) => `"${key}":${key === name ? text : JSON.stringify(value)}`,
  );
  return `{${members.join(',')}}`;
}

async function otherAlgorithms({ key, claims }: Hand): Promise<readonly string[]> {
  const bySecret = ['HS384', 'HS512'].map((alg) => makeToken(Buffer.concat([key, key]), claims, { alg, typ: 'JWT' }));
  const byPair = ['RS256', 'PS256', 'ES256', 'EdDSA'].map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg);
    return makeToken(privateKey, claims, { alg, typ: 'JWT' });
  });
  const named = ['HS384', 'HS512', 'RS256', 'ES256', 'EdDSA', 'PS256'].map((alg) =>
    makeRawToken(key, JSON.stringify({ alg, typ: 'JWT' }), JSON.stringify(claims)),
  );
  return [...(await Promise.all([...bySecret, ...byPair])), ...named];
}

export function strays(token: string): readonly string[] {
  const [header = '', payload = '', mac = ''] = token.split('.');
  const bits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const spoil = ['=', '==', ' ', '\t', '\n', '\r\n', '\0', '+', '/', '*'].flatMap((stray) => [
    [header + stray, payload, mac],
    [header, payload + stray, mac],
    [header, payload, mac + stray],
    [header, payload, stray + mac],
    [header, `${payload.slice(0, 9)}${stray}${payload.slice(9)}`, mac],
    [header, payload, `${mac.slice(0, 9)}${stray}${mac.slice(9)}`],
  ]);
  const unused = [1, 2, 3].map((bit) => [
    header,
    payload,
    mac.slice(0, -1) + bits[bits.indexOf(mac.at(-1) ?? '') ^ bit],
  ]);
  return [...spoil, ...unused].map((parts) => parts.join('.'));
}

const publicKeys = ['https://auth.example.com', 'cardea', 'ecgrid', 'secret', 'changeme', '', '0'.repeat(32)].map(
  (text) => Buffer.from(text),
);
const exampleKey = Buffer.from(vector.keyHex, 'hex');

/** Group J of the attacks, up to J23: by name, texts that must all be refused. */
export const forgeries: [string, Forge][] = [
  [
    'J01 none, in any letter case, with no, some and a good signature',
    (hand) =>
      ['none', 'None', 'NONE', 'nOnE'].flatMap((alg) => {
        const [token = ''] = headed(hand, { alg, typ: 'JWT' });
        const unsigned = token.slice(0, token.lastIndexOf('.') + 1);
        return [unsigned, `${unsigned}eA`, token];
      }),
  ],
  [
    'J02 HS256 keyed with public texts',
    (hand) =>
      [...publicKeys, exampleKey].map((key) =>
        makeRawToken(key, JSON.stringify(ownHeader), JSON.stringify(hand.claims)),
      ),
  ],
  ['J03, J04 other algorithms', otherAlgorithms],
  [
    'J05 the wrong number of parts, and each part empty',
    ({ token }) => {
      const [header, payload, mac] = token.split('.');
      const broken = [
        [],
        [''],
        [header],
        [header, payload],
        [header, payload, mac, mac],
        [header, '', '', payload, mac],
      ];
      const emptied = [
        ['', payload, mac],
        [header, '', mac],
        [header, payload, ''],
        ['', '', ''],
      ];
      return [...broken, ...emptied].map((parts) => parts.join('.'));
    },
  ],
  ['J07 non-canonical text', ({ token }) => strays(token)],
  [
    'J09 a header that names a key',
    (hand) =>
      headed(
        hand,
        ...['jku', 'x5u'].flatMap((name) => [
          { ...ownHeader, [name]: hand.canary },
          { ...ownHeader, [name]: hand.canary.replace('http:', 'https:') },
          { ...ownHeader, [name]: 'file:///etc/passwd' },
        ]),
        { ...ownHeader, jwk: { kty: 'oct', k: Buffer.from(hand.key).toString('base64url') } },
        { ...ownHeader, x5c: ['MIIB'] },
      ),
  ],
  [
    'J10 kid of any kind',
    (hand) =>
      headed(
        hand,
        ...['../../dev/null', "' union select 'x", '__proto__', 'x'.repeat(3_000), 7, '', 'a'].map((kid) => ({
          ...ownHeader,
          kid,
        })),
      ),
  ],
  [
    'J11 crit, b64, zip, cty',
    (hand) =>
      headed(
        hand,
        { ...ownHeader, crit: ['exp'] },
        { ...ownHeader, b64: false, crit: ['b64'] },
        { ...ownHeader, zip: 'DEF' },
        { ...ownHeader, cty: 'JWT' },
      ),
  ],
  [
    'J12 another typ or none',
    (hand) => headed(hand, { alg: 'HS256' }, ...['jwt', 'at+jwt', null].map((typ) => ({ alg: 'HS256', typ }))),
  ],
  [
    'J13 the header reordered, spaced or repeated',
    (hand) =>
      headed(
        hand,
        '{"typ":"JWT","alg":"HS256"}',
        '{"alg":"HS256", "typ":"JWT"}',
        '{"alg":"HS256","typ":"JWT"}\n',
        '{"alg":"none","alg":"HS256","typ":"JWT"}',
      ),
  ],
  [
    'J15 exp missing, of another type, or over',
    (hand) => [
      ...sealed(hand, JSON.stringify(without(hand.claims, 'exp'))),
      ...sealed(
        hand,
        ...[
          '"1778178600"',
          '1778178600.5',
          '1778178600.0',
          '1.7781786e9',
          '-1',
          '1e308',
          'null',
          '[1778178600]',
          'true',
        ].map((text) => withRaw(hand.claims, 'exp', text)),
      ),
      ...sealed(hand, ...[exampleSeconds, exampleSeconds - 1].map((exp) => JSON.stringify({ ...hand.claims, exp }))),
    ],
  ],
  [
    'J16 iat missing or a text, nbf present',
    async (hand) => [
      ...sealed(hand, JSON.stringify(without(hand.claims, 'iat')), withRaw(hand.claims, 'iat', '"1778175000"')),
      ...(await signed(hand, { nbf: exampleSeconds }, { nbf: exampleSeconds + 9 })),
    ],
  ],
  [
    'J17 another iss or aud',
    async (hand) => [
      ...(await signed(hand, ...[...wrongTexts('https://auth.example.com')].map((iss) => ({ iss })))),
      ...(await signed(hand, ...[...wrongTexts('cardea')].map((aud) => ({ aud })))),
      ...sealed(hand, ...['iss', 'aud'].map((name) => JSON.stringify(without(hand.claims, name)))),
    ],
  ],
  [
    'J18 sub of somebody else',
    (hand) =>
      signed(
        hand,
        ...['1', '12345', ...hand.deadUserIds.map(String), 4821, 'constructor', '04821', '4821 ', '', null].map(
          (sub) => ({ sub }),
        ),
      ),
  ],
  [
    'J19 sid of nobody, sid and jti of wrong form',
    (hand) =>
      signed(
        hand,
        { sid: 'A'.repeat(22) },
        { sid: 'A'.repeat(21) },
        { sid: '' },
        { sid: null },
        { sid: `${String(hand.claims['sid'])}A` },
        { jti: 'A'.repeat(15) },
        { jti: '' },
        { jti: 7 },
      ),
  ],
  [
    'J19 claims twice, or named in another case',
    (hand) => {
      const text = JSON.stringify(hand.claims);
      return sealed(
        hand,
        text.replace('{', '{"sub":"1",'),
        text.replace('}', ',"sub":"4821"}'),
        text.replace('"sub"', '"SUB"'),
        text.replace('"exp"', '"Exp"'),
      );
    },
  ],
  [
    'J20 a payload that is no object',
    (hand) => {
      const text = JSON.stringify(hand.claims);
      const bytes = Buffer.from(text.replace('cardea', 'carde\x80'), 'latin1');
      return sealed(
        hand,
        'not json',
        `\ufeff${text}`,
        bytes,
        `[${text}]`,
        '"text"',
        'null',
        '7',
        '[]',
        '{}',
        '['.repeat(2_500),
        text.slice(0, -1),
      );
    },
  ],
  [
    'J23 JSON form, encrypted form, a token inside a token',
    async (hand) => {
      const payload = Buffer.from(JSON.stringify(hand.claims));
      const flat = await new FlattenedSign(payload).setProtectedHeader(ownHeader).sign(hand.key);
      const header = { alg: 'dir', enc: 'A256GCM' };
      const encrypted = await new CompactEncrypt(payload).setProtectedHeader(header).encrypt(hand.key);
      return [
        JSON.stringify(flat),
        encrypted,
        ...sealed(hand, hand.token, JSON.stringify(hand.token), JSON.stringify({ token: hand.token })),
      ];
    },
  ],
];

function wrongTexts(right: string): unknown[] {
  return [
    '',
    'other',
    right.slice(0, -1),
    `${right}.`,
    `${right} `,
    right.toUpperCase(),
    [right],
    null,
    { text: right },
  ];
}
