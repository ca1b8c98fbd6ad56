import { afterAll, beforeAll, expect } from 'bun:test';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { type Canary, startCanary } from './canary.ts';
import { startTestServer, type TestServer } from './server.ts';
import { envelope, operationXml, post, type SoapAnswer, type SoapSend, sessionInfo, soapLogin } from './soap.ts';
import type { SoapVersion } from './soap.ts';

/**
 * An answer is promised within 100 ms on a machine that does nothing else. Tests share theirs, so that it is the work of this
 * process that is held to it, and the wait only to what a hang would break.
 */
const mostWorkMs = 100;
const longestWaitMs = 5_000;
const longestRecord = 2_048;
/** The clock stands still here, so that what is spent of an allowance never comes back. */
const unlimited = { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000', CARDEA_LIMITS_REFUSED_PER_SECOND: '1000000' };

/** A server under attack: a healthy client's session beside it, and a listener that nobody may call. */
export type Ground = {
  server: TestServer;
  canary: Canary;
  /** Of user 12345. */
  sessionId: string;
};

/** Starts the ground before the tests of a `describe` and stops it after them. */
export function useGround(settings: Readonly<Record<string, string>> = {}): Ground {
  const ground = {} as Ground;
  beforeAll(async () => {
    ground.server = await startTestServer({ settings: { ...unlimited, ...settings } });
    ground.canary = await startCanary();
    ground.sessionId = await soapLogin(ground.server, demoUsers.soap);
  });
  afterAll(async () => {
    await ground.canary.close();
    await ground.server.close();
  });
  return ground;
}

/**
 * Sends an attack while a healthy client asks for its session, and holds the answer to what section 8 of the attacks promises
 * for every bad input: in time, no connection to the canary, short log records, nothing of the input in the answer, and a
 * healthy client that is answered rightly, during and after.
 */
export async function attack(ground: Ground, body: string | Uint8Array, send: SoapSend): Promise<SoapAnswer> {
  const { server, canary, sessionId } = ground;
  const logged = server.log.length;
  const start = performance.now();
  const work = process.cpuUsage();
  const [answer, beside] = await Promise.all([post(server, body, send), sessionInfo(server, sessionId)]);
  const { user, system } = process.cpuUsage(work);
  expect(performance.now() - start).toBeLessThan(longestWaitMs);
  const after = await sessionInfo(server, sessionId);
  expect((user + system) / 1_000).toBeLessThan(mostWorkMs);
  expect([beside, after]).toMatchObject([{ UserID: '12345' }, { UserID: '12345' }]);
  expect(canary.calls()).toBe(0);
  expect(answer.text).not.toContain(canary.url);
  expect(server.log.slice(logged).filter((line) => line.length > longestRecord)).toEqual([]);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  return answer;
}

/** `Logout` of the healthy client's session in an envelope that nothing is wrong with: executed, it would show at once. */
export function soundLogout({ sessionId }: Ground, version: SoapVersion): string {
  return envelope(operationXml('Logout', { SessionID: sessionId }), version);
}

/** `SessionInfo` of the healthy client's session, with more children after its `SessionID`. */
export function soundQuestion({ sessionId }: Ground, version: SoapVersion, more = '', header = ''): string {
  const children = `<SessionID>${sessionId}</SessionID>${more}`;
  return envelope(`<SessionInfo xmlns="http://www.ecgridos.net/">${children}</SessionInfo>`, version, header);
}
