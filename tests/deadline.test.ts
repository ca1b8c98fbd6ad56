import { afterAll, beforeAll, expect, test } from 'bun:test';
import { demoUsers } from '../src/cli/demo-data.ts';
import { allDoors, type Kind, open } from './support/four-doors.ts';
import { startTestServer, type TestServer } from './support/server.ts';
import { endpoint, envelope, operationXml } from './support/soap.ts';
import { hangWrites } from './support/store-trouble.ts';

const { john } = demoUsers;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ settings: allDoors });
}, 30_000);
afterAll(() => server.close());

type Ask = {
  readonly kind: Kind;
  readonly type: string;
  readonly body: RegExp;
  readonly ask: (secret: string) => Promise<Response>;
};

const post = (path: string, headers: Record<string, string>, body?: string) =>
  fetch(server.url + path, { method: 'POST', headers, ...(body !== undefined && { body }) });

/** The end of a session at each door, and how each says that it is busy. */
const logouts: Ask[] = [
  {
    kind: 'REST token',
    type: 'application/json; charset=utf-8',
    body: /^\{"success":false,"data":null,"errorCode":"ServiceUnavailable","message":"Service unavailable\. Retry later\."\}$/,
    ask: (token) => post('/v2/auth/logout', { Authorization: `Bearer ${token}` }),
  },
  {
    kind: 'web token',
    type: 'application/json; charset=utf-8',
    body: /^\{"error":"Service Unavailable","status":503,"message":"Try again later\."\}$/,
    ask: (token) => post('/auth/logout', { Authorization: `Bearer ${token}` }),
  },
  {
    kind: 'SessionID',
    type: 'text/plain; charset=utf-8',
    body: /^Retry later\.\n$/,
    ask: (id) => post(endpoint, { 'Content-Type': 'text/xml' }, envelope(operationXml('Logout', { SessionID: id }))),
  },
  {
    kind: 'appliance token',
    type: 'application/json;charset=UTF-8',
    body: /^\{"success":false,"completed":false,"time":\d+,"version":"1\.0","errorCode":"INTERNAL_SERVER_ERROR","error":"Service Unavailable"\}$/,
    ask: (token) =>
      fetch(`${server.httpsUrl}/api/admin/v1/sessions`, {
        method: 'DELETE',
        headers: { 'x-hm-authorization': token },
        tls: { rejectUnauthorized: false },
      }),
  },
];

test('TH6: a store that hangs is each door’s own 503 after five seconds, and the change is made once it goes on', async () => {
  const secrets = await Promise.all(logouts.map(({ kind }) => open(server, john, kind)));
  const release = hangWrites(server);
  try {
    const startMs = performance.now();
    const answers = await Promise.all(logouts.map(({ ask }, index) => ask(secrets[index] ?? '')));
    const tookMs = performance.now() - startMs;
    expect(tookMs).toBeGreaterThan(4_900);
    expect(tookMs).toBeLessThan(15_000);
    for (const [index, answer] of answers.entries()) {
      const { type, body } = logouts[index] as Ask;
      expect({ status: answer.status, type: answer.headers.get('content-type') }).toEqual({ status: 503, type });
      expect(answer.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
      expect(await answer.text()).toMatch(body);
    }
    // Nobody was told that a session ended, and none has yet.
    expect(await liveSessions()).toBe(logouts.length);
  } finally {
    release();
  }
  for (let tries = 0; tries < 500 && (await liveSessions()) > 0; tries += 1) await Bun.sleep(10);
  expect(await liveSessions()).toBe(0);
}, 30_000);

async function liveSessions(): Promise<number> {
  const rows = await server.core.store.lists
    .selectFrom('sessions')
    .select('id')
    .where('ended_at', 'is', null)
    .execute();
  return rows.length;
}
