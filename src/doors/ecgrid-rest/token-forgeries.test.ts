import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Canary, startCanary } from '../../../tests/support/canary.ts';
import {
  bearer,
  comparable,
  type EcgridAnswer,
  expectBadBearer,
  login,
  refresh,
  rest,
  session,
} from '../../../tests/support/ecgrid.ts';
import { makeRawToken, makeToken, ownHeader, readClaims, readSigningKey } from '../../../tests/support/jwt.ts';
import { type Hand, forgeries, signed, strays } from '../../../tests/support/forged-tokens.ts';
import { exampleSeconds, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';

let server: TestServer;
let canary: Canary;
let deadUserIds: readonly number[];
beforeAll(async () => {
  server = await startTestServer({ settings: { CARDEA_LIMITS_REFUSED_PER_SECOND: '1000000' } });
  canary = await startCanary();
  const deletedId = await addUser(server, { login: 'deleted' });
  const suspendedId = await addUser(server, { login: 'suspended', status: 'Suspended' });
  deadUserIds = [deletedId, suspendedId];
  const root = (await login(server, demoUsers.admin)).token;
  expect((await rest(server, 'DELETE', `/v2/users/${deletedId}`, { headers: bearer(root) })).status).toBe(200);
});
afterAll(async () => {
  await server.close();
  await canary.close();
});

async function takeHand(): Promise<Hand> {
  const { token } = await login(server, demoUsers.john);
  const other = readClaims((await login(server, demoUsers.john)).token);
  return { key: readSigningKey(server), token, claims: readClaims(token), other, canary: canary.url, deadUserIds };
}

/** Only what a header can carry as it is: everything else counts in bodies alone. */
function fitsHeader(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text) && !text.includes(',');
}

describe('forged tokens (attacks J)', () => {
  test('the same way of making them gives a token that signs in: jose agrees byte for byte', async () => {
    const { key, token, claims } = await takeHand();
    expect(await makeToken(key, claims)).toBe(token);
    expect(makeRawToken(key, JSON.stringify(ownHeader), JSON.stringify(claims))).toBe(token);
  });

  test('J16: an iat ahead of the clock is no reason to refuse', async () => {
    const hand = await takeHand();
    const [ahead = ''] = await signed(hand, { iat: exampleSeconds + 500 });
    expect((await session(server, bearer(ahead))).status).toBe(200);
  });

  test.each(forgeries)('[12] %s: 401 E2 as bearer and at refresh, all alike', async (_, forge) => {
    const hand = await takeHand();
    const texts = await forge(hand);
    expect(texts.length).toBeGreaterThan(0);
    expect(texts).not.toContain(hand.token);
    for (const text of texts) {
      if (fitsHeader(text)) expectAlike(await session(server, bearer(text)));
      expectAlike(await rest(server, 'POST', '/v2/auth/refresh', { body: { token: text } }));
    }
    expect((await session(server, bearer(hand.token))).status).toBe(200);
  });

  test('J19: the real sid with a jti of another session, and the reverse: 401 E2', async () => {
    const hand = await takeHand();
    const texts = await signed(hand, { jti: hand.other['jti'] }, { sid: hand.other['sid'] }, { jti: 'A'.repeat(16) });
    for (const text of texts) expectAlike(await session(server, bearer(text)));
    expect((await session(server, bearer(hand.token))).status).toBe(200);
  });

  test('J08: respellings of a token that was rotated away or logged out: 401 E2, and its session does not notice', async () => {
    const { token } = await takeHand();
    const successor = (await refresh(server, token)).token;
    const ended = (await takeHand()).token;
    await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(ended) });
    for (const text of [...strays(token), ...strays(ended)]) {
      if (fitsHeader(text)) expectAlike(await session(server, bearer(text)));
      expectAlike(await rest(server, 'POST', '/v2/auth/refresh', { body: { token: text } }));
    }
    expect((await session(server, bearer(successor))).status).toBe(200);
  });

  test('nobody called the canary that the headers named', () => {
    expect(canary.calls()).toBe(0);
  });
});

let first: unknown;

/** Whatever is wrong with a token, the answer is one and the same. */
function expectAlike(answer: EcgridAnswer): void {
  expectBadBearer(answer);
  first ??= comparable(answer);
  expect(comparable(answer)).toEqual(first);
}
