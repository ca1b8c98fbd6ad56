import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import {
  apiKey,
  bearer,
  type EcgridAnswer,
  type EcgridLogin,
  expectBadBearer,
  expectRefusal,
  login,
  messages,
  refresh,
  rest,
  session,
} from '../../../tests/support/ecgrid.ts';
import { readClaims } from '../../../tests/support/jwt.ts';
import { engines, exampleSeconds, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { listAudit } from '../../core/index.ts';

const tokenSeconds = 3600;

/** Audit events of these names written since the last call. */
async function newEvents(server: TestServer, after: { id: number }, ...names: readonly string[]): Promise<string[]> {
  const rows = await listAudit(server.core, after.id, 1000);
  after.id = rows.at(-1)?.id ?? after.id;
  return rows.map(({ event }) => event).filter((event) => names.includes(event));
}

describe.each(engines.map((engine) => [engine]))('refresh on %s', (engine) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ engine });
  }, 30_000);
  afterAll(() => server.close());
  // Login tries are counted per address and time.
  beforeEach(() => server.clock.advance(tokenSeconds));

  const open = async () => (await login(server, demoUsers.john)).token;
  const send = (body: unknown, headers: Readonly<Record<string, string>> = {}) =>
    rest(server, 'POST', '/v2/auth/refresh', { headers, body });
  const statusOf = async (token: string) => (await session(server, bearer(token))).status;
  const tokenOf = (answer: EcgridAnswer) => (answer.body.data as EcgridLogin).token;

  describe('[14] the ways to name the token', () => {
    const ways: [string, (token: string) => Promise<EcgridAnswer>][] = [
      ['token', (token) => send({ token })],
      ['refreshToken', (token) => send({ refreshToken: token })],
      ['both, saying the same', (token) => send({ token, refreshToken: token })],
      ['the bearer and no body', (token) => rest(server, 'POST', '/v2/auth/refresh', { headers: bearer(token) })],
      [
        'the bearer and an empty JSON body',
        (token) =>
          rest(server, 'POST', '/v2/auth/refresh', {
            headers: { ...bearer(token), 'Content-Type': 'application/json' },
            rawBody: '',
          }),
      ],
      ['the bearer and {}', (token) => send({}, bearer(token))],
      ['the bearer and members of no meaning', (token) => send({ grant: 'x' }, bearer(token))],
      ['token beside a bearer of nobody', (token) => send({ token }, bearer('bogus'))],
      ['token beside a bad key', (token) => send({ token }, apiKey('bogus'))],
      ['token beside the key of the user', (token) => send({ token }, apiKey(demoKey))],
    ];

    test.each(ways)('%s: 200, and the old token is 401 at once without ending the session', async (_, present) => {
      const token = await open();
      const answer = await present(token);
      expect(answer.status).toBe(200);
      const data = answer.body.data as EcgridLogin;
      expect(Object.keys(data)).toEqual(['token', 'expiresAt', 'userId']);
      const { sid, jti, iat, exp, ...fixed } = readClaims(data.token);
      const old = readClaims(token);
      expect(fixed).toEqual({ iss: 'https://auth.example.com', aud: 'cardea', sub: '4821' });
      expect(sid).toBe(old['sid']);
      expect(jti).not.toBe(old['jti']);
      const now = server.clock.nowMs / 1000;
      expect([iat, exp]).toEqual([now, now + tokenSeconds]);
      expect(data).toMatchObject({ userId: 4821, expiresAt: instant(now + tokenSeconds) });
      expectBadBearer(await session(server, bearer(token)));
      expectBadBearer(await session(server, bearer(token)));
      expect(await statusOf(data.token)).toBe(200);
    });

    test('the bearer is ignored, dead or alive, when the body names a token', async () => {
      const [named, other] = [await open(), await open()];
      expect((await send({ token: named }, bearer(other))).status).toBe(200);
      expect(await statusOf(other)).toBe(200);
      expectBadBearer(await send({ token: 'bogus' }, bearer(other)));
      expect(await statusOf(other)).toBe(200);
    });

    test('no token anywhere: 401 E1, also with a good key', async () => {
      expectRefusal(await send({}), 401, 'InvalidSession', messages.E1);
      expectRefusal(await send({}, apiKey(demoKey)), 401, 'InvalidSession', messages.E1);
      const bare = await rest(server, 'POST', '/v2/auth/refresh');
      expectRefusal(bare, 401, 'InvalidSession', messages.E1);
    });

    test.each([
      ['two names that differ', { token: 'a', refreshToken: 'b' }, /^(token|refreshToken) /],
      ['a number', { token: 7 }, /^token /],
      ['null', { token: null }, /^token /],
      ['an array', { refreshToken: ['a'] }, /^refreshToken /],
    ])('%s: 400', async (_, body, message) => {
      expectRefusal(await send(body, bearer(await open())), 400, 'InvalidParameter', message);
    });

    test.each([
      ['an empty text', ''],
      ['a key', demoKey],
      ['no token', 'bogus'],
    ])('%s as token: 401 E2', async (_, token) => {
      expectBadBearer(await send({ token }));
    });
  });

  describe('[15] a token presented again', () => {
    test.each([0, 9, 10])('at +%d s: the same successor, byte for byte', async (seconds) => {
      const token = await open();
      const answer = await send({ token });
      server.clock.advance(seconds);
      const again = await send({ token });
      expect(again.status).toBe(200);
      expect(again.text).toBe(answer.text);
      expect(await statusOf(tokenOf(answer))).toBe(200);
    });

    test('at +11 s: 401, the successor is 401 too, and one theft is written down', async () => {
      const after = { id: 0 };
      await newEvents(server, after);
      const token = await open();
      const successor = (await refresh(server, token)).token;
      server.clock.advance(11);
      expectBadBearer(await send({ token }));
      expectBadBearer(await session(server, bearer(successor)));
      expectBadBearer(await send({ token: successor }));
      expectBadBearer(await send({ token }));
      expect(await newEvents(server, after, 'session.reuse_detected')).toEqual(['session.reuse_detected']);
    });

    test('the grandparent at +1 s: the same ending', async () => {
      const token = await open();
      const child = (await refresh(server, token)).token;
      const grandchild = (await refresh(server, child)).token;
      server.clock.advance(1);
      expectBadBearer(await send({ token }));
      expectBadBearer(await session(server, bearer(grandchild)));
      expectBadBearer(await send({ token: child }));
    });

    test('the ending is of that session alone', async () => {
      const [token, other] = [await open(), await open()];
      await refresh(server, token);
      server.clock.advance(11);
      expectBadBearer(await send({ token }));
      expect(await statusOf(other)).toBe(200);
      expect((await session(server, apiKey(demoKey))).status).toBe(200);
    });

    test('an old token that has expired by itself ends nothing', async () => {
      const token = await open();
      server.clock.advance(tokenSeconds - 1);
      const successor = (await refresh(server, token)).token;
      server.clock.advance(1);
      // Within the grace, and yet expired.
      expectBadBearer(await send({ token }));
      server.clock.advance(60);
      expectBadBearer(await send({ token }));
      expect(await statusOf(successor)).toBe(200);
    });

    test('S12: after logout neither token refreshes, within the grace or not', async () => {
      const token = await open();
      const successor = (await refresh(server, token)).token;
      await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(successor) });
      expectBadBearer(await send({ token }));
      expectBadBearer(await send({ token: successor }));
    });
  });

  describe('[16] many at once', () => {
    test('32 parallel refreshes: one successor, the same answer to all, one rotation', async () => {
      const after = { id: 0 };
      await newEvents(server, after);
      const token = await open();
      const answers = await Promise.all(Array.from({ length: 32 }, () => send({ token })));
      expect([...new Set(answers.map(({ status }) => status))]).toEqual([200]);
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
      expect(await statusOf(tokenOf(answers[0] as EcgridAnswer))).toBe(200);
      expectBadBearer(await session(server, bearer(token)));
      expect(await newEvents(server, after, 'session.refreshed')).toEqual(['session.refreshed']);
    }, 15_000);

    test('S15: refresh and logout at once, 50 times: no token of the session survives', async () => {
      const survivors: number[] = [];
      for (let round = 0; round < 50; round += 1) {
        const token = await open();
        const [refreshed, ended] = await Promise.all([
          send({ token }),
          rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) }),
        ]);
        if (ended.status !== 200) continue;
        const left = refreshed.status === 200 ? tokenOf(refreshed) : token;
        if ((await statusOf(left)) === 200 || (await statusOf(token)) === 200) survivors.push(round);
      }
      expect(survivors).toEqual([]);
    }, 20_000);

    test('S11: refresh never prints an end beyond login + 12 h, and at that second all is over', async () => {
      const loginAt = server.clock.nowMs / 1000;
      let { token, expiresAt } = await login(server, demoUsers.john);
      const ends = [];
      for (let elapsed = 50 * 60; elapsed < 12 * 3600; elapsed += 50 * 60) {
        server.clock.advance(50 * 60);
        ({ token, expiresAt } = await refresh(server, token));
        expect(expiresAt).toBe(instant(Math.min(loginAt + elapsed + tokenSeconds, loginAt + 12 * 3600)));
        ends.push(expiresAt);
      }
      expect(ends.at(-1)).toBe(instant(loginAt + 12 * 3600));
      const absoluteEndMs = (loginAt + 12 * 3600) * 1000;
      server.clock.nowMs = absoluteEndMs - 1000;
      expect(await statusOf(token)).toBe(200);
      server.clock.nowMs = absoluteEndMs;
      expectBadBearer(await session(server, bearer(token)));
      expectBadBearer(await send({ token }));
    });
  });

  describe('[13] logout', () => {
    test('200 with the exact message; the same token at the next request, refresh and logout: 401', async () => {
      const [token, other] = [await open(), await open()];
      const answer = await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) });
      expect(answer.status).toBe(200);
      expect(answer.text).toBe('{"success":true,"data":null,"errorCode":"","message":"Session terminated."}');
      expectBadBearer(await session(server, bearer(token)));
      expectBadBearer(await send({ token }));
      expectBadBearer(await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) }));
      expect(await statusOf(other)).toBe(200);
    });

    test('with a good key too, the session ends and the key lives', async () => {
      const token = await open();
      const headers = { ...bearer(token), ...apiKey(demoKey) };
      expect((await rest(server, 'POST', '/v2/auth/logout', { headers })).status).toBe(200);
      expectBadBearer(await session(server, headers));
      expect((await session(server, apiKey(demoKey))).status).toBe(200);
    });

    test('K16: by key alone: 200, nothing ends', async () => {
      const token = await open();
      const answer = await rest(server, 'POST', '/v2/auth/logout', { headers: apiKey(demoKey) });
      expect(answer.text).toBe('{"success":true,"data":null,"errorCode":"","message":"Session terminated."}');
      expect(await statusOf(token)).toBe(200);
      expect((await session(server, apiKey(demoKey))).status).toBe(200);
    });
  });
});

function instant(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

describe('[15] settings of refresh', () => {
  test('without a grace the second presentation ends the session at once', async () => {
    const server = await startTestServer({ settings: { CARDEA_ECGRID_REFRESH_GRACE_SECONDS: '0' } });
    try {
      const { token } = await login(server, demoUsers.john);
      const successor = (await refresh(server, token)).token;
      expectBadBearer(await rest(server, 'POST', '/v2/auth/refresh', { body: { token } }));
      expectBadBearer(await session(server, bearer(successor)));
    } finally {
      await server.close();
    }
  });

  test('the documented exchange: 50 minutes after login the successor ends at 19:20', async () => {
    const server = await startTestServer();
    try {
      const { token } = await login(server, demoUsers.john);
      expect(server.clock.nowMs / 1000).toBe(exampleSeconds);
      server.clock.advance(50 * 60);
      const answer = await rest(server, 'POST', '/v2/auth/refresh', { body: { token } });
      const successor = (answer.body.data as EcgridLogin).token;
      expect(answer.text).toBe(
        `{"success":true,"data":{"token":"${successor}","expiresAt":"2026-05-07T19:20:00Z","userId":4821},"errorCode":"","message":""}`,
      );
    } finally {
      await server.close();
    }
  });
});
