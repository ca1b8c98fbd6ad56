import { beforeAll, describe, expect, test } from 'bun:test';
import { change } from '../../src/core/change.ts';
import { demoKey, demoUsers } from '../../src/cli/demo-data.ts';
import { sendRaw, statuses } from '../../src/http/raw-client.ts';
import { expectNothingInside, underAttack, useAttackGround } from '../support/attack.ts';
import { faces } from '../support/door-faces.ts';
import * as rest from '../support/ecgrid.ts';
import { bytesOf, comparable } from '../support/face-exchange.ts';
import {
  addKeyHolder,
  appliance,
  cookieLogin,
  open,
  openAll,
  type Place,
  places,
  type Who,
} from '../support/four-doors.ts';
import { startTestServer } from '../support/server.ts';
import { call } from '../support/soap.ts';
import { countStoreReads } from '../support/store-reads.ts';
import * as web from '../support/user-session.ts';
import { setUserStatus } from '../support/users.ts';

const { john, soap } = demoUsers;
const ground = useAttackGround();

/** Where each opaque credential goes, and one of each that is good. */
type Opaque = {
  readonly place: Place;
  readonly make: (who: Who) => Promise<string>;
  readonly ignoresCase: boolean;
};
const opaques: Readonly<Record<string, Opaque>> = {
  'REST key': { place: 'REST X-API-Key', make: async (who) => who.key ?? '', ignoresCase: true },
  'SOAP key': { place: 'SOAP SessionID', make: async (who) => who.key ?? '', ignoresCase: true },
  'SOAP id': { place: 'SOAP SessionID', make: (who) => open(ground.server, who, 'SessionID'), ignoresCase: true },
  'appliance token': {
    place: 'appliance token header',
    make: (who) => open(ground.server, who, 'appliance token'),
    ignoresCase: false,
  },
  'bare appliance token': {
    place: 'appliance bare authorization',
    make: (who) => open(ground.server, who, 'appliance token'),
    ignoresCase: false,
  },
  cookie: { place: 'web cookie', make: (who) => open(ground.server, who, 'cookie'), ignoresCase: false },
};

let who: Who;
beforeAll(async () => {
  who = await addKeyHolder(ground.server, 'k-holder');
});

/** Fails the test unless each text is refused as at this place, and none of them asked the store. */
async function expectJunk(place: Place, texts: readonly string[]): Promise<void> {
  await underAttack(ground, async () => {
    for (const text of texts) places[place].refuses(await places[place].ask(ground.server, text));
  });
  const counting = countStoreReads(ground.server);
  for (const text of texts) await places[place].ask(ground.server, text);
  expect(counting.stop()).toBe(0);
}

const swapCase = (text: string) => (text === text.toLowerCase() ? text.toUpperCase() : text.toLowerCase());

describe.each(Object.entries(opaques))('attacks K: %s', (_, { place, make, ignoresCase }) => {
  test('K01 K02 a digit more or less, none, not of its alphabet, 8 KB: A401 without a store read', async () => {
    const good = await make(who);
    const wrong = [good.slice(1), good.slice(0, -1), `${good}0`, `0${good}`, `${good.slice(0, -1)}!`];
    await expectJunk(place, [...wrong, 'x', '-', ':', '.', '~'.repeat(good.length), 'A'.repeat(8_192)]);
    expect((await places[place].ask(ground.server, good)).status).toBe(200);
  });

  test('K03 K05 other spellings and fragments of queries, paths and numbers: A401 without a store read', async () => {
    const good = await make(who);
    const bare = good.replace(/[-:]/g, '');
    const spelled = [`{${good}}`, `urn:uuid:${good}`, `"${good}"`, `${bare}${bare}`, good.replace(/.$/, '%')];
    const fragments = ['%', '*', "' or 1=1--", '../', '../../etc/passwd', '1'.repeat(10_000), '__proto__', '${x}'];
    await expectJunk(place, [
      ...spelled,
      ...fragments,
      ...(place !== 'web cookie' ? [bare, good.replace(/[-:]/g, '_')] : []),
    ]);
    const swapped = await places[place].ask(ground.server, swapCase(good));
    if (ignoresCase) expect(swapped.status).toBe(200);
    else places[place].refuses(swapped);
  });

  test('K04 K11 all zero, all F, the documents’ examples, and neighbours in the first, middle and last digit: A401', async () => {
    const good = await make(who);
    const fill = (digit: string) => good.replace(/[A-Za-z0-9]/g, digit);
    const digitAt = (at: number) => good.slice(0, at) + (good[at] === '0' ? '1' : '0') + good.slice(at + 1);
    const texts = [fill('0'), fill('f'), ...[0, 14, good.length - 1].map(digitAt)].filter((text) => text !== good);
    texts.push('A1B2C3D4-E5F6-7890-ABCD-EF1234567890', 'f6f2a824:23cd:c4e5:6354:c9b0bec79015');
    await underAttack(ground, async () => {
      for (const text of texts) places[place].refuses(await places[place].ask(ground.server, text));
    });
  });
});

