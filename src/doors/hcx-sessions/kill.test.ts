import { afterEach, expect, test } from 'bun:test';
import { adminPath, byToken, hcx, postLogin } from '../../../tests/support/hcx.ts';
import { endPrograms, fillGround, makeGround, startServing } from '../../../tests/support/program.ts';
import { demoUsers } from '../../cli/demo-data.ts';

afterEach(endPrograms);

test('[25] after kill -9 a token whose login was answered is good, and one whose DELETE was answered is refused', async () => {
  const ground = makeGround();
  try {
    await fillGround(ground);
    const first = await startServing(ground.env);
    const login = async () => {
      const answer = await postLogin(first.url, demoUsers.admin);
      return answer.headers.get('x-hm-authorization') ?? '';
    };
    const ask = (url: string, method: string, token: string) =>
      hcx(url, method, adminPath, { headers: byToken(token) }).then(({ status }) => status);
    // A hangup reads the certificate again and ends nothing.
    first.signal('SIGHUP');
    await first.waitFor(/"event":"certificate\.reloaded"/);
    const ended = await login();
    const live = await login();
    expect(await ask(first.url, 'DELETE', ended)).toBe(200);
    const last = await login();
    first.signal('SIGKILL');
    await first.exited;
    const second = await startServing(ground.env);
    expect(await ask(second.url, 'GET', ended)).toBe(401);
    expect(await ask(second.url, 'GET', live)).toBe(200);
    expect(await ask(second.url, 'GET', last)).toBe(200);
    second.signal('SIGKILL');
    await second.exited;
  } finally {
    ground.remove();
  }
}, 30_000);
