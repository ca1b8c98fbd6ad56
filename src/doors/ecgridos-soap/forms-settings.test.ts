import { afterEach, expect, test } from 'bun:test';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { breakStore } from '../../../tests/support/store-trouble.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { endpoint, send, type SoapAnswer, soapLogin, unknownSessionId } from '../../../tests/support/soap.ts';

let server: TestServer;
afterEach(() => server.close());

function postForm(operation: string, body: string): Promise<SoapAnswer> {
  const type = 'Content-Type: application/x-www-form-urlencoded';
  return send(server, [`POST ${endpoint}/${operation} HTTP/1.1`, type, `Content-Length: ${body.length}`], body);
}

const statusOf = async (operation: string) =>
  (await send(server, [`GET ${endpoint}/${operation}?SessionID=${demoKey}&UserID=0&MaxRecords=1 HTTP/1.1`])).status;

test.each([
  ['read', [200, 200, 200, 200, 200, 405]],
  ['open', [200, 200, 405, 405, 405, 405]],
  ['off', [405, 405, 405, 405, 405, 405]],
] as const)('[22] CARDEA_ECGRIDOS_HTTP_GET=%s decides what GET offers', async (httpGet, expected) => {
  server = await startTestServer({ settings: { CARDEA_ECGRIDOS_HTTP_GET: httpGet } });
  const operations = ['Version', 'NowUTC', 'SessionInfo', 'WhoAmI', 'SessionLog', 'Login'];
  expect(await Promise.all(operations.map(statusOf))).toEqual([...expected]);
});

test('[13] [22] the login throttle answers a form with 429 and the seconds to wait', async () => {
  server = await startTestServer();
  const login = () => postForm('Login', 'UserName=soapuser&Password=wrong');
  let answer = await login();
  for (let tries = 1; tries < 30 && answer.status === 500; tries += 1) answer = await login();
  expect(answer.status).toBe(429);
  expect(answer.text.trimEnd()).toBe('Too many attempts: Too many attempts. Retry later.');
  expect(answer.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
});

test('[24] with the store out of reach forms answer 503 with Retry-After in one line, never an invalid session', async () => {
  server = await startTestServer();
  const id = await soapLogin(server, demoUsers.soap);
  const { mend } = breakStore(server);
  for (const [operation, body] of [
    ['SessionInfo', `SessionID=${unknownSessionId}`],
    ['SessionInfo', `SessionID=${demoKey}`],
    ['SessionLog', `SessionID=${id}&UserID=0&MaxRecords=1`],
    ['Logout', `SessionID=${id}`],
    ['Login', 'UserName=soapuser&Password=Sup3r%24ecret%21'],
    ['UserReset', `SessionID=${id}&UserID=0`],
  ] as const) {
    const answer = await postForm(operation, body);
    expect(answer.status).toBe(503);
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(answer.text.trimEnd()).toBe('Service unavailable: Retry later.');
    expect(answer.headers.get('retry-after')).toMatch(/^[1-5]$/);
  }
  mend();
  expect((await postForm('SessionInfo', `SessionID=${id}`)).status).toBe(200);
});
