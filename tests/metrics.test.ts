import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import { version } from '../package.json';
import { demoUsers } from '../src/cli/demo-data.ts';
import { ConfigError } from '../src/config.ts';
import { endAll, revokeApiKey, setPassword, setStatus } from '../src/core/index.ts';
import { bearer, login, refresh, rest, session } from './support/ecgrid.ts';
import { type Figures, readExposition } from './support/exposition.ts';
import { addKeyHolder, allDoors, caller, open, type Who } from './support/four-doors.ts';
import { engines, startTestServer, type TestServer } from './support/server.ts';
import { breakStore } from './support/store-trouble.ts';

const john = demoUsers.john;
const settings = { ...allDoors, CARDEA_METRICS_LISTEN: '127.0.0.1:0', CARDEA_SESSION_MAX_PER_USER: '4' };

async function scrape({ metricsUrl }: TestServer): Promise<{ text: string; figures: Figures }> {
  const response = await fetch(`${metricsUrl}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-store');
  const text = await response.text();
  return { text, figures: readExposition(text) };
}

/** How much each named series rose while the work was done. */
async function risen(server: TestServer, series: readonly string[], work: () => Promise<unknown>) {
  const before = (await scrape(server)).figures;
  await work();
  const after = (await scrape(server)).figures;
  return Object.fromEntries(series.map((one) => [one, (after.get(one) ?? 0) - (before.get(one) ?? 0)]));
}

describe.each(engines.map((engine) => [engine]))('metrics on %s', (engine) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ engine, settings });
  }, 30_000);
  afterAll(() => server.close());

  test('count sign-ins, checks, ended sessions and answers, each exactly', async () => {
    const names = {
      right: 'cardea_logins_total{outcome="accepted"}',
      wrong: 'cardea_logins_total{outcome="refused"}',
      good: 'cardea_checks_total{outcome="accepted"}',
      bad: 'cardea_checks_total{outcome="refused"}',
      ended: 'cardea_sessions_ended_total',
      ok: 'cardea_http_answers_total{door="ecgrid-rest",status="2xx"}',
      refused: 'cardea_http_answers_total{door="ecgrid-rest",status="4xx"}',
      soap: 'cardea_http_answers_total{door="ecgridos-soap",status="2xx"}',
      web: 'cardea_http_answers_total{door="user-session",status="2xx"}',
      appliance: 'cardea_http_answers_total{door="hcx-sessions",status="2xx"}',
    };
    const rise = await risen(server, Object.values(names), async () => {
      const { token } = await login(server, john);
      for (const kind of ['SessionID', 'cookie', 'appliance token'] as const) await open(server, john, kind);
      await rest(server, 'POST', '/v2/auth/login', { body: { login: john.login, password: 'not this one' } });
      for (let count = 0; count < 3; count += 1) await session(server, bearer(token));
      await session(server, bearer(`${token}x`));
      await rest(server, 'GET', '/v2/nothing/here');
      await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) });
    });
    expect(rise).toEqual({
      [names.right]: 4,
      [names.wrong]: 1,
      [names.good]: 4,
      [names.bad]: 1,
      [names.ended]: 1,
      [names.ok]: 5,
      [names.refused]: 3,
      [names.soap]: 1,
      [names.web]: 1,
      [names.appliance]: 1,
    });
  });

  const ways: [name: string, sessions: number, act: (who: Who, tokens: readonly string[]) => Promise<unknown>][] = [
    ['"end all"', 2, ({ id }) => endAll(server.core, 'system', id, caller)],
    ['suspension', 2, ({ id }) => setStatus(server.core, 'system', id, 'Suspended', caller)],
    ['a new password', 2, ({ id }) => setPassword(server.core, 'system', id, 'quite another phrase', caller)],
    ['a revoked key', 1, ({ id }) => revokeApiKey(server.core, 'system', id, caller)],
    ['the limit of sessions', 1, (who) => Promise.all([1, 2, 3].map(() => login(server, who)))],
    [
      'a token that comes back after its exchange',
      1,
      async (_, [token = '']) => {
        await refresh(server, token);
        server.clock.advance(11);
        await rest(server, 'POST', '/v2/auth/refresh', { body: { token } });
      },
    ],
  ];
  test.each(ways)('count the sessions that end by %s', async (_, count, act) => {
    const who = await addKeyHolder(server, `w${randomBytes(4).toString('hex')}`);
    const tokens = [(await login(server, who)).token, await open(server, who, 'web token by key')];
    const ended = 'cardea_sessions_ended_total';
    expect(await risen(server, [ended], () => act(who, tokens))).toEqual({ [ended]: count });
  });

  test('tell of lane, throttle, store, log and process', async () => {
    await rest(server, 'POST', '/v2/auth/login', { body: { login: 'nobody', password: 'not this one' } });
    const { figures } = await scrape(server);
    const at = (series: string) => figures.get(series) ?? Number.NaN;
    expect(at('cardea_hash_lane_width')).toBeGreaterThan(0);
    expect(at('cardea_hash_lane_waiting')).toBe(0);
    expect(at('cardea_throttle_entries')).toBeGreaterThan(0);
    expect(at('cardea_rate_limit_entries{limit="checks"}')).toBeGreaterThan(0);
    expect(at('cardea_store_up')).toBe(1);
    expect(at('cardea_store_probe_seconds')).toBeGreaterThan(0);
    expect(at('cardea_log_dropped_total')).toBe(0);
    expect(at('cardea_event_loop_delay_seconds')).toBeGreaterThanOrEqual(0);
    expect(at('process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
    expect(Math.abs(at('process_start_time_seconds') - Date.now() / 1000)).toBeLessThan(3600);
    expect(figures.has('cardea_wal_bytes')).toBe(engine === 'sqlite');
    if (engine === 'sqlite') expect(at('cardea_wal_bytes')).toBeGreaterThan(0);
  });

  test('AVL-02, SES-02: name no user, token, address, path or version, whatever was asked', async () => {
    const { token } = await login(server, john);
    const before = (await scrape(server)).figures;
    for (let count = 0; count < 50; count += 1) {
      await rest(server, 'GET', `/v2/made-up-${count}`);
      await session(server, bearer(`${token.slice(0, -5)}${count}`));
      await rest(server, 'POST', '/v2/auth/login', { body: { login: `made-up-${count}`, password: 'x-x-x-x-x-x-x' } });
    }
    await refresh(server, token);
    const { text, figures } = await scrape(server);
    expect([...figures.keys()].sort()).toEqual([...before.keys()].sort());
    for (const secret of [token, token.split('.')[2] ?? '', john.login, 'made-up', '127.0.0.1', version, 'Bun']) {
      expect(text).not.toContain(secret);
    }
  });

  test('say that the store does not answer, and are answered all the same', async () => {
    const { mend } = breakStore(server);
    try {
      const { figures } = await scrape(server);
      expect(figures.get('cardea_store_up')).toBe(0);
      expect(figures.has('cardea_throttle_entries')).toBe(false);
      expect(figures.get('process_cpu_seconds_total')).toBeGreaterThan(0);
    } finally {
      mend();
    }
    expect((await scrape(server)).figures.get('cardea_store_up')).toBe(1);
  });
});

describe('AUZ-02: where metrics are answered', () => {
  test('at their own address, which has no contract, and nowhere else', async () => {
    const server = await startTestServer({ settings });
    try {
      for (const url of [server.url, server.httpsUrl]) {
        const answer = await fetch(`${url}/metrics`, { tls: { rejectUnauthorized: false } });
        expect(answer.status).toBe(404);
        expect(await answer.text()).not.toContain('cardea_');
      }
      expect((await fetch(`${server.metricsUrl}/readyz`)).status).toBe(200);
      expect((await fetch(`${server.metricsUrl}/healthz`)).status).toBe(200);
      expect((await fetch(`${server.metricsUrl}/metrics`, { method: 'POST' })).status).toBe(405);
      for (const path of ['/v2/auth/login', '/auth/login', '/api/admin/v1/sessions', '/v4.1/prod/ECGridOS.asmx']) {
        expect((await fetch(`${server.metricsUrl}${path}`, { method: 'POST' })).status).toBe(404);
      }
    } finally {
      await server.close();
    }
  });

  test('unless the settings name an address, nowhere', async () => {
    const server = await startTestServer();
    try {
      expect(server.metricsUrl).toBe('');
      expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
    } finally {
      await server.close();
    }
  });

  test('an address that is taken stops the start, which leaves nothing behind', async () => {
    const first = await startTestServer({ settings });
    const taken = `127.0.0.1:${new URL(first.metricsUrl).port}`;
    try {
      const second = startTestServer({ settings: { CARDEA_METRICS_LISTEN: taken } });
      await expect(second).rejects.toThrow(ConfigError);
      await expect(second).rejects.toThrow(/CARDEA_METRICS_LISTEN/);
    } finally {
      await first.close();
    }
  });
});
