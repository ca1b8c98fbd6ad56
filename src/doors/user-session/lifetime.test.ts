import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { rest } from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { bearer, expectSignedOut, session, sessionOf, signIn } from '../../../tests/support/user-session.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { john } = demoUsers;
const minute = 60;
const idleSeconds = 60 * minute;
const absoluteSeconds = 12 * 60 * minute;

describe.each(engines.map((engine) => [engine]))('[18] the life of a session on %s', (engine) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ engine });
  }, 30_000);
  afterAll(() => server.close());

  const ask = (token: string) => session(server, bearer(token));
  /** Seconds from now to the instant that an answer prints. */
  const secondsTo = (instant: string) => (Date.parse(instant) - server.clock.nowMs) / 1000;
  /** Moves on by `seconds` and uses the session: it must live. */
  async function useAfter(token: string, seconds: number): Promise<string> {
    server.clock.advance(seconds);
    return sessionOf(await ask(token)).expiresAt;
  }

  test('it lives 58 minutes after its last use and is dead at 60', async () => {
    const { token } = await signIn(server, john);
    await useAfter(token, 58 * minute);
    await useAfter(token, 58 * minute);
    server.clock.advance(idleSeconds);
    expectSignedOut(await ask(token), 'presented');
  });

  test.each([
    [-1, 200],
    [0, 401],
    [1, 401],
  ])('S10: %d s from the idle limit: %d', async (offset, status) => {
    const { token } = await signIn(server, john);
    server.clock.advance(idleSeconds + offset);
    expect((await ask(token)).status).toBe(status);
  });

  test.each([
    [-1, 200],
    [0, 401],
    [1, 401],
  ])('S10: %d s from the absolute limit, in spite of use: %d', async (offset, status) => {
    const { token } = await signIn(server, john);
    const uses = 13;
    for (let use = 0; use < uses; use += 1) await useAfter(token, 55 * minute);
    server.clock.advance(absoluteSeconds - uses * 55 * minute + offset);
    expect((await ask(token)).status).toBe(status);
  });

  test('expiresAt tells the earlier limit: first the idle one, near the end the absolute one', async () => {
    const opened = await signIn(server, john);
    const end = Date.parse(opened.expiresAt) + absoluteSeconds * 1000 - idleSeconds * 1000;
    expect(secondsTo(opened.expiresAt)).toBe(idleSeconds);
    for (let use = 0; use < 14; use += 1) {
      const told = Date.parse(await useAfter(opened.token, 50 * minute));
      expect(told).toBe(Math.min(server.clock.nowMs + idleSeconds * 1000, end));
    }
    expect(end - server.clock.nowMs).toBe(20 * minute * 1000);
  });

  test('uses may be recorded once a minute: the session ends at the instant last told, at most 60 s early', async () => {
    const { token } = await signIn(server, john);
    let told = '';
    for (const seconds of [1, 28, 30, 0, 59, 61, 3]) {
      told = await useAfter(token, seconds);
      expect(secondsTo(told)).toBeLessThanOrEqual(idleSeconds);
      expect(secondsTo(told)).toBeGreaterThanOrEqual(idleSeconds - 60);
    }
    const left = secondsTo(told);
    server.clock.advance(left);
    expectSignedOut(await ask(token), 'presented');
  });

  test('the last second that was told is alive', async () => {
    const { token } = await signIn(server, john);
    const told = await useAfter(token, 90);
    server.clock.advance(secondsTo(told) - 1);
    expect((await ask(token)).status).toBe(200);
  });

  test('use at another door moves the idle limit too', async () => {
    const { token } = await signIn(server, john);
    server.clock.advance(50 * minute);
    expect((await rest(server, 'POST', '/v2/auth/session', { headers: bearer(token) })).status).toBe(200);
    server.clock.advance(50 * minute);
    expect((await ask(token)).status).toBe(200);
  });

  test('a refused use moves nothing', async () => {
    const { token } = await signIn(server, john);
    server.clock.advance(50 * minute);
    expect((await session(server, bearer(`${token}x`))).status).toBe(401);
    server.clock.advance(10 * minute);
    expectSignedOut(await ask(token), 'presented');
  });

  test('a session of the ECGrid door keeps the end of its own token here', async () => {
    const body = { login: john.login, password: john.password };
    const opened = await rest(server, 'POST', '/v2/auth/login', { body });
    const { token } = opened.body.data as { token: string };
    await useAfter(token, 30 * minute);
    server.clock.advance(30 * minute - 1);
    expect((await ask(token)).status).toBe(200);
    server.clock.advance(1);
    expectSignedOut(await ask(token), 'presented');
  });

  test('a clock that is set back revives nothing that has ended by logout', async () => {
    const { token } = await signIn(server, john);
    server.clock.advance(10);
    await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) });
    server.clock.advance(-5);
    expectSignedOut(await ask(token), 'presented');
    server.clock.advance(5);
  });
});
