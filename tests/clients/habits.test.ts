import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { join } from 'node:path';
import { demoKey, demoUsers } from '../../src/cli/demo-data.ts';
import { dotnetPost, retryAfterDelta } from '../support/dotnet.ts';
import { apiKey, bearer, type EcgridAnswer, expectRefusal, login, messages, rest, session } from '../support/ecgrid.ts';
import { runProgram, runtimes } from '../support/samples.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** Habits that section 9 of the ECGrid REST contract tells of: programs written after its guides, not after its reference. */

const { john } = demoUsers;
const right = { login: john.login, password: john.password };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

describe('a guide-style client', () => {
  test('[14] refreshes with {"refreshToken": …} and goes on with what it gets', async () => {
    const { token } = await login(server, john);
    const refreshed = await rest(server, 'POST', '/v2/auth/refresh', { body: { refreshToken: token } });
    expect(refreshed.status).toBe(200);
    const next = (refreshed.body.data as { token: string }).token;
    expect((await session(server, bearer(next))).status).toBe(200);
    expect((await session(server, bearer(token))).status).toBe(401);
  });

  test('[14] refreshes with {} when it holds no refresh token, by its bearer', async () => {
    const { token } = await login(server, john);
    const refreshed = await rest(server, 'POST', '/v2/auth/refresh', { headers: bearer(token), body: {} });
    expect(refreshed.status).toBe(200);
    const next = (refreshed.body.data as { token: string }).token;
    expect((await session(server, bearer(next))).status).toBe(200);
  });

  test('[14] that holds nothing at all is told 401, and logs in again', async () => {
    const refused = await rest(server, 'POST', '/v2/auth/refresh', { body: {} });
    expectRefusal(refused, 401, 'InvalidSession', messages.E1);
    const { token } = await login(server, john);
    expect((await session(server, bearer(token))).status).toBe(200);
  });

  test('[13] that refreshes after its logout is told 401, and logs in again', async () => {
    const { token } = await login(server, john);
    expect((await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) })).status).toBe(200);
    const refused = await rest(server, 'POST', '/v2/auth/refresh', { body: { refreshToken: token } });
    expectRefusal(refused, 401, 'InvalidSession', messages.E2);
    expect((await login(server, john)).token).not.toBe(token);
  });
});

/** What a call of the retry code came to: every status in order, and the seconds it waited before each repetition. */
type Retries = { readonly statuses: number[]; readonly waits: number[] };

/** The published retry code: one new login on 401, at most three repetitions on 429, 500 and 503, waiting as told. */
async function callWithRetries(
  send: () => Promise<EcgridAnswer>,
  logInAgain: () => Promise<void>,
  wait: (seconds: number) => void,
): Promise<Retries> {
  const statuses: number[] = [];
  const waits: number[] = [];
  let mayLogIn = true;
  while (waits.length <= 3) {
    const { status, headers } = await send();
    statuses.push(status);
    if (status === 401 && mayLogIn) {
      mayLogIn = false;
      await logInAgain();
    } else if ([429, 500, 503].includes(status) && waits.length < 3) {
      waits.push(parseInt(headers.get('retry-after') ?? '', 10));
      wait(waits.at(-1) ?? 0);
    } else break;
  }
  return { statuses, waits };
}

describe('retry code', () => {
  const neverLogsIn = () => Promise.reject(new Error('Only a 401 may lead to a new login.'));

  test('[3] one new login mends an expired token', async () => {
    let { token } = await login(server, john);
    server.clock.advance(3_600);
    const send = () => session(server, bearer(token));
    const logInAgain = async () => {
      token = (await login(server, john)).token;
    };
    expect(await callWithRetries(send, logInAgain, (seconds) => server.clock.advance(seconds))).toEqual({
      statuses: [401, 200],
      waits: [],
    });
  });

  test('[8] a throttled login succeeds after the wait that Retry-After tells, and not a second before', async () => {
    // Nobody has signed in as this user from here: a known address would be excused once in 30 s.
    const { login: name, password } = demoUsers.soap;
    const attempt = (tried: string) =>
      rest(server, 'POST', '/v2/auth/login', { body: { login: name, password: tried } });
    for (let count = 0; count < 5; count++) await attempt(`wrong ${count}`);
    server.clock.advance(60);
    await attempt('wrong again');
    const send = () => attempt(password);
    const first = await send();
    expectRefusal(first, 429, 'RateLimitExceeded', messages.E6);
    expect(first.headers.get('retry-after')).toBe('2');
    server.clock.advance(1);
    const { statuses, waits } = await callWithRetries(send, neverLogsIn, (seconds) => server.clock.advance(seconds));
    expect({ statuses, waits }).toEqual({ statuses: [429, 200], waits: [1] });
  });

  test('[23] a store that cannot be written is 503 for login and refresh, never 401, and the code gets through after it', async () => {
    const { token } = await login(server, john);
    const other = new Database(databaseFile(server));
    other.run('begin immediate');
    const refresh = () => rest(server, 'POST', '/v2/auth/refresh', { body: { token } });
    expectRefusal(await refresh(), 503, 'ServiceUnavailable', 'Service unavailable. Retry later.');
    expect((await session(server, bearer(token))).status).toBe(200);
    const send = () => rest(server, 'POST', '/v2/auth/login', { body: right });
    const { statuses, waits } = await callWithRetries(send, neverLogsIn, () => {
      if (other.inTransaction) other.run('rollback');
    });
    other.close();
    expect(statuses).toEqual([503, 200]);
    expect(waits[0]).toBeWithin(1, 6);
    expect((await refresh()).status).toBe(200);
  });
});

/** The data directory holds one database file. */
function databaseFile({ directory }: TestServer): string {
  const [file = ''] = [...new Bun.Glob('*.db').scanSync({ cwd: directory })];
  return join(directory, file);
}

describe('Retry-After of a throttled login', () => {
  let text = '';
  beforeEach(async () => {
    const body = { login: 'nobody@example.com', password: 'wrong' };
    for (let count = 0; count < 6; count++) {
      const answer = await rest(server, 'POST', '/v2/auth/login', { body });
      text = answer.headers.get('retry-after') ?? '';
    }
  });

  test('[8] reads as whole seconds with parseInt of JavaScript and RetryAfter.Delta of C#', async () => {
    expect(parseInt(text, 10)).toBeGreaterThanOrEqual(1);
    const answer = await dotnetPost(
      `${server.url}/v2/auth/login`,
      {},
      { login: 'nobody@example.com', password: 'wrong' },
    );
    expect(answer.status).toBe(429);
    expect(retryAfterDelta(answer)).toBe(parseInt(text, 10));
  });

  const { command, needs } = runtimes.python;
  const name = '[8] reads as seconds with float of Python';
  test.skipIf(command === null)(command === null ? `${name} (needs ${needs})` : name, async () => {
    const said = await runProgram('python', `print(float("${text}"))`, { apiKey: '' });
    expect(said.stdout).toBe(`${parseInt(text, 10)}.0\n`);
  });
});

test('a key-only client may call logout and keeps its key', async () => {
  const answer = await rest(server, 'POST', '/v2/auth/logout', { headers: apiKey(demoKey) });
  expect(answer.text).toBe('{"success":true,"data":null,"errorCode":"","message":"Session terminated."}');
  expect((await session(server, apiKey(demoKey))).status).toBe(200);
});
