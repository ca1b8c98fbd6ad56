import { afterAll, beforeAll, beforeEach, describe, expect, spyOn, test } from 'bun:test';
import { login as restLogin, rest } from '../../../tests/support/ecgrid.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call, type SoapAnswer, soapLogin, type SoapVersion, versions } from '../../../tests/support/soap.ts';
import { comparable, expectFault } from '../../../tests/support/soap-answer.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';

const hourSeconds = 3600;
/** After 30 failures a name waits this long. */
const longWaitSeconds = 15 * 60;

const cases = [
  ['a wrong password', 'plain', 'wrong password'],
  ['an unknown name', 'nobody-at-all', testPassword],
  ['a suspended user with the right password', 'suspended', testPassword],
  ['a terminated user with the right password', 'terminated', testPassword],
  ['a locked user with the right password', 'locked', testPassword],
] as const;

describe('[11] refused logins look alike', () => {
  let server: TestServer;
  beforeAll(async () => {
    // Wide enough that nothing here waits but after 30 failures.
    const settings = {
      CARDEA_THROTTLE_FREE_TRIES: '100',
      CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
      CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
    };
    server = await startTestServer({ settings });
    await addUser(server, { login: 'plain' });
    await addUser(server, { login: 'suspended', status: 'Suspended' });
    await addUser(server, { login: 'terminated', status: 'Terminated' });
    await addUser(server, { login: 'locked' });
    for (let count = 0; count < 100; count += 1) await tryLogin('locked', 'wrong password', '1.1');
    server.clock.advance(longWaitSeconds);
  });
  afterAll(() => server.close());

  const tryLogin = (UserName: string, Password: string, version: SoapVersion): Promise<SoapAnswer> =>
    call(server, 'Login', { UserName, Password }, { version });

  describe.each(versions.map((version) => [version]))('in SOAP %s', (version) => {
    test.each(cases)('L01: %s answers F2 in the same bytes, for one hash', async (_, name, password) => {
      const wrong = await tryLogin('plain', 'wrong password', version);
      const runs = [spyOn(server.core.hasher, 'verify'), spyOn(server.core.hasher, 'verifyDummy')];
      const answer = await tryLogin(name, password, version);
      expect(runs.reduce((sum, run) => sum + run.mock.calls.length, 0)).toBe(1);
      for (const run of runs) run.mockRestore();
      expectFault(answer, 'F2');
      expect(comparable(answer)).toEqual(comparable(wrong));
      // Documented clients log in again when they find these letters in a fault.
      expect(answer.text).not.toMatch(/sessionid/i);
      server.clock.advance(longWaitSeconds);
    });
  });
});

describe.each(engines.map((engine) => [engine]))('[13] the login throttle on %s', (engine) => {
  let server: TestServer;
  let count = 0;
  let name = '';
  beforeAll(async () => {
    server = await startTestServer({ engine });
  }, 30_000);
  afterAll(() => server.close());
  // Every test starts with fresh counters of the address, and with a name of its own.
  beforeEach(async () => {
    server.clock.advance(2 * hourSeconds);
    count += 1;
    name = `throttled-${count}`;
    await addUser(server, { login: name });
  });

  const overSoap = (Password: string, version: SoapVersion = '1.1') =>
    call(server, 'Login', { UserName: name, Password }, { version });
  const overRest = (password: string) => rest(server, 'POST', '/v2/auth/login', { body: { login: name, password } });

  test.each(versions)(
    'five tries are free, the sixth is F3 with the wait, right password or not: SOAP %s',
    async (version) => {
      for (let attempt = 0; attempt < 5; attempt += 1) expectFault(await overSoap('wrong', version), 'F2');
      const refused = await overSoap(testPassword, version);
      expectFault(refused, 'F3');
      expect(refused.headers.get('retry-after')).toBe('1');
      server.clock.advance(1);
      await soapLogin(server, { login: name, password: testPassword });
    },
  );

  test('attempts of REST and SOAP, under any alias, are counted together', async () => {
    expectFault(await overSoap('wrong'), 'F2');
    expect((await overRest('wrong')).status).toBe(401);
    expectFault(await call(server, 'Login', { Email: name.toUpperCase(), Password: 'wrong' }), 'F2');
    expect((await overRest('wrong')).status).toBe(401);
    expectFault(await overSoap('wrong', '1.2'), 'F2');
    expectFault(await overSoap(testPassword), 'F3');
    const refused = await overRest(testPassword);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
  });

  test('a success at one door forgives the failures of the other', async () => {
    for (const enter of [() => soapLogin(server, right()), () => restLogin(server, right())]) {
      for (let attempt = 0; attempt < 2; attempt += 1) {
        expectFault(await overSoap('wrong'), 'F2');
        expect((await overRest('wrong')).status).toBe(401);
      }
      await enter();
    }
    expectFault(await overSoap('wrong'), 'F2');
  });

  test('L21: a wrong old password of ChangePassword counts too', async () => {
    const sessionId = await soapLogin(server, right());
    const change = (OldPassword: string) =>
      call(server, 'ChangePassword', { SessionID: sessionId, OldPassword, NewPassword: 'another horse battery' });
    for (let attempt = 0; attempt < 5; attempt += 1) expectFault(await change('wrong'), 'F8', { item: 'OldPassword' });
    // One try in 30 s stays open where the user signed in before; it is spent on another wrong one.
    expectFault(await change('wrong'), 'F8', { item: 'OldPassword' });
    expectFault(await change(testPassword), 'F3');
    expectFault(await overSoap(testPassword), 'F3');
  });

  const right = () => ({ login: name, password: testPassword });
});
