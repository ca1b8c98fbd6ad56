import { change } from '../../core/change.ts';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { apiKey, login as restLogin, rest, session } from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  call,
  fieldsOf,
  guidPattern,
  resultOf,
  sessionInfo,
  type SoapParameters,
  soapLogin,
  versions,
} from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { type AuthLevel, authLevels, type Status } from '../../core/index.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const bodyOf = (text: string): string => /<soap:Body>(.*)<\/soap:Body>/.exec(text)?.[1] ?? '';
const signIn = (login: string): Promise<string> => soapLogin(server, { login, password: testPassword });
const ask = (operation: string, parameters: SoapParameters) => call(server, operation, parameters);

describe.each(versions.map((version) => [version]))('section 6.3 in SOAP %s', (version) => {
  test('Version is 4.1 and NowUTC the server’s second, with no credential and with a wrong one', async () => {
    for (const parameters of [{}, { SessionID: 'garbage' }]) {
      const version41 = await call(server, 'Version', parameters, { version });
      expect(bodyOf(version41.text)).toBe(
        '<VersionResponse xmlns="http://www.ecgridos.net/"><VersionResult>4.1</VersionResult></VersionResponse>',
      );
      const now = await call(server, 'NowUTC', parameters, { version });
      expect(bodyOf(now.text)).toBe(
        '<NowUTCResponse xmlns="http://www.ecgridos.net/"><NowUTCResult>2026-05-07T17:30:00Z</NowUTCResult></NowUTCResponse>',
      );
    }
  });

  test('WhoAmI is the user, without the members that are empty', async () => {
    const login = `bare${version === '1.1' ? 11 : 12}@example.com`;
    const place = { organizationId: 100, mailboxId: 200 };
    const id = await addUser(server, { login, email: login, authLevel: 'MailboxAdmin', place });
    const answer = await call(server, 'WhoAmI', { SessionID: await signIn(login) }, { version });
    expect(bodyOf(answer.text)).toBe(
      `<WhoAmIResponse xmlns="http://www.ecgridos.net/"><WhoAmIResult><UserID>${id}</UserID><Login>${login}</Login><NetworkID>100</NetworkID><MailboxID>200</MailboxID><AuthLevel>MailboxAdmin</AuthLevel><Email>${login}</Email><Status>Active</Status><Created>2026-05-07T17:30:00Z</Created></WhoAmIResult></WhoAmIResponse>`,
    );
  });
});

describe('WhoAmI', () => {
  test('has all members of a user who has them', async () => {
    const sessionId = await soapLogin(server, demoUsers.soap);
    expect(resultOf(await ask('WhoAmI', { SessionID: sessionId }), 'WhoAmI')).toBe(
      '<UserID>12345</UserID><Login>soapuser</Login><NetworkID>100</NetworkID><MailboxID>200</MailboxID><AuthLevel>MailboxUser</AuthLevel><Email>soapuser@example.com</Email><FirstName>Sofia</FirstName><LastName>Apel</LastName><Status>Active</Status><Created>2026-01-12T08:00:00Z</Created>',
    );
  });

  test.each(authLevels.map((level) => [level]))(
    'says %s as it is written, and 0 for no network and no mailbox',
    async (level: AuthLevel) => {
      const login = `level-${level}`;
      await addUser(server, { login, authLevel: level });
      const user = fieldsOf(resultOf(await ask('WhoAmI', { SessionID: await signIn(login) }), 'WhoAmI'));
      expect(user).toMatchObject({ AuthLevel: level, NetworkID: '0', MailboxID: '0' });
    },
  );

  test.each<[Status]>([['Development'], ['Active'], ['Preproduction']])('says %s', async (status) => {
    await addUser(server, { login: `in-${status}`, status });
    const sessionId = await signIn(`in-${status}`);
    expect(resultOf(await ask('WhoAmI', { SessionID: sessionId }), 'WhoAmI')).toContain(`<Status>${status}</Status>`);
  });

  test('user, level and place are read live: the session opened before shows the change', async () => {
    const id = await addUser(server, { login: 'moving' });
    const sessionId = await signIn('moving');
    const { token } = await restLogin(server, demoUsers.admin);
    const body = { userId: id, authLevel: 'NetworkAdmin', networkId: 100, mailboxId: 200 };
    const headers = { Authorization: `Bearer ${token}` };
    expect((await rest(server, 'POST', '/v2/users/role', { headers, body })).status).toBe(200);
    const user = fieldsOf(resultOf(await ask('WhoAmI', { SessionID: sessionId }), 'WhoAmI'));
    expect(user).toMatchObject({ AuthLevel: 'NetworkAdmin', NetworkID: '100', MailboxID: '200' });
    expect(await sessionInfo(server, sessionId)).toMatchObject({ NetworkID: '100', MailboxID: '200' });
  });

  test('markup and blanks in names come back as text', async () => {
    const id = await addUser(server, { login: 'a<b>&"c\'' });
    const { db } = server.core.store;
    await db
      .updateTable('users')
      .set({ first_name: ' <x>&amp;]]> ', last_name: 'ä\u0001ö\r\n\t😀' })
      .where('id', '=', id)
      .execute();
    const user = fieldsOf(resultOf(await ask('WhoAmI', { SessionID: await signIn('a<b>&"c\'') }), 'WhoAmI'));
    expect(user).toMatchObject({ Login: 'a<b>&"c\'', FirstName: ' <x>&amp;]]> ', LastName: 'ä\ufffdö\r\n\t😀' });
  });
});

