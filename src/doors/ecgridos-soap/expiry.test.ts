import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call, sessionInfo, soapLogin } from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { breakStore } from '../../../tests/support/store-trouble.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const tenOClock = Date.UTC(2026, 4, 7, 10, 0, 0);
const minute = 60;
const hour = 60 * minute;

let server: TestServer;
let sessionId: string;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  server.clock.nowMs = tenOClock;
  sessionId = await soapLogin(server, demoUsers.soap);
});

const expires = async (): Promise<string | undefined> => (await sessionInfo(server, sessionId))['Expires'];
const expectEnded = async (): Promise<void> => {
  for (const operation of ['SessionInfo', 'WhoAmI', 'SessionLog']) {
    expectFault(await call(server, operation, { SessionID: sessionId }), 'F1');
  }
};

describe('[9] the idle limit', () => {
  test('SES-04: an unused session is accepted one second before Expires', async () => {
    expect(await expires()).toBe('2026-05-07T11:00:00Z');
    server.clock.advance(hour - 1);
    expect(await expires()).toBe('2026-05-07T11:59:59Z');
  });

  test('SES-04: and refused from the printed Expires on, whatever the fraction of the second', async () => {
    server.clock.advance(hour - 0.001);
    const other = await soapLogin(server, demoUsers.soap);
    server.clock.advance(0.001);
    await expectEnded();
    expect((await sessionInfo(server, other))['Expires']).toBe('2026-05-07T11:59:59Z');
  });

  test('two calls within 60 s print the same Expires; the call after 60 s moves it', async () => {
    server.clock.advance(59);
    expect(await expires()).toBe('2026-05-07T11:00:00Z');
    expect(await expires()).toBe('2026-05-07T11:00:00Z');
    server.clock.advance(1);
    expect(await expires()).toBe('2026-05-07T11:01:00Z');
    server.clock.advance(59);
    expect(await expires()).toBe('2026-05-07T11:01:00Z');
  });

  test('a refused use of another kind is a use too: a call that lacks rights presented the session', async () => {
    server.clock.advance(30 * minute);
    expectFault(await call(server, 'UserReset', { SessionID: sessionId, UserID: 1 }), 'F4');
    expect(await expires()).toBe('2026-05-07T11:30:00Z');
  });

  test('Version and NowUTC present no session and move nothing', async () => {
    server.clock.advance(30 * minute);
    await call(server, 'Version', { SessionID: sessionId });
    await call(server, 'NowUTC');
    server.clock.advance(30 * minute);
    await expectEnded();
  });

  test('what was printed holds after a restart', async () => {
    server.clock.advance(30 * minute);
    expect(await expires()).toBe('2026-05-07T11:30:00Z');
    server = await server.restart();
    server.clock.advance(hour - 1);
    expect(await expires()).toBe('2026-05-07T12:29:59Z');
    server.clock.advance(hour);
    await expectEnded();
  });

  test('a store that cannot write keeps the old limit and promises no more than it has recorded', async () => {
    server.clock.advance(30 * minute);
    const broken = breakStore(server, { ways: ['db'] });
    expect(await expires()).toBe('2026-05-07T11:00:00Z');
    broken.mend();
    expect(await expires()).toBe('2026-05-07T11:30:00Z');
  });
});

describe('[9] the absolute limit', () => {
  /** Uses the session every half hour. */
  const useUntil = async (seconds: number): Promise<void> => {
    for (let passed = 0; passed < seconds; passed += hour / 2) {
      server.clock.advance(hour / 2);
      await expires();
    }
  };

  test('repeated use slides, and never past 12 h from Created', async () => {
    await useUntil(10.5 * hour);
    expect(await expires()).toBe('2026-05-07T21:30:00Z');
    await useUntil(hour);
    expect(await sessionInfo(server, sessionId)).toMatchObject({
      Created: '2026-05-07T10:00:00Z',
      Expires: '2026-05-07T22:00:00Z',
    });
    server.clock.advance(hour / 2 - 1);
    expect(await expires()).toBe('2026-05-07T22:00:00Z');
    server.clock.advance(1);
    await expectEnded();
  });

  test('a restart does not lengthen it', async () => {
    await useUntil(11.5 * hour);
    server = await server.restart();
    server.clock.advance(hour / 2 - 1);
    expect(await expires()).toBe('2026-05-07T22:00:00Z');
    server.clock.advance(1);
    await expectEnded();
  });
});
