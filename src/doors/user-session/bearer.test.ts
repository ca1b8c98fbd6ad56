import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Canary, startCanary } from '../../../tests/support/canary.ts';
import { forgeries, type Hand, signed } from '../../../tests/support/forged-tokens.ts';
import { type Claims, makeToken, readClaims, readSigningKey } from '../../../tests/support/jwt.ts';
import { exampleSeconds, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { countStoreReads } from '../../../tests/support/store-reads.ts';
import { addUser, setUserStatus, testPassword } from '../../../tests/support/users.ts';
import {
  bearer,
  comparable,
  expectRefusal,
  expectSignedOut,
  logout,
  messages,
  session,
  signIn,
  type WebAnswer,
  webRaw,
} from '../../../tests/support/user-session.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { deleteUser } from '../../core/index.ts';

const { john } = demoUsers;
/** A token of the appliance contract looks like this: 16 bytes in hex with colons. */
const applianceToken = '3e:c1:a7:a3:1e:2c:44:c6:86:1c:8f:2b:7d:51:cd:95';
const caller = { address: 'local', userAgent: 'test', requestId: 'test' };

let server: TestServer;
let canary: Canary;
let deadUserIds: readonly number[];
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_REFUSED_PER_SECOND: '1000000' } });
  canary = await startCanary();
  const deletedId = await addUser(server, { login: 'gone' });
  const suspendedId = await addUser(server, { login: 'off', status: 'Suspended' });
  deadUserIds = [deletedId, suspendedId];
  await deleteUser(server.core, 'system', deletedId, caller);
});
afterAll(async () => {
  await server.close();
  await canary.close();
});

async function takeHand(): Promise<Hand> {
  const { token } = await signIn(server, john);
  const other = readClaims((await signIn(server, john)).token);
  return { key: readSigningKey(server), token, claims: readClaims(token), other, canary: canary.url, deadUserIds };
}

/** All refusals of a token are one answer; the reference is that of plain nonsense. */
async function expectRefusedAlike(answer: WebAnswer): Promise<void> {
  expectSignedOut(answer, 'presented');
  expect(comparable(answer)).toEqual(comparable(await session(server, bearer('garbage'))));
}

/** Only what a header can carry as it is; a comma there is a repeated header. */
function fitsHeader(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text) && !text.includes(',');
}

describe('[3] no credential at all (5.2)', () => {
  test.each<[string, Record<string, string>]>([
    ['no header', {}],
    ['Bearer', { Authorization: 'Bearer' }],
    ['Bearer and a space', { Authorization: 'Bearer ' }],
    ['Bearer null', { Authorization: 'Bearer null' }],
    ['Bearer undefined', { Authorization: 'Bearer undefined' }],
    ['bearer null', { Authorization: 'bearer null' }],
  ])('J25: %s: 401 without the hint and without asking the store', async (_, headers) => {
    const reads = countStoreReads(server);
    const answers = [await session(server, headers), await logout(server, headers)];
    expect(reads.stop()).toBe(0);
    for (const answer of answers) {
      expectSignedOut(answer, 'nothing');
      expect(comparable(answer)).toEqual(comparable(await session(server, {})));
    }
  });
});

