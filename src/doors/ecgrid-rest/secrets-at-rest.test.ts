import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { apiKey, bearer, login, refresh, rest, session } from '../../../tests/support/ecgrid.ts';
import { findIn, pieceLength, readRemains, spellings } from '../../../tests/support/remains.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call as callSoap, soapLogin } from '../../../tests/support/soap.ts';
import { addUser } from '../../../tests/support/users.ts';

const rounds = 100;

/** A secret of every kind that was shown or typed once. */
const secrets: { readonly kind: string; readonly text: string; readonly bytes?: Buffer }[] = [];

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    settings: {
      CARDEA_USER_SESSION_COOKIE: 'true',
      CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000',
      CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000',
    },
  });
  for (let round = 0; round < rounds; round += 1) await spendSecrets(round);
}, 60_000);
afterAll(() => server.close());

/** One login and one key at this door, what follows from them, and a session of each other kind. */
async function spendSecrets(round: number): Promise<void> {
  const who = { login: `keeper-${round}`, password: `${crypto.randomUUID()} Pond` };
  const id = await addUser(server, who);
  const { token } = await login(server, who);
  const key = (await rest(server, 'POST', `/v2/users/key-generate/${id}`, { headers: bearer(token) })).body.data;
  const next = (await refresh(server, token)).token;
  await session(server, bearer(next));
  await session(server, apiKey(String(key)));
  const wrong = `${crypto.randomUUID()} wrong`;
  await rest(server, 'POST', '/v2/auth/login', { body: { login: who.login, password: wrong } });
  const changed = `${crypto.randomUUID()} changed`;
  const change = { currentPassword: who.password, newPassword: changed };
  await rest(server, 'PUT', '/v2/auth/password', { headers: bearer(next), body: change });
  const soap = await soapLogin(server, { ...who, password: changed });
  await callSoap(server, 'SessionInfo', { SessionID: soap });
  // Where they do not belong they are redacted or dropped.
  await rest(server, 'POST', `/v2/auth/session?token=${next}&key=${String(key)}`, {
    headers: apiKey('x'),
    body: { next },
  });
  const cookie = await cookieLogin(who.login, changed);
  for (const text of [who.password, wrong, changed]) secrets.push({ kind: 'password', text });
  for (const text of [token, next]) {
    const mac = text.split('.')[2] ?? '';
    secrets.push({ kind: 'token', text }, { kind: 'signature', text: mac, bytes: Buffer.from(mac, 'base64url') });
  }
  for (const [kind, text] of [
    ['key', String(key)],
    ['SessionID', soap],
  ] as const) {
    secrets.push({ kind, text, bytes: Buffer.from(text.replaceAll('-', ''), 'hex') });
  }
  secrets.push({ kind: 'cookie', text: cookie, bytes: Buffer.from(cookie, 'base64url') });
}

async function cookieLogin(email: string, password: string): Promise<string> {
  const response = await fetch(`${server.url}/auth/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Origin: 'https://auth.example.com' },
    body: JSON.stringify({ email, password, cookie: true }),
  });
  return /__Host-cardea=([^;]+)/.exec(response.headers.get('set-cookie') ?? '')?.[1] ?? '';
}

function spellingsOf({ text, bytes }: (typeof secrets)[number]): string[] {
  const compact = text.replaceAll('-', '').toLowerCase();
  return [...spellings(Buffer.from(text)), ...(bytes === undefined ? [] : [...spellings(bytes), compact])];
}

describe('[18] SES-02 what is kept after 100 logins and key generations', () => {
  test('holds no token, key, password, SessionID or cookie: not raw, not in hex, not in base64, in no letter case', () => {
    expect(secrets).toHaveLength(rounds * 10);
    for (const { kind, text } of secrets) expect([kind, text.length >= 32]).toEqual([kind, true]);
    const texts = secrets.flatMap(spellingsOf);
    for (const text of texts) expect(text.length).toBeGreaterThanOrEqual(pieceLength);
    expect(findIn(readRemains(server), texts)).toEqual([]);
  }, 60_000);

  test('the search finds what is there: logins, digests of keys and of SessionIDs', () => {
    const digests = secrets
      .filter(({ kind }) => kind === 'key')
      .map(({ bytes }) =>
        createHash('sha256')
          .update(bytes ?? '')
          .digest('hex'),
      );
    const logins = Array.from({ length: rounds }, (_, round) => `keeper-${round}@users.example.com`);
    expect(findIn(readRemains(server), [...digests, ...logins])).toHaveLength(2 * rounds);
  }, 60_000);

  test('the search would find a secret in each of its spellings, wherever it begins in a longer text', () => {
    const bytes = Buffer.from(crypto.randomUUID());
    const wrapped = [0, 1, 2, 3].map((shift) => Buffer.concat([Buffer.alloc(shift, 7), bytes, Buffer.alloc(3, 7)]));
    const forms = wrapped.flatMap((text) => [
      text.toString('latin1').toUpperCase(),
      text.toString('hex').toUpperCase(),
      text.toString('base64'),
      text.toString('base64url'),
    ]);
    for (const form of forms) expect(findIn(`x${form.toLowerCase()}x`, spellings(bytes)).length).toBeGreaterThan(0);
  });
});