describe('GenerateAPIKey', () => {
  test.each([{}, { UserID: 0 }])('%j: a key for the caller, an upper-case GUID', async (target) => {
    const sessionId = await soapLogin(server, demoUsers.soap);
    const answer = await ask('GenerateAPIKey', { SessionID: sessionId, ...target });
    const key = resultOf(answer, 'GenerateAPIKey');
    expect(key).toMatch(guidPattern);
    expect(bodyOf(answer.text)).toBe(
      `<GenerateAPIKeyResponse xmlns="http://www.ecgridos.net/"><GenerateAPIKeyResult>${key}</GenerateAPIKeyResult></GenerateAPIKeyResponse>`,
    );
    expect((await sessionInfo(server, key))['UserID']).toBe('12345');
  });

  test('K15: rights are those of REST: Root anywhere, a network administrator in the own network, nobody upwards', async () => {
    const own = { organizationId: 100, mailboxId: null };
    await addUser(server, { login: 'chief', authLevel: 'NetworkAdmin', place: own });
    const near = await addUser(server, { login: 'near-user', place: own });
    const above = await addUser(server, { login: 'above', authLevel: 'TechOps', place: own });
    const chief = await signIn('chief');
    const generate = (SessionID: string, UserID: number) => ask('GenerateAPIKey', { SessionID, UserID });
    const key = resultOf(await generate(chief, near), 'GenerateAPIKey');
    expect((await sessionInfo(server, key))['UserID']).toBe(String(near));
    expectFault(await generate(chief, above), 'F4');
    expectFault(await generate(chief, demoUsers.john.id), 'F5');
    resultOf(await generate(await soapLogin(server, demoUsers.admin), above), 'GenerateAPIKey');
  });
});

describe('[26] one key in both doors', () => {
  const levels = authLevels.map((level) => [level] as const);
  /** What REST says of a key, in the words of SOAP. */
  const restSays = async (key: string): Promise<Record<string, string>> => {
    const { body } = await session(server, apiKey(key));
    const data = body.data as Record<string, string | number>;
    return {
      UserID: String(data['userId']),
      Login: String(data['login']),
      NetworkID: String(data['networkId']),
      MailboxID: String(data['mailboxId']),
      AuthLevel: String(data['authLevel']),
      Expires: String(data['expiresAt']),
    };
  };
  const soapSays = async (key: string): Promise<Record<string, string>> => {
    const { UserID, NetworkID, MailboxID, Expires } = await sessionInfo(server, key);
    const who = fieldsOf(resultOf(await ask('WhoAmI', { SessionID: key }), 'WhoAmI'));
    expect(who).toMatchObject({ UserID: UserID ?? '', NetworkID: NetworkID ?? '', MailboxID: MailboxID ?? '' });
    const { Login, AuthLevel } = who;
    return { UserID, Login, NetworkID, MailboxID, AuthLevel, Expires } as Record<string, string>;
  };

  test('the documents’ key: equal user, network, mailbox, level and expiry', async () => {
    const expected = {
      UserID: '4821',
      Login: 'jsmith@example.com',
      NetworkID: '1',
      MailboxID: '101',
      AuthLevel: 'MailboxAdmin',
      Expires: '9999-01-01T00:00:00Z',
    };
    expect(await soapSays(demoKey)).toEqual(expected);
    expect(await restSays(demoKey)).toEqual(expected);
  });

  test.each(levels)('a user of level %s', async (level) => {
    const login = `both-${level}`;
    await addUser(server, { login, authLevel: level, place: { organizationId: 7, mailboxId: null } });
    const key = resultOf(await ask('GenerateAPIKey', { SessionID: await signIn(login) }), 'GenerateAPIKey');
    const said = await soapSays(key);
    expect(said).toMatchObject({ Login: login, NetworkID: '7', MailboxID: '0', AuthLevel: level });
    expect(await restSays(key)).toEqual(said);
  });

  test('a key with an end shows the same end at both', async () => {
    const id = await addUser(server, { login: 'ending' });
    const key = resultOf(await ask('GenerateAPIKey', { SessionID: await signIn('ending') }), 'GenerateAPIKey');
    await change(server.core, (trx) =>
      trx.updateTable('api_keys').set({ expires_at: 1_778_175_060 }).where('user_id', '=', id).execute(),
    );
    expect((await soapSays(key))['Expires']).toBe('2026-05-07T17:31:00Z');
    expect((await restSays(key))['Expires']).toBe('2026-05-07T17:31:00Z');
  });
});