describe('attacks K: what was good until just now', () => {
  test('K08 a replaced and an expired key, and the key of a disabled and a deleted user: A401 at both doors', async () => {
    const { server } = ground;
    const keyPlaces: readonly Place[] = ['REST X-API-Key', 'SOAP SessionID'];
    const root = rest.bearer((await rest.login(server, demoUsers.admin)).token);
    const endings: Readonly<Record<string, (one: Who) => Promise<unknown>>> = {
      replaced: (one) => rest.rest(server, 'POST', `/v2/users/key-generate/${one.id}`, { headers: root }),
      expired: (one) =>
        change(server.core, (trx) =>
          trx
            .updateTable('api_keys')
            .set({ expires_at: server.clock.nowMs / 1000 })
            .where('user_id', '=', one.id)
            .execute(),
        ),
      disabled: (one) => setUserStatus(server, one.id, 'Suspended'),
      deleted: (one) => rest.rest(server, 'DELETE', `/v2/users/${one.id}`, { headers: root }),
    };
    for (const [how, end] of Object.entries(endings)) {
      const one = await addKeyHolder(server, `k08-${how}`);
      for (const place of keyPlaces) expect((await places[place].ask(server, one.key ?? '')).status).toBe(200);
      await end(one);
      for (const place of keyPlaces) places[place].refuses(await places[place].ask(server, one.key ?? ''));
    }
  });

  test('K07 a key in an address or a body is none, and no log line has it', async () => {
    const { server } = ground;
    const at = `?api_key=${demoKey}&X-API-Key=${demoKey}`;
    expect((await rest.rest(server, 'POST', `/v2/auth/session${at}`, { body: { apiKey: demoKey } })).status).toBe(401);
    expect((await web.web(server, 'GET', `/auth/session${at}`)).status).toBe(401);
    expect((await appliance(server, 'GET', `/api/admin/v1/sessions${at}`)).status).toBe(401);
    expect((await call(server, 'SessionInfo', {}, { path: `/v4.1/prod/ECGridOS.asmx${at}` })).status).toBe(500);
    expect(server.log.join('\n').toLowerCase()).not.toContain(demoKey.toLowerCase());
  });

  test('K13 an id, cookie or token chosen before the login is never adopted, at any door', async () => {
    const { server } = ground;
    const chosen = await openAll(server, who);
    const headers = {
      Authorization: `Bearer ${chosen['REST token']}`,
      Cookie: `__Host-cardea=${'A'.repeat(43)}; SessionID=${'0'.repeat(32)}`,
      'x-hm-authorization': '00000000:0000:0000:0000:000000000000',
      'X-Session-Id': 'Zk3vQ0m1T8uYc2Lw9sHn4A',
    };
    const fixed = { token: chosen['REST token'], sessionId: 'x', SessionID: '0'.repeat(32), sid: 'y' };
    const restAnswer = await rest.rest(server, 'POST', '/v2/auth/login', { headers, body: { ...john, ...fixed } });
    const webAnswer = await web.postLogin(server, { email: john.login, password: john.password, ...fixed }, headers);
    const body = { username: john.login, password: john.password, ...fixed };
    const applianceAnswer = await appliance(server, 'POST', '/api/admin/v1/sessions', headers, body);
    const cookie = await cookieLogin(server, john, 'A'.repeat(43));
    const given = [
      (restAnswer.body.data as { token: string }).token,
      web.sessionOf(webAnswer).token,
      applianceAnswer.headers.get('x-hm-authorization') ?? '',
      cookie,
    ];
    const sent = JSON.stringify([headers, fixed]);
    for (const secret of given) expect([secret.length > 30, sent.includes(secret)]).toEqual([true, false]);
    places['web cookie'].refuses(await places['web cookie'].ask(server, 'A'.repeat(43)));
    const { 'x-hm-authorization': guess } = headers;
    places['appliance token header'].refuses(await places['appliance token header'].ask(server, guess));
  });
});

