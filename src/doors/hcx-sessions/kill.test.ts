import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { adminPath, byToken, hcx, postLogin } from '../../../tests/support/hcx.ts';
import { testDatabaseUrl } from '../../../tests/support/postgres.ts';
import {
  endPrograms,
  fillGround,
  type Ground,
  makeGround,
  type Server,
  startServing,
} from '../../../tests/support/program.ts';
import { engines } from '../../../tests/support/server.ts';
import { demoUsers } from '../../cli/demo-data.ts';

/** The request whose 200 the server dies with, round by round. */
const lastWords = ['DELETE', 'POST', 'DELETE', 'POST', 'DELETE'] as const;

describe.each(engines.map((engine) => [engine]))('kill -9 on %s', (engine) => {
  let ground: Ground;
  beforeEach(async () => {
    ground = makeGround({ CARDEA_DATABASE_URL: engine === 'postgres' ? await testDatabaseUrl() : '' });
    await fillGround(ground);
  }, 30_000);
  afterEach(async () => {
    await endPrograms();
    ground.remove();
  });

  const ask = ({ url }: Server, method: string, token: string) =>
    hcx(url, method, adminPath, { headers: byToken(token) }).then(({ status }) => status);
  const login = async ({ url }: Server) => {
    const answer = await postLogin(url, demoUsers.admin);
    expect(answer.status).toBe(200);
    return answer.headers.get('x-hm-authorization') ?? '';
  };

  test('[25] right after an answer: what DELETE ended stays refused, what POST opened stays good', async () => {
    const live: string[] = [];
    const ended: string[] = [];
    let server = await startServing(ground.env);
    for (const last of lastWords) {
      const doomed = await login(server);
      if (last === 'POST') live.push(doomed, await login(server));
      else {
        expect(await ask(server, 'DELETE', doomed)).toBe(200);
        ended.push(doomed);
      }
      server.signal('SIGKILL');
      expect(await server.exited).toBe(137);
      server = await startServing(ground.env);
      for (const token of live) expect(await ask(server, 'GET', token)).toBe(200);
      for (const token of ended) expect(await ask(server, 'GET', token)).toBe(401);
    }
    expect([live.length, ended.length]).toEqual([4, 3]);
  }, 60_000);
});

test('a hangup reads the certificate again and ends nothing', async () => {
  const ground = makeGround();
  try {
    await fillGround(ground);
    const server = await startServing(ground.env);
    const { headers } = await postLogin(server.url, demoUsers.admin);
    server.signal('SIGHUP');
    await server.waitFor(/"event":"certificate\.reloaded"/);
    const token = byToken(headers.get('x-hm-authorization') ?? '');
    expect((await hcx(server.url, 'GET', adminPath, { headers: token })).status).toBe(200);
  } finally {
    await endPrograms();
    ground.remove();
  }
}, 30_000);
