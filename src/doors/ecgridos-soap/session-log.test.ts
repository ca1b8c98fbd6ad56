import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { bearer, login as restLogin, rest } from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  call,
  envelope,
  fieldsOf,
  guidPattern,
  namespace,
  post,
  resultOf,
  type SoapParameters,
  soapLogin,
} from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { listSessions, sweepOnce } from '../../core/index.ts';

let server: TestServer;
let adminId: string;
beforeAll(async () => {
  server = await startTestServer();
  server.clock.nowMs = Date.UTC(2026, 4, 7, 10, 0, 0);
  adminId = await soapLogin(server, demoUsers.admin);
});
afterAll(() => server.close());

const ask = (sessionId: string, parameters: SoapParameters = {}) =>
  call(server, 'SessionLog', { SessionID: sessionId, ...parameters });

async function readLog(sessionId: string, parameters: SoapParameters = {}): Promise<Record<string, string>[]> {
  const inside = resultOf(await ask(sessionId, parameters), 'SessionLog');
  return inside
    .split('</SessionIDInfo>')
    .slice(0, -1)
    .map((entry) => fieldsOf(entry.replace('<SessionIDInfo>', '')));
}

async function addSignedIn(login: string): Promise<{ id: number; sessionId: string; login: string; password: string }> {
  const id = await addUser(server, { login, place: { organizationId: 100, mailboxId: 200 } });
  const who = { login, password: testPassword };
  return { id, sessionId: await soapLogin(server, who), ...who };
}

describe('[20] SessionLog', () => {
  test('prints each session as the document prints one, with a masked id', async () => {
    const { sessionId } = await addSignedIn('printed');
    const { text } = await ask(sessionId);
    const [mask = ''] = /[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}/.exec(text) ?? [];
    const id = /<UserID>(\d+)</.exec(text)?.[1];
    expect(text).toContain(
      `<SessionLogResponse xmlns="http://www.ecgridos.net/"><SessionLogResult><SessionIDInfo><SessionID>${mask}</SessionID><UserID>${id}</UserID><NetworkID>100</NetworkID><MailboxID>200</MailboxID><Created>2026-05-07T10:00:00Z</Created><Expires>2026-05-07T11:00:00Z</Expires></SessionIDInfo></SessionLogResult></SessionLogResponse>`,
    );
  });

  test('S06: ids differ from the real ones, are stable, and fault F1 when presented; none is ever a real one', async () => {
    const who = await addSignedIn('masked');
    const real = [who.sessionId, await soapLogin(server, who)];
    const first = await readLog(who.sessionId);
    const masks = first.map((entry) => entry['SessionID'] ?? '');
    expect(new Set(masks).size).toBe(2);
    expect((await readLog(real[1] ?? '')).map((entry) => entry['SessionID'])).toEqual(masks);
    for (const mask of masks) {
      expect(mask).toMatch(guidPattern);
      expect(real).not.toContain(mask);
      expectFault(await call(server, 'SessionInfo', { SessionID: mask }), 'F1');
      expect(resultOf(await call(server, 'Logout', { SessionID: mask }), 'Logout')).toBe('false');
    }
  });

  test('a mask is the first 16 bytes of HMAC-SHA-256 of the public session id under the log key', async () => {
    const who = await addSignedIn('computed');
    const [row] = await listSessions(server.core, { userId: who.id });
    const keys = JSON.parse(await Bun.file(join(server.directory, 'signing-keys.json')).text()) as { mask: string };
    const mac = createHmac('sha256', Buffer.from(keys.mask, 'base64url'))
      .update(row?.id ?? '')
      .digest('hex');
    const [entry] = await readLog(who.sessionId);
    expect(entry?.['SessionID']?.replaceAll('-', '')).toBe(mac.slice(0, 32).toUpperCase());
  });

  test('sessions of every door, newest first; an ended one expired when it ended', async () => {
    const who = await addSignedIn('doors');
    server.clock.advance(10);
    const { token } = await restLogin(server, who);
    server.clock.advance(10);
    const ended = await soapLogin(server, who);
    server.clock.advance(10);
    await call(server, 'Logout', { SessionID: ended });
    await rest(server, 'POST', '/v2/auth/logout', { headers: bearer(token) });
    const times = (await readLog(who.sessionId)).map((entry) => [entry['Created'], entry['Expires']]);
    expect(times).toEqual([
      ['2026-05-07T10:00:20Z', '2026-05-07T10:00:30Z'],
      ['2026-05-07T10:00:10Z', '2026-05-07T10:00:30Z'],
      ['2026-05-07T10:00:00Z', '2026-05-07T11:00:00Z'],
    ]);
    server.clock.advance(-30);
  });

  test('an API key reads the log of its owner, and shows no session of its own', async () => {
    expect(await readLog(demoKey)).toEqual([]);
  });
});

