import { change } from '../../core/change.ts';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  adminPath,
  basic,
  byToken,
  dataOf,
  endSession,
  exchangeBytes,
  expectError,
  getSession,
  type HcxAnswer,
  hcx,
  openJwt,
  postLogin,
  refusals,
  type Sent,
  signIn,
  patient,
} from '../../../tests/support/hcx.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { demoUsers } from '../../cli/demo-data.ts';
import { statuses } from '../../http/raw-client.ts';
import noSession from './fixtures/no-session.json';
import published from './fixtures/session.json';

const { admin, john } = demoUsers;

type Data = { user: Record<string, unknown>; cloud: unknown; organizations: unknown };

let server: TestServer;
let token: string;
beforeAll(async () => {
  server = await startTestServer({ settings: patient });
  token = await signIn(server, admin);
});
afterAll(() => server.close());

/** The body without what differs from request to request. */
function timeless({ text }: HcxAnswer): string {
  return text.replace(/"time":\d+/, '"time":0').replace(/"transactionId":"[^"]+"/, '"transactionId":""');
}

describe('GET of a live session', () => {
  test('[3] members stand in the order of the contract, and the time is now', async () => {
    const answer = await getSession(server, byToken(token));
    expect(timeless(answer)).toBe(
      '{"success":true,"completed":true,"time":0,"version":"1.0","data":{"user":{"enterprise":"HybridityAdmin",' +
        '"organization":["DEFAULT"],"currentOrganization":"DEFAULT","roles":["System Administrator","Appliance Administrator"],' +
        '"username":"admin@example.com","transactionId":""},"cloud":{"name":"Cardea","type":"vsphere"},' +
        '"organizations":[{"name":"Example Trading","id":"1"}]}}',
    );
    expect((JSON.parse(answer.text) as { time: number }).time).toBe(server.clock.nowMs);
  });

  test('[3] the transaction id in the body is that of the header, and each request has its own', async () => {
    const answers = [await getSession(server, byToken(token)), await getSession(server, byToken(token))];
    const ids = answers.map((answer) => dataOf<Data>(answer).user['transactionId']);
    expect(ids).toEqual(answers.map(({ headers }) => headers.get('x-transaction-id')));
    expect(ids[0]).not.toBe(ids[1]);
  });

  test("[4] without cloud and organizations it is the published example's: members, order, types and values", async () => {
    const body = JSON.parse((await getSession(server, byToken(token))).text) as typeof published;
    const { user } = body.data;
    const { username, transactionId } = published.data.user;
    const seen = { ...body, time: published.time, data: { user: { ...user, username, transactionId } } };
    expect(JSON.stringify(seen)).toBe(JSON.stringify(published));
    expect([typeof user.username, typeof user.transactionId, typeof body.time]).toEqual(['string', 'string', 'number']);
  });

  test('several organizations: the primary first, then by key; a user of none has empty lists', async () => {
    const data = dataOf<Data>(await getSession(server, basic(john)));
    expect(data.user).toMatchObject({ organization: ['DEFAULT', 'LOGISTICS'], currentOrganization: 'DEFAULT' });
    expect(data.organizations).toEqual([
      { name: 'Example Trading', id: '1' },
      { name: 'Example Logistics', id: '7' },
    ]);
    await addUser(server, { login: 'placeless' });
    const placeless = dataOf<Data>(await getSession(server, basic({ login: 'placeless', password: testPassword })));
    expect(placeless.user).toMatchObject({ enterprise: '', organization: [], currentOrganization: '', roles: [] });
    expect(placeless.organizations).toEqual([]);
  });
});

