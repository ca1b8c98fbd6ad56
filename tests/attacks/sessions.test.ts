import { Database } from 'bun:sqlite';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'bun:test';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { underAttack, useAttackGround } from '../support/attack.ts';
import * as rest from '../support/ecgrid.ts';
import {
  accepted,
  addKeyHolder,
  allDoors,
  expectEverywhere,
  open,
  openAll,
  places,
  sessionKinds,
} from '../support/four-doors.ts';
import { logouts } from '../support/logouts.ts';
import { makeToken, readClaims, readSigningKey } from '../support/jwt.ts';
import { startTestServer } from '../support/server.ts';
import { call, fieldsOf, resultOf } from '../support/soap.ts';
import * as web from '../support/user-session.ts';

const { john, admin } = demoUsers;
const ground = useAttackGround();

describe.each(sessionKinds.map((kind) => [kind] as const))('attacks S: a session by %s', (kind) => {
  const logout = logouts[kind];

  test('S01 S02 S03 after its logout A401 at every door, also for a second logout; its sibling goes on', async () => {
    const { server } = ground;
    const who = await addKeyHolder(server, `s02-${kind.replace(/\W/g, '-')}`);
    const [secret, sibling] = [await open(server, who, kind), await open(server, who, kind)];
    const first = await logout(server, secret);
    expect(first.status).toBe(200);
    await expectEverywhere(server, kind, secret, 'refused');
    const second = await underAttack(ground, () => logout(server, secret));
    if (kind === 'SessionID') expect(resultOf(second, 'Logout')).toBe('false');
    else expect(second.status).toBe(401);
    await expectEverywhere(server, kind, sibling, 'let in');
  });

  test('S21 one session more than a user may have: the oldest has ended, and no other', async () => {
    const server = await startTestServer({ settings: { ...allDoors, CARDEA_SESSION_MAX_PER_USER: '5' } });
    try {
      const who = await addKeyHolder(server, 's21');
      const secrets: string[] = [];
      for (let count = 0; count < 6; count += 1) {
        secrets.push(await open(server, who, kind));
        server.clock.advance(1);
      }
      const [oldest = '', ...others] = secrets;
      await expectEverywhere(server, kind, oldest, 'refused');
      for (const secret of others) await expectEverywhere(server, kind, secret, 'let in');
    } finally {
      await server.close();
    }
  });

  test('S09 S23 a clock that goes back revives neither what was ended nor what ran out', async () => {
    const server = await startTestServer({ settings: allDoors });
    try {
      const who = await addKeyHolder(server, 's23');
      const [ended, spent] = [await open(server, who, kind), await open(server, who, kind)];
      await logout(server, ended);
      server.clock.advance(-7_200);
      await expectEverywhere(server, kind, ended, 'refused');
      await expectEverywhere(server, kind, spent, 'let in');
      server.clock.advance(7_200 + 12 * 3_600);
      await expectEverywhere(server, kind, spent, 'refused');
    } finally {
      await server.close();
    }
  });
});

describe('attacks S: sessions of others', () => {
  test('S13 a token of one user that names the session of another: A401 everywhere, and both sessions go on', async () => {
    const { server } = ground;
    const key = readSigningKey(server);
    const [mine, theirs] = [(await rest.login(server, john)).token, (await rest.login(server, admin)).token];
    const [own, foreign] = [readClaims(mine), readClaims(theirs)];
    const mixed = [
      { ...own, sid: foreign['sid'] },
      { ...own, sid: foreign['sid'], jti: foreign['jti'] },
      { ...foreign, sub: own['sub'] },
      { ...own, jti: foreign['jti'] },
    ];
    for (const claims of mixed) {
      const token = await makeToken(key, claims);
      for (const place of accepted['REST token']) places[place].refuses(await places[place].ask(server, token));
    }
    for (const token of [mine, theirs]) expect((await rest.session(server, rest.bearer(token))).status).toBe(200);
  });

  test('S05 S06 ids of others and ids that are none, where a door takes one: refused without an oracle', async () => {
    const { server } = ground;
    const token = (await rest.login(server, demoUsers.soap)).token;
    const id = await open(server, demoUsers.soap, 'SessionID');
    const odd = ['0', '-1', '2147483648', '9007199254740993', '1e3', '0x10', '01', '1;drop', '%31', '１', '1.0', ' 1'];
    for (const text of odd) {
      const path = `/v2/users/${encodeURIComponent(text)}`;
      expect([400, 404]).toContain((await rest.rest(server, 'GET', path, { headers: rest.bearer(token) })).status);
      const soap = await call(server, 'SessionLog', { SessionID: id, UserID: text, MaxRecords: 1 });
      expect([200, 500]).toContain(soap.status);
      if (soap.status === 200) expect(soap.text).not.toContain('<UserID>1<');
      const foreign = await web.session(server, { ...web.bearer(token), 'x-account-id': encodeURIComponent(text) });
      expect(foreign.status).toBe(403);
    }
    const [missing, hidden] = ['2000000', '1'].map((one) =>
      rest.rest(server, 'GET', `/v2/users/${one}`, { headers: rest.bearer(token) }),
    );
    expect(rest.comparable(await (missing as Promise<rest.EcgridAnswer>))).toEqual(
      rest.comparable(await (hidden as Promise<rest.EcgridAnswer>)),
    );
  });

  test('S22 D03 a list of many sessions gives one page, whatever number is asked for', async () => {
    const { server } = ground;
    const id = await open(server, demoUsers.soap, 'SessionID');
    const { db } = server.core.store;
    const row = await db
      .selectFrom('sessions')
      .selectAll()
      .where('user_id', '=', demoUsers.soap.id)
      .executeTakeFirstOrThrow();
    for (let from = 0; from < 3_000; from += 100) {
      const rows = Array.from({ length: 100 }, (_, at) => ({
        ...row,
        id: `page-${from + at}`.padEnd(22, 'x'),
        secret_digest: null,
      }));
      await db.insertInto('sessions').values(rows).execute();
    }
    for (const MaxRecords of [0, 32_767]) {
      const answer = await call(server, 'SessionLog', { SessionID: id, UserID: 0, MaxRecords });
      expect(answer.text.match(/<SessionIDInfo>/g)).toHaveLength(100);
    }
    await db.deleteFrom('sessions').where('id', 'like', 'page-%').execute();
    expect(fieldsOf(resultOf(await call(server, 'SessionInfo', { SessionID: id }), 'SessionInfo'))).toMatchObject({
      UserID: '12345',
    });
  });
});

describe('attacks S26: other readers of the store', () => {
  test('S26 an iterator and a transaction left open elsewhere: every revocation binds at once all the same', async () => {
    const server = await startTestServer({ settings: allDoors });
    const file = readdirSync(server.directory).find((name) => name.endsWith('.db')) ?? '';
    const reader = new Database(join(server.directory, file), { readonly: true });
    try {
      const who = await addKeyHolder(server, 's26');
      const secrets = await openAll(server, who);
      const rows = reader.query('select id from sessions').iterate();
      rows.next();
      const other = new Database(join(server.directory, file), { readonly: true });
      other.run('begin');
      other.query('select count(*) from sessions').get();
      for (const kind of sessionKinds) {
        expect((await logouts[kind](server, secrets[kind])).status).toBe(200);
        await expectEverywhere(server, kind, secrets[kind], 'refused');
      }
      other.run('commit');
      other.close();
    } finally {
      reader.close();
      await server.close();
    }
  });
});