test('[20] rows are kept for 24 h after their end', async () => {
  const other = await startTestServer();
  const list = async () => {
    const { id } = demoUsers.soap;
    const SessionID = await soapLogin(other, demoUsers.admin);
    return resultOf(await call(other, 'SessionLog', { SessionID, UserID: id }), 'SessionLog');
  };
  await call(other, 'Logout', { SessionID: await soapLogin(other, demoUsers.soap) });
  other.clock.advance(24 * 3600);
  await sweepOnce(other.core);
  expect(await list()).toContain('<Expires>2026-05-07T17:30:00Z</Expires>');
  other.clock.advance(1);
  await sweepOnce(other.core);
  expect(await list()).toBe('');
  await other.close();
});

describe('[20] whose log', () => {
  test('UserID 0, absent or one’s own is the caller', async () => {
    const { id, sessionId } = await addSignedIn('own');
    const expected = [expect.objectContaining({ UserID: String(id) }) as unknown];
    for (const parameters of [{}, { UserID: 0 }, { UserID: id }, { UserID: ' 0 ' }]) {
      const log: unknown[] = await readLog(sessionId, parameters);
      expect(log).toEqual(expected);
    }
  });

  test('S06: another user: F4 for a plain user, existing or not; the log for Root', async () => {
    const [plain, other] = [await addSignedIn('plain'), await addSignedIn('other')];
    expectFault(await ask(plain.sessionId, { UserID: other.id }), 'F4');
    expectFault(await ask(plain.sessionId, { UserID: 999_999 }), 'F4');
    expect(await readLog(adminId, { UserID: other.id })).toHaveLength(1);
  });

  test('an unknown user as Root: F5, and a negative one too', async () => {
    expectFault(await ask(adminId, { UserID: 999_999 }), 'F5');
    expectFault(await ask(adminId, { UserID: -1 }), 'F5');
  });

  test('a network administrator reads its own network, and sees nobody of another', async () => {
    const place = { organizationId: 100, mailboxId: null };
    await addUser(server, { login: 'net-admin', authLevel: 'NetworkAdmin', place });
    const sessionId = await soapLogin(server, { login: 'net-admin', password: testPassword });
    const near = await addSignedIn('near');
    expect(await readLog(sessionId, { UserID: near.id })).toHaveLength(1);
    expectFault(await ask(sessionId, { UserID: demoUsers.john.id }), 'F5');
  });
});

describe('[20] MaxRecords', () => {
  let who: { id: number; sessionId: string; login: string; password: string };
  beforeAll(async () => {
    who = await addSignedIn('many');
    for (let index = 0; index < 101; index += 1) await soapLogin(server, who);
  });

  test.each([
    ['absent', {}, 100],
    ['0', { MaxRecords: 0 }, 100],
    ['1', { MaxRecords: 1 }, 1],
    ['7 in white space', { MaxRecords: ' \n7\t ' }, 7],
    ['100', { MaxRecords: 100 }, 100],
    ['101', { MaxRecords: 101 }, 100],
    ['the largest short', { MaxRecords: 32_767 }, 100],
  ])('%s', async (_, parameters, expected) => {
    // The first two sessions made room for the last two.
    expect(await readLog(adminId, { UserID: who.id, ...parameters })).toHaveLength(expected);
  });

  test.each(['-1', '32768', '-32769', '5.0', '+5', '5e1', '0x5', 'NaN', 'five', '', '1 2', '٥', '99999999999'])(
    'X31: "%s" is F6',
    async (text) => {
      expectFault(await ask(adminId, { MaxRecords: text }), 'F6', { item: 'MaxRecords' });
    },
  );

  test.each(['2147483648', '-2147483649', '1.5', '', 'x'])('X31: a UserID of "%s" is F6', async (text) => {
    expectFault(await ask(adminId, { UserID: text }), 'F6', { item: 'UserID' });
  });

  test('X31: a number given twice is F6, a nil one is absent, and order does not count', async () => {
    const twice = envelope(
      `<SessionLog xmlns="${namespace}"><SessionID>${adminId}</SessionID><MaxRecords>1</MaxRecords><MaxRecords>1</MaxRecords></SessionLog>`,
    );
    expectFault(await post(server, twice), 'F6', { item: 'MaxRecords' });
    const shuffled = `<SessionLog xmlns="${namespace}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><UserID i:nil="true"/><MaxRecords>1</MaxRecords><SessionID>${adminId}</SessionID></SessionLog>`;
    expect(resultOf(await post(server, envelope(shuffled)), 'SessionLog').match(/<SessionIDInfo>/g)).toHaveLength(1);
  });

  test('a bad SessionID is told before a bad number', async () => {
    expectFault(await ask('garbage', { MaxRecords: 'x' }), 'F1');
  });
});
