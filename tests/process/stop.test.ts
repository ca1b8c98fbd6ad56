import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { beginRefresh } from '../support/half-request.ts';
import { doorsOf, tokenOf } from '../support/http.ts';
import { endPrograms, fillGround, type Ground, makeGround, type Program, startServing } from '../support/program.ts';

const john = { login: 'jsmith@example.com', password: 'Sup3r$ecret!' };

let ground: Ground;
beforeEach(async () => {
  ground = makeGround();
  await fillGround(ground);
});
afterEach(async () => {
  await endPrograms();
  ground.remove();
});

async function readiness(url: string): Promise<number> {
  return (await fetch(`${url}/readyz`)).status;
}

function events(program: Program): string[] {
  const names = [...program.output().matchAll(/"event":"([^"]+)"/g)].map((match) => match[1] ?? '');
  // A warning that depends on who runs the tests.
  return names.filter((name) => name !== 'server.started_as_root');
}

describe('F21: SIGTERM', () => {
  test('turns readiness off first, while requests are still served, then ends with exit code 0 and no log of SQLite', async () => {
    const server = await startServing({ ...ground.env, CARDEA_SHUTDOWN_DRAIN_MS: '1000' });
    const doors = doorsOf(server.url);
    const token = tokenOf(await doors.restLogin(john.login, john.password));
    expect(await readiness(server.url)).toBe(200);
    server.signal('SIGTERM');
    await server.waitFor(/"event":"server\.stopping"/);
    expect(await readiness(server.url)).toBe(503);
    expect((await doors.restSession(token)).status).toBe(200);
    expect(await server.exited).toBe(0);
    expect(events(server)).toEqual(['server.started', 'server.stopping', 'server.stopped']);
    expect(server.errors()).toBe('');
    expect(readdirSync(ground.directory).sort()).toEqual([
      'cardea.db',
      'cardea.lock',
      'database-mark.json',
      'reserve.bin',
      'signing-keys.json',
      'tls-cert.pem',
      'tls-key.pem',
    ]);
  });

  test('answers 50 slow and 50 fast requests that were in its hands, and keeps what they were told', async () => {
    const server = await startServing(ground.env);
    const doors = doorsOf(server.url);
    const steady = tokenOf(await doors.restLogin(john.login, john.password));
    const tokens: string[] = [];
    for (let count = 0; count < 50; count += 1) tokens.push(tokenOf(await doors.webLogin(john.login, john.password)));
    const slow = await Promise.all(tokens.map((token) => beginRefresh(server.url, token)));
    const fast = tokens.map(() => doors.restSession(steady));
    // Whatever came before the request that is answered here, the server has in hand.
    await doors.webSession('none');
    server.signal('SIGTERM');
    await server.waitFor(/"event":"server\.stopping"/);
    for (const half of slow) half.finish();
    const answers = await Promise.all(slow.map((half) => half.answer));
    expect(answers.map((answer) => answer.slice(0, 12))).toEqual(answers.map(() => 'HTTP/1.1 200'));
    expect((await Promise.all(fast)).map(({ status }) => status)).toEqual(fast.map(() => 200));
    expect(await server.exited).toBe(0);

    const next = doorsOf((await startServing(ground.env)).url);
    for (const [index, answer] of answers.entries()) {
      const successor = /"token":"([^"]+)"/.exec(answer)?.[1] ?? '';
      expect((await next.restSession(successor)).status).toBe(200);
      expect((await next.restSession(tokens[index] ?? '')).status).toBe(401);
    }
  });

  test('does not wait for kept connections that ask nothing', async () => {
    const server = await startServing(ground.env);
    const idle = connect(Number(new URL(server.url).port), '127.0.0.1');
    idle.on('error', () => undefined);
    await new Promise<void>((resolve) => idle.on('connect', () => resolve()));
    server.signal('SIGTERM');
    expect(await server.exited).toBe(0);
    idle.destroy();
  });

  test('does not wait longer than the grace for a request that never comes whole', async () => {
    const server = await startServing({ ...ground.env, CARDEA_SHUTDOWN_GRACE_MS: '300' });
    const half = await beginRefresh(server.url, 'x'.repeat(100));
    server.signal('SIGTERM');
    expect(await server.exited).toBe(0);
    await half.answer;
  });

  test('a second signal ends the server at once, and nothing acknowledged is lost', async () => {
    const server = await startServing({ ...ground.env, CARDEA_SHUTDOWN_DRAIN_MS: '60000' });
    const token = tokenOf(await doorsOf(server.url).restLogin(john.login, john.password));
    server.signal('SIGTERM');
    await server.waitFor(/"event":"server\.stopping"/);
    // One that comes within the same moment is the same Ctrl-C, passed on by a wrapper.
    const again = setInterval(() => server.signal('SIGINT'), 50);
    expect(await server.exited).toBe(1);
    clearInterval(again);
    const next = await startServing(ground.env);
    expect((await doorsOf(next.url).restSession(token)).status).toBe(200);
  });

  test('P05: signals that mean something else do not end the server', async () => {
    const server = await startServing(ground.env);
    for (const signal of ['SIGUSR1', 'SIGHUP', 'SIGPIPE'] as const) server.signal(signal);
    await server.waitFor(/"event":"certificate\.reloaded"/);
    expect(await readiness(server.url)).toBe(200);
    server.signal('SIGINT');
    expect(await server.exited).toBe(0);
  });
});