describe('[3] bad credentials', () => {
  const cases: [string, (token: string) => string][] = [
    ['Basic', () => `Basic ${Buffer.from(`${john.login}:${john.password}`).toString('base64')}`],
    ['Basic with the token', (token) => `Basic ${token}`],
    ['ApiKey', () => `ApiKey ${demoKey}`],
    ['Token', (token) => `Token ${token}`],
    ['another word that begins like it', (token) => `Bearertoken ${token}`],
    ['no scheme', (token) => token],
    ['two spaces', (token) => `Bearer  ${token}`],
    ['a tab', (token) => `Bearer\t${token}`],
    ['a word after the token', (token) => `Bearer ${token} y`],
    ['quotes', (token) => `Bearer "${token}"`],
    ['garbage', () => 'Bearer garbage'],
    ['an appliance-like token', () => `Bearer ${applianceToken}`],
    ['an API key', () => `Bearer ${demoKey}`],
    ['a SOAP-like session id', () => 'Bearer {A1B2C3D4-E5F6-7890-ABCD-EF1234567890}'],
    ['8 KB', (token) => `Bearer ${token}${'A'.repeat(8_192)}`],
  ];
  test.each(cases)(
    '%s: the same 401 bytes at session and logout, without asking the store',
    async (_, authorization) => {
      const { token } = await signIn(server, john);
      const headers = { Authorization: authorization(token) };
      const reads = countStoreReads(server);
      const answers = [await session(server, headers), await logout(server, headers)];
      expect(reads.stop()).toBe(0);
      for (const answer of answers) {
        expectRefusal(answer, 401, messages.notSignedIn);
        const { headers: sent } = comparable(answer) as { headers: Record<string, string> };
        const nothing = comparable(await session(server, {})) as { headers: Record<string, string> };
        delete sent['www-authenticate'];
        delete nothing.headers['www-authenticate'];
        expect(sent).toEqual(nothing.headers);
      }
      expect((await session(server, bearer(token))).status).toBe(200);
    },
  );

  test('the credentials of Basic sign nobody in and are no try of the password', async () => {
    const before = server.core.hasher.evaluated();
    await session(server, { Authorization: `Basic ${btoa(`${john.login}:${john.password}`)}` });
    expect(server.core.hasher.evaluated()).toBe(before);
  });

  test('J06: one character replaced at each position', async () => {
    const { token } = await signIn(server, john);
    for (let at = 0; at < token.length; at += 1) {
      const other = token[at] === 'A' ? 'B' : 'A';
      const answer = await session(server, bearer(token.slice(0, at) + other + token.slice(at + 1)));
      expectSignedOut(answer, 'presented');
    }
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test('K10, J25: two Authorization lines, or a comma in one: 400 at every operation', async () => {
    const { token } = await signIn(server, john);
    const line = `Authorization: Bearer ${token}`;
    for (const request of ['GET /auth/session', 'HEAD /auth/session', 'POST /auth/logout', 'POST /auth/login']) {
      for (const lines of [[line, line], [line, 'Authorization: Bearer x'], [`${line}, Bearer ${token}`]]) {
        const answer = await webRaw(server, [`${request} HTTP/1.1`, ...lines]);
        expect(answer.status).toBe(400);
        if (!request.startsWith('HEAD')) expectRefusal(answer, 400, messages.notValid);
      }
    }
    expect((await session(server, bearer(token))).status).toBe(200);
  });
});

describe('[3] forged tokens', () => {
  test.each(forgeries)('%s', async (_, forge) => {
    const hand = await takeHand();
    const texts = (await forge(hand)).filter(fitsHeader);
    expect(texts.length).toBeGreaterThan(0);
    expect(texts).not.toContain(hand.token);
    for (const text of texts) await expectRefusedAlike(await session(server, bearer(text)));
    expectSignedOut(await logout(server, bearer(texts[0] ?? '')), 'presented');
    expect((await session(server, bearer(hand.token))).status).toBe(200);
  });

  test('J19: the sid of one session with the jti of another', async () => {
    const hand = await takeHand();
    for (const text of await signed(hand, { jti: hand.other['jti'] }, { sid: hand.other['sid'] })) {
      await expectRefusedAlike(await session(server, bearer(text)));
    }
  });

  test('nobody called the canary that the headers named', () => {
    expect(canary.calls()).toBe(0);
  });

  test.each<[string, (key: Uint8Array, claims: Claims) => Promise<string>]>([
    ['a well-signed token over 4 KiB', (key, claims) => makeToken(key, { ...claims, pad: 'x'.repeat(6_000) })],
    ['another key', (_, claims) => makeToken(Buffer.alloc(32, 'k'), claims)],
    ['an expired token', (key, claims) => makeToken(key, { ...claims, exp: exampleSeconds })],
    ['alg none', (_, claims) => Promise.resolve(`${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`)],
    ['a padded token', (key, claims) => makeToken(key, claims).then((token) => `${token}=`)],
  ])('J28: %s is refused without asking the store', async (_, make) => {
    const { token } = await signIn(server, john);
    const forged = await make(readSigningKey(server), readClaims(token));
    const reads = countStoreReads(server);
    const answer = await session(server, bearer(forged));
    expect(reads.stop()).toBe(0);
    await expectRefusedAlike(answer);
  });
});

describe('[3] J27: live until just now', () => {
  const endings: [string, (who: { id: number; token: string }) => Promise<unknown>][] = [
    ['logout', ({ token }) => logout(server, bearer(token))],
    ['the end of its time', async () => server.clock.advance(12 * 3600)],
    ['suspension', ({ id }) => setUserStatus(server, id, 'Suspended')],
    ['termination', ({ id }) => setUserStatus(server, id, 'Terminated')],
    ['deletion', ({ id }) => deleteUser(server.core, 'system', id, caller)],
  ];
  test.each(endings)('after %s the token is refused like any other, by GET, HEAD and logout', async (ending, end) => {
    const login = ending.replaceAll(' ', '-');
    const id = await addUser(server, { login });
    const { token } = await signIn(server, { login, password: testPassword });
    expect((await session(server, bearer(token))).status).toBe(200);
    await end({ id, token });
    await expectRefusedAlike(await session(server, bearer(token)));
    expectSignedOut(await logout(server, bearer(token)), 'presented');
  });

  test('S09: a user made anew under the same name does not revive the old token', async () => {
    const id = await addUser(server, { login: 'phoenix' });
    const { token } = await signIn(server, { login: 'phoenix', password: testPassword });
    await deleteUser(server.core, 'system', id, caller);
    await addUser(server, { login: 'phoenix' });
    await expectRefusedAlike(await session(server, bearer(token)));
  });
});

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
