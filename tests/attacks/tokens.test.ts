import { beforeAll, describe, expect, test } from 'bun:test';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { lastBody, sendRaw } from '../../src/http/raw-client.ts';
import { underAttack, useAttackGround } from '../support/attack.ts';
import { faces } from '../support/door-faces.ts';
import { bytesOf, comparable } from '../support/face-exchange.ts';
import { forgeries, type Hand, strays } from '../support/forged-tokens.ts';
import { appliance, type Kind, open, type Place, places, sessionKinds } from '../support/four-doors.ts';
import { readClaims, readSigningKey } from '../support/jwt.ts';
import * as rest from '../support/ecgrid.ts';
import { countStoreReads } from '../support/store-reads.ts';
import { addUser, setUserStatus } from '../support/users.ts';

const { john, admin } = demoUsers;
const ground = useAttackGround();

/** Where somebody could put a JWT; the last three take no JWT at all. */
const bearers: readonly Place[] = ['REST bearer', 'web bearer', 'appliance bearer'];
const others: readonly Place[] = ['appliance token header', 'appliance bare authorization', 'SOAP SessionID'];

let deadUserIds: readonly number[];
beforeAll(async () => {
  const suspended = await addUser(ground.server, { login: 'suspended', status: 'Suspended' });
  const terminated = await addUser(ground.server, { login: 'terminated', status: 'Terminated' });
  deadUserIds = [suspended, terminated];
});

async function takeHand(): Promise<Hand> {
  const { server, canary } = ground;
  const { token } = await rest.login(server, john);
  const other = readClaims((await rest.login(server, john)).token);
  return { key: readSigningKey(server), token, claims: readClaims(token), other, canary: canary.url, deadUserIds };
}

/** A header carries visible ASCII; a comma in it means a repetition. XML carries everything but control characters. */
function fits(place: Place, text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  if (place === 'SOAP SessionID') return !/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text);
  return /^[\x21-\x7e]+$/.test(text) && !text.includes(',');
}

async function expectRefusedAt(place: Place, texts: readonly string[]): Promise<number> {
  const sent = texts.filter((text) => fits(place, text));
  await underAttack(ground, async () => {
    for (const text of sent) places[place].refuses(await places[place].ask(ground.server, text));
  });
  return sent.length;
}

describe.each([...bearers, ...others].map((place) => [place] as const))('attacks J as %s', (place) => {
  test.each(forgeries)('%s: A401, byte for byte', async (_, forge) => {
    const hand = await takeHand();
    const texts = await forge(hand);
    expect(texts).not.toContain(hand.token);
    expect(await expectRefusedAt(place, texts)).toBeGreaterThanOrEqual(texts.some((text) => fits(place, text)) ? 1 : 0);
    if (bearers.includes(place)) expect((await places[place].ask(ground.server, hand.token)).status).toBe(200);
  });

  test('J05 J06 one bit of each character changed: A401', async () => {
    const { token } = await takeHand();
    const changed = Array.from(token, (character, at) => {
      const flipped = String.fromCharCode(character.charCodeAt(0) ^ (1 << (at % 5)));
      return token.slice(0, at) + flipped + token.slice(at + 1);
    });
    const sample = changed.filter((_, at) => at % 9 === 0 || at > token.length - 4);
    expect(await expectRefusedAt(place, sample)).toBeGreaterThan(sample.length / 2);
  });

  test('J28 a token of 8 KB: A401 without a store read', async () => {
    const { token } = await takeHand();
    const counting = countStoreReads(ground.server);
    for (const text of [
      `${token}${'A'.repeat(8_192)}`,
      `${'A'.repeat(4_000)}.${'A'.repeat(4_000)}.${'A'.repeat(43)}`,
    ]) {
      places[place].refuses(await places[place].ask(ground.server, text));
    }
    expect(counting.stop()).toBe(0);
  });
});

describe('attacks J: what was good until just now', () => {
  const jwtKinds: readonly Kind[] = ['REST token', 'web token'];

  test.each(bearers)(
    'J08 J27 as %s: respellings of a token that was logged out or rotated away: A401',
    async (place) => {
      const { server } = ground;
      const [rotated, ended] = [(await takeHand()).token, (await takeHand()).token];
      const successor = (await rest.refresh(server, rotated)).token;
      await rest.rest(server, 'POST', '/v2/auth/logout', { headers: rest.bearer(ended) });
      await expectRefusedAt(place, [rotated, ended, ...strays(rotated), ...strays(ended)]);
      expect((await places[place].ask(server, successor)).status).toBe(200);
    },
  );

  test('J27 after disable, delete, reset, password change elsewhere, and a raised epoch: A401 at every door that takes it', async () => {
    const { server } = ground;
    const root = rest.bearer((await rest.login(server, admin)).token);
    const endings: Readonly<Record<string, (id: number) => Promise<unknown>>> = {
      disable: (id) => setUserStatus(server, id, 'Suspended'),
      delete: (id) => rest.rest(server, 'DELETE', `/v2/users/${id}`, { headers: root }),
      reset: (id) => rest.rest(server, 'POST', `/v2/users/reset/${id}`, { headers: root }),
      password: (userId) =>
        rest.rest(server, 'POST', '/v2/users/password', {
          headers: root,
          body: { userId, newPassword: 'nine herons on a pond' },
        }),
    };
    for (const [how, end] of Object.entries(endings)) {
      const login = `j27-${how}`;
      const who = { id: await addUser(server, { login }), login, password: 'correct horse battery' };
      const tokens = await Promise.all(jwtKinds.map((kind) => open(server, who, kind)));
      await end(who.id);
      for (const token of tokens) for (const place of bearers) await expectRefusedAt(place, [token]);
    }
  });
});

