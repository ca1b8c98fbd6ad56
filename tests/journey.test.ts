import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { engines, startTestServer, type TestServer } from './support/server.ts';

const credentials = { login: 'jsmith@example.com', password: 'Sup3r$ecret!' };

type Answer = { status: number; body: Record<string, unknown> };

async function call(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, init);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

function send(url: string, body: unknown): Promise<Answer> {
  return call(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

describe.each(engines.map((engine) => [engine]))('one directory and one session truth on %s', (engine) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ engine });
  }, 30_000);
  afterAll(() => server.close());

  const rest = (token: string, path = '/v2/auth/session') =>
    call(server.url + path, { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
  const web = (token: string) => call(`${server.url}/auth/session`, { headers: { Authorization: `Bearer ${token}` } });

  test('a REST session is refreshed, serves the web contract too, and after logout is refused at both at once', async () => {
    const login = await send(`${server.url}/v2/auth/login`, credentials);
    expect(login.status).toBe(200);
    const first = (login.body['data'] as { token: string }).token;
    expect((await web(first)).status).toBe(200);
    const refreshed = await send(`${server.url}/v2/auth/refresh`, { token: first });
    const second = (refreshed.body['data'] as { token: string }).token;
    expect((await rest(first)).status).toBe(401);
    expect((await web(first)).status).toBe(401);
    expect((await rest(second)).status).toBe(200);
    expect((await web(second)).status).toBe(200);
    expect((await rest(second, '/v2/auth/logout')).status).toBe(200);
    expect((await rest(second)).status).toBe(401);
    expect((await web(second)).status).toBe(401);
    expect((await send(`${server.url}/v2/auth/refresh`, { token: second })).status).toBe(401);
  });

  test('a web session serves the REST contract, is refreshed there, and after its own logout is refused at both', async () => {
    const login = await send(`${server.url}/auth/login`, { email: credentials.login, password: credentials.password });
    expect(login.status).toBe(200);
    const first = login.body['token'] as string;
    expect((await rest(first)).status).toBe(200);
    const refreshed = await send(`${server.url}/v2/auth/refresh`, { token: first });
    const second = (refreshed.body['data'] as { token: string }).token;
    expect((await web(first)).status).toBe(401);
    const logout = await call(`${server.url}/auth/logout`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${second}` },
    });
    expect(logout.body).toEqual({ success: true });
    expect((await web(second)).status).toBe(401);
    expect((await rest(second)).status).toBe(401);
  });

  test('a session lives through a restart of the server, and so does its end', async () => {
    const login = await send(`${server.url}/v2/auth/login`, credentials);
    const token = (login.body['data'] as { token: string }).token;
    const ended = await send(`${server.url}/v2/auth/login`, credentials);
    const endedToken = (ended.body['data'] as { token: string }).token;
    await rest(endedToken, '/v2/auth/logout');
    server = await server.restart();
    expect((await rest(token)).status).toBe(200);
    expect((await rest(endedToken)).status).toBe(401);
  });
});