describe('GET without a live credential', () => {
  test("[5] every cause gets the published 401's bytes but its time", async () => {
    const expected = JSON.stringify({ ...noSession, time: 0 });
    const jwt = await openJwt(server, 'rest', admin);
    const ended = await signIn(server, admin);
    await endSession(server, byToken(ended));
    await addUser(server, { login: 'gone', status: 'Suspended' });
    const causes: Readonly<Record<string, Sent>> = {
      nothing: {},
      empty: byToken(''),
      unknown: byToken('f6f2a824:23cd:c4e5:6354:c9b0bec79015'),
      upper: byToken(token.toUpperCase()),
      dashes: byToken(token.replaceAll(':', '-')),
      cut: byToken(token.slice(0, -1)),
      longer: byToken(`${token}0`),
      jwtInTokenHeader: byToken(jwt),
      bareJwt: { authorization: jwt },
      bearerToken: { authorization: `Bearer ${token}` },
      forgedJwt: { authorization: `Bearer ${jwt.slice(0, -2)}AA` },
      twoSpaces: { authorization: `Bearer  ${jwt}` },
      longJwt: { authorization: `Bearer ${'a.'.repeat(2500)}a` },
      ended: byToken(ended),
      wrongBasic: basic({ ...admin, password: 'wrong' }),
      unknownBasic: basic({ login: 'nobody', password: 'wrong' }),
      disabledBasic: basic({ login: 'gone', password: testPassword }),
      damagedBasic: { authorization: 'Basic Zm9v' },
      longBasic: basic({ ...admin, password: 'x'.repeat(1025) }),
      otherScheme: { authorization: `Token ${token}` },
    };
    for (const [cause, headers] of Object.entries(causes)) {
      const answer = await getSession(server, headers);
      expect([cause, answer.status, timeless(answer)]).toEqual([cause, 401, expected]);
    }
  });

  test('[5] a credential header or Host sent twice is 400, on every operation', async () => {
    for (const method of ['GET', 'POST', 'DELETE']) {
      const body = method === 'POST' ? { body: { username: admin.login, password: admin.password } } : {};
      for (const line of [`x-hm-authorization: ${token}`, `Authorization: ${token}`]) {
        expectError(
          await hcx(server.httpsUrl, method, adminPath, { lines: [line, line], ...body }),
          ...refusals.repeated,
        );
      }
      const answer = await hcx(server.httpsUrl, method, adminPath, { lines: ['Host: other'], ...body });
      expectError(answer, ...refusals.repeated);
    }
  });

  test('whoever has a step to finish is 403 by Basic and at login, and gets no token', async () => {
    const who = { login: 'stepping', password: testPassword };
    await addUser(server, { login: who.login, passwordChangeDue: true });
    expectError(await getSession(server, basic(who)), ...refusals.stepDue);
    expectError(await postLogin(server.httpsUrl, who), ...refusals.stepDue);
  });

  test('whoever gets a step to finish during a session is 403 by its token, and may still end it', async () => {
    const who = { login: 'overtaken', password: testPassword };
    const id = await addUser(server, who);
    const own = await signIn(server, who);
    await change(server.core, (trx) =>
      trx.updateTable('users').set({ password_change_due: 1 }).where('id', '=', id).execute(),
    );
    expectError(await getSession(server, byToken(own)), ...refusals.stepDue);
    expect((await endSession(server, byToken(own))).status).toBe(200);
    expectError(await getSession(server, byToken(own)), ...refusals.noContext);
  });
});

describe('other credentials', () => {
  const liveSessions = async () => {
    const rows = await server.core.store.lists
      .selectFrom('sessions')
      .select('id')
      .where('ended_at', 'is', null)
      .execute();
    return rows.length;
  };

  test('[6] the bare token, Basic, and a JWT of either door show the same user, on both listeners', async () => {
    const expected = timeless(await getSession(server, byToken(token)));
    const jwts = [
      await openJwt(server, 'rest', admin),
      await openJwt(server, 'web', { ...admin, login: 'admin@example.com' }),
    ];
    const ways = [
      { authorization: token },
      basic(admin),
      { authorization: `bASIC ${basic(admin).authorization.slice(6)}` },
      ...jwts.map((jwt) => ({ authorization: `bearer ${jwt}` })),
    ];
    const before = await liveSessions();
    for (const headers of ways) {
      for (const origin of [server.httpsUrl, server.url]) {
        expect(timeless(await hcx(origin, 'GET', adminPath, { headers }))).toBe(expected);
      }
    }
    expect(await liveSessions()).toBe(before);
  });

  test('[7] a token of this door is refused by the other doors', async () => {
    const headers = { Authorization: `Bearer ${token}` };
    expect((await fetch(`${server.url}/auth/session`, { headers })).status).toBe(401);
    expect((await fetch(`${server.url}/v2/auth/session`, { method: 'POST', headers })).status).toBe(401);
  });

  test('[8] two credentials of one user are good; of two users, or one of them bad, are not', async () => {
    const jwt = await openJwt(server, 'rest', admin);
    const bearer = { authorization: `Bearer ${jwt}` };
    expect((await getSession(server, { ...byToken(token), ...bearer })).status).toBe(200);
    expect((await getSession(server, { ...byToken(token), ...basic(admin) })).status).toBe(200);
    const strange = { authorization: `Bearer ${await openJwt(server, 'rest', john)}` };
    for (const headers of [
      { ...byToken(token), ...strange },
      { ...byToken(token), ...basic(john) },
      { ...byToken(token), ...basic({ ...admin, password: 'wrong' }) },
      { ...byToken('f6f2a824:23cd:c4e5:6354:c9b0bec79015'), ...bearer },
      { ...byToken(token), authorization: 'Bearer x.y.z' },
    ]) {
      expectError(await getSession(server, headers), ...refusals.noContext);
      expectError(await endSession(server, headers), ...refusals.noSession);
    }
    expect((await getSession(server, byToken(token))).status).toBe(200);
  });

  test('[18] a body on GET is ignored, and the next request on the connection is answered', async () => {
    const head = `GET ${adminPath} HTTP/1.1\r\nHost: a\r\nx-hm-authorization: ${token}\r\n`;
    const last = `${head}Connection: close\r\n\r\n`;
    const bodies = [
      'Content-Length: 5\r\n\r\n{"a:]',
      'Content-Length: 0\r\n\r\n',
      'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a:]\r\n0\r\n\r\n',
    ];
    for (const first of bodies.map((body) => head + body)) {
      expect(statuses((await exchangeBytes(server.httpsUrl, Buffer.from(first + last))).toString())).toEqual([
        200, 200,
      ]);
    }
  });
});