describe('attacks J24 J26: a token where it does not belong', () => {
  const asks: readonly (readonly [string, (token: string) => Promise<{ status: number }>])[] = [
    [
      'a cookie, REST',
      (token) => rest.session(ground.server, { Cookie: `token=${token}; Authorization=Bearer ${token}` }),
    ],
    ['the body, REST', (token) => rest.rest(ground.server, 'POST', '/v2/auth/session', { body: { token } })],
    [
      'X-API-Key, appliance',
      (token) => appliance(ground.server, 'GET', '/api/admin/v1/sessions', { 'X-API-Key': token }),
    ],
    [
      'a cookie, appliance',
      (token) => appliance(ground.server, 'GET', '/api/admin/v1/sessions', { Cookie: `x-hm-authorization=${token}` }),
    ],
    [
      'the address, web',
      (token) => appliance(ground.server, 'GET', `/api/admin/v1/sessions?x-hm-authorization=${token}`),
    ],
  ];
  test.each(asks)('J24 in %s: A401, whichever kind it is', async (_, ask) => {
    for (const kind of sessionKinds.filter((one) => !/key/.test(one))) {
      const secret = await open(ground.server, john, kind);
      expect((await underAttack(ground, () => ask(encodeURIComponent(secret)))).status).toBe(401);
    }
  });

  test.each(faces.map((face) => [face.name, face] as const))(
    'J24 in a trailer at %s: no credential',
    async (_, face) => {
      const token = await open(ground.server, john, face.kind);
      const good = face.check(token);
      const lines = good.lines.filter((line) => !face.credentialLines(token).includes(line));
      if (lines.length === good.lines.length) return;
      const trailer = face.credentialLines(token).join('\r\n');
      const post = lines.map((line) =>
        line.replace(/^GET /, 'DELETE ').replace('DELETE /auth/session', 'POST /auth/logout'),
      );
      const sent = bytesOf({ lines: [...post, 'Transfer-Encoding: chunked'], body: `0\r\n${trailer}\r\n\r\n` });
      const received = await sendRaw(ground.port, sent);
      expect(received).toStartWith('HTTP/1.1 401');
      expect((await open(ground.server, john, face.kind)).length).toBeGreaterThan(0);
      expect(lastBody(await sendRaw(ground.port, bytesOf(good)))).not.toContain('not valid');
    },
  );
});

describe('attacks J25: how a scheme is written', () => {
  test.each(bearers)('J25 as %s: any case of the scheme is right, everything else is A401', async (place) => {
    const { token } = await takeHand();
    const bare = place.replace('bearer', 'bare authorization') as Place;
    const ask = (value: string) => places[bare].ask(ground.server, value);
    for (const scheme of ['bearer', 'BEARER', 'bEaReR']) expect((await ask(`${scheme} ${token}`)).status).toBe(200);
    const wrong = ['Bearer  ', 'Bearer\t', 'Bearer x ', 'Bearer', 'Token ', 'ApiKey ', 'JWT ', 'Basic ', 'Bearer:', ''];
    for (const prefix of wrong) {
      const answer = await underAttack(ground, () => ask(`${prefix}${token}`));
      expect({ prefix, status: answer.status }).toEqual({ prefix, status: 401 });
    }
    for (const value of [
      'Bearer',
      'Bearer null',
      'Bearer undefined',
      `Bearer ${token} x`,
      `Basic ${'A'.repeat(5_000)}`,
    ]) {
      expect({ value, status: (await ask(value)).status }).toEqual({ value, status: 401 });
    }
  });

  test.each(faces.filter(({ kind }) => kind !== 'SessionID').map((face) => [face.name, face] as const))(
    'J25 K10 two bearers in one line at %s: B400',
    async (_, face) => {
      const { token } = await takeHand();
      const lines = [...face.check(token).lines.slice(0, 1), `Authorization: Bearer ${token}, Bearer ${token}`];
      const received = await sendRaw(ground.port, bytesOf({ ...face.check(token), lines }));
      expect(comparable(received)).toEqual(face.answers['repeated credential']);
    },
  );
});