describe('attacks K: two credentials', () => {
  test('K09 a good one beside a bad one, or those of two users: never the best of them', async () => {
    const { server } = ground;
    const token = (await rest.login(server, john)).token;
    const other = (await rest.login(server, soap)).token;
    const hm = await open(server, john, 'appliance token');
    const ask = (headers: Record<string, string>) => appliance(server, 'GET', '/api/admin/v1/sessions', headers);
    for (const authorization of [`Bearer ${other}`, 'Bearer x', 'Basic eDp5', hm.replace(/^./, 'g')]) {
      expect((await ask({ 'x-hm-authorization': hm, Authorization: authorization })).status).toBe(401);
    }
    expect((await ask({ 'x-hm-authorization': hm.replace(/^./, 'g'), Authorization: `Bearer ${token}` })).status).toBe(
      401,
    );
    expect((await ask({ 'x-hm-authorization': hm, Authorization: `Bearer ${token}` })).status).toBe(200);
    const pairs = [
      [token, demoKey.replace(/^./, 'g')],
      ['x', demoKey],
      [other, demoKey],
    ] as const;
    for (const [bearer, key] of pairs) {
      expect((await rest.session(server, { ...rest.bearer(bearer), ...rest.apiKey(key) })).status).toBe(401);
    }
    const cookie = await open(server, john, 'cookie');
    const beside = { ...web.bearer('x'), Cookie: `__Host-cardea=${cookie}` };
    expect((await web.session(server, beside)).status).toBe(401);
  });

  const repeatable = faces.filter(({ kind }) => kind !== 'SessionID');
  test.each(repeatable.map((face) => [face.name, face] as const))(
    'K10 a credential header twice at %s: B400',
    async (_, face) => {
      const credential = await open(ground.server, john, face.kind);
      const name = (face.credentialLines(credential)[0] ?? '').split(':')[0] ?? '';
      const line = face.credentialLines(credential)[0] ?? '';
      const rest = face.check(credential).lines.filter((one) => one !== line);
      for (const twice of [[line, line], [line, `${name}: x`], [`${name.toUpperCase()}: x`, line], [`${line}, x`]]) {
        const received = await sendRaw(ground.port, bytesOf({ ...face.check(credential), lines: [...rest, ...twice] }));
        expect(comparable(received)).toEqual(face.answers['repeated credential']);
      }
    },
  );

  test('K12 two session cookies, another case, no prefix, quoted, 8 KB: A401', async () => {
    const cookie = await open(ground.server, john, 'cookie');
    const wrong = [
      `__Host-cardea=${cookie}; __Host-cardea=${cookie}`,
      `__Host-cardea=x; __Host-cardea=${cookie}`,
      `__host-cardea=${cookie}`,
      `cardea=${cookie}`,
      `__Secure-cardea=${cookie}`,
      `__Host-cardea="${cookie}"`,
      `__Host-cardea =${cookie}`,
      `__Host-cardea=${'A'.repeat(8_192)}`,
      `a=__Host-cardea=${cookie}`,
    ];
    for (const text of wrong) {
      const answer = await underAttack(ground, () => web.session(ground.server, { Cookie: text }));
      expect({ text: text.slice(0, 90), status: answer.status }).toEqual({ text: text.slice(0, 90), status: 401 });
    }
    expect((await web.session(ground.server, { Cookie: `a=b; __Host-cardea=${cookie}; c=d` })).status).toBe(200);
  });
});

describe('attacks K: size and number', () => {
  test.each(faces.map((face) => [face.name, face] as const))(
    'K14 a head of 17 KB, or of 250 lines, at %s: X or its answer',
    async (_, face) => {
      const good = face.check(await open(ground.server, john, face.kind));
      const many = Array.from({ length: 250 }, (_each, at) => `X-${at}: x`);
      const large = await underAttack(ground, () =>
        sendRaw(ground.port, bytesOf({ ...good, lines: [...good.lines, `X-A: ${'x'.repeat(17_000)}`] })),
      );
      expect(statuses(large).filter((status) => ![400, 431].includes(status))).toEqual([]);
      const received = await underAttack(ground, () =>
        sendRaw(ground.port, bytesOf({ ...good, lines: [...good.lines, ...many] })),
      );
      expect(statuses(received).filter((status) => ![200, 400, 431].includes(status))).toEqual([]);
      expectNothingInside(large);
    },
  );

  test('K06 many guesses from one address: R429 at every door once the allowance is spent, and a good credential goes on', async () => {
    const settings = { CARDEA_HCX_ENABLED: 'true', CARDEA_LIMITS_REFUSED_PER_SECOND: '10' };
    const server = await startTestServer({ settings });
    try {
      const good = { token: (await rest.login(server, john)).token, id: await open(server, john, 'SessionID') };
      const asks: ((at: number) => Promise<{ status: number; headers: Headers }>)[] = [
        (at) => rest.session(server, rest.apiKey(crypto.randomUUID().replace(/^./, String(at % 10)))),
        () => rest.session(server, rest.bearer('eyJ.a.b')),
        () => web.session(server, web.bearer('eyJ.a.b')),
        () => call(server, 'SessionInfo', { SessionID: crypto.randomUUID() }),
        () => appliance(server, 'GET', '/api/admin/v1/sessions', { 'x-hm-authorization': 'x' }),
      ];
      for (let at = 0; at < 300; at += 1)
        expect([401, 429, 500]).toContain((await asks[at % asks.length]?.(at))?.status ?? 0);
      for (const ask of asks) {
        const { status, headers } = await ask(0);
        expect([429, 500]).toContain(status);
        expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
      }
      expect((await rest.session(server, rest.bearer(good.token))).status).toBe(200);
      expect((await call(server, 'SessionInfo', { SessionID: good.id })).status).toBe(200);
    } finally {
      await server.close();
    }
  });
});
