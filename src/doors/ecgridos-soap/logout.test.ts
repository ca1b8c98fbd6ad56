import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { login as restLogin, rest, session, bearer } from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  call,
  envelope,
  namespace,
  post,
  sessionInfo,
  soapLogin,
  unknownSessionId,
  versions,
} from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

const { john, soap: user } = demoUsers;
const answer = (result: string) =>
  `<LogoutResponse xmlns="http://www.ecgridos.net/"><LogoutResult>${result}</LogoutResult></LogoutResponse>`;

describe.each(engines.map((engine) => [engine]))('[10] Logout on %s', (engine) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ engine });
  }, 30_000);
  afterAll(() => server.close());

  const logout = async (sessionId: string, version: '1.1' | '1.2' = '1.1'): Promise<string> => {
    const { status, text } = await call(server, 'Logout', { SessionID: sessionId }, { version });
    expect(status).toBe(200);
    return /<soap:Body>(.*)<\/soap:Body>/.exec(text)?.[1] ?? '';
  };

  test.each(versions)(
    'S01, S02: true, and the session is refused on the very next call; again: false (SOAP %s)',
    async (version) => {
      const sessionId = await soapLogin(server, user);
      expect(await logout(sessionId, version)).toBe(answer('true'));
      expectFault(await call(server, 'SessionInfo', { SessionID: sessionId }, { version }), 'F1');
      expect(await logout(sessionId, version)).toBe(answer('false'));
    },
  );

  test('S03: the logout of one session leaves the others', async () => {
    const [first, second] = [await soapLogin(server, user), await soapLogin(server, user)];
    expect(await logout(first)).toBe(answer('true'));
    await sessionInfo(server, second);
  });

  test('of two racing logouts one is true', async () => {
    const sessionId = await soapLogin(server, user);
    const both = await Promise.all([logout(sessionId), logout(sessionId.toLowerCase())]);
    expect(both.toSorted()).toEqual([answer('false'), answer('true')]);
  });

  test.each([
    ['unknown', unknownSessionId],
    ['malformed', 'garbage'],
    ['in braces', `{${unknownSessionId}}`],
    ['empty', ''],
  ])('a SessionID that is %s: false, never a fault', async (_, sessionId) => {
    expect(await logout(sessionId)).toBe(answer('false'));
  });

  test('a SessionID that is missing or given twice: false, and what was given lives on', async () => {
    const sessionId = await soapLogin(server, user);
    const twice = `<SessionID>${sessionId}</SessionID>`.repeat(2);
    for (const inside of ['', twice]) {
      const { status, text } = await post(server, envelope(`<Logout xmlns="${namespace}">${inside}</Logout>`));
      expect(status).toBe(200);
      expect(text).toContain(answer('false'));
    }
    await sessionInfo(server, sessionId);
  });

  test('an expired SessionID: false', async () => {
    const sessionId = await soapLogin(server, user);
    server.clock.advance(3600);
    expect(await logout(sessionId)).toBe(answer('false'));
  });

  test('K16: a live API key: true, nothing ends, and the key is still good', async () => {
    const sessionId = await soapLogin(server, john);
    expect(await logout(demoKey)).toBe(answer('true'));
    expect(await logout(demoKey)).toBe(answer('true'));
    await sessionInfo(server, demoKey);
    await sessionInfo(server, sessionId);
  });

  test('a token of REST is no SessionID here: false, and its session goes on', async () => {
    const { token } = await restLogin(server, john);
    expect(await logout(token)).toBe(answer('false'));
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test('an end lives through a restart', async () => {
    const [ended, live] = [await soapLogin(server, user), await soapLogin(server, user)];
    await logout(ended);
    server = await server.restart();
    expectFault(await call(server, 'SessionInfo', { SessionID: ended }), 'F1');
    await sessionInfo(server, live);
  });

  test('a SessionID is no bearer token and no key of REST', async () => {
    const sessionId = await soapLogin(server, user);
    expect((await session(server, bearer(sessionId))).status).toBe(401);
    expect((await rest(server, 'POST', '/v2/auth/session', { headers: { 'X-API-Key': sessionId } })).status).toBe(401);
    await sessionInfo(server, sessionId);
  });
});
