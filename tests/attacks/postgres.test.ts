import { beforeAll, describe, expect, test } from 'bun:test';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { underAttack, useAttackGround } from '../support/attack.ts';
import * as rest from '../support/ecgrid.ts';
import { fingerprint } from '../support/fingerprint.ts';
import type { Answer } from '../support/four-doors.ts';
import { logins } from '../support/login-ways.ts';
import { naughtyStrings } from '../support/naughty-strings.ts';
import { call } from '../support/soap.ts';
import * as web from '../support/user-session.ts';
import { addUser, testPassword } from '../support/users.ts';

// What SQLite stores and PostgreSQL refuses, NUL above all, must be judged before either is asked.
const ground = useAttackGround('postgres');
const texts = naughtyStrings.filter((text) => text.length < 300);
/** What only one of the two stores takes comes by every way, the rest by one. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const isOdd = (text: string) => /[\u0000-\u001f\u007f-\u009f\ufffe\uffff]/.test(text) || !text.isWellFormed();

/** SOAP answers every fault with 500: what it says tells a refusal from a fault of ours. */
function expectNoFaultOfOurs(way: string, text: string, answer: Answer): void {
  const isOurs = answer.status >= 500 && !/Invalid login|Invalid parameter|Malformed request/.test(answer.text);
  expect({ way, text, isOurs, status: answer.status }).toMatchObject({ way, text, isOurs: false });
}

beforeAll(async () => {
  await addUser(ground.server, { login: 'plain' });
});

describe('attacks on PostgreSQL', () => {
  test.each(logins.map(([way, login]) => [way, login] as const))(
    'L05 L17 D01 B14 naughty strings, NUL and lone surrogates as name and password at %s: refused, no row changed',
    async (way, login) => {
      const before = await fingerprint(ground.server);
      await underAttack(ground, async () => {
        const at = logins.findIndex(([name]) => name === way);
        for (const text of texts.filter((one, index) => isOdd(one) || index % logins.length === at)) {
          expectNoFaultOfOurs(way, text, await login(ground.server, text, 'x'));
          expectNoFaultOfOurs(way, text, await login(ground.server, `nobody-${texts.indexOf(text)}`, text));
        }
      });
      expect(await fingerprint(ground.server)).toBe(before);
      expect((await login(ground.server, 'plain', testPassword)).status).toBe(200);
    },
  );

  test('B14 X39 I01 naughty strings in everything that is stored: refused, or there exactly as sent', async () => {
    const { server } = ground;
    const headers = rest.bearer((await rest.login(server, demoUsers.admin)).token);
    for (const [at, text] of texts.entries()) {
      for (const field of ['login', 'email', 'firstName', 'lastName']) {
        const value = field === 'email' ? `${text}@x.example.com` : text;
        const facts = {
          login: `p-${at}-${field}`,
          email: `p-${at}-${field}@x.example.com`,
          password: 'nine herons on a pond',
          [field]: value,
        };
        const answer = await rest.rest(server, 'POST', '/v2/users', { headers, body: facts });
        expect({ text, field, ok: [200, 400].includes(answer.status) }).toEqual({ text, field, ok: true });
        if (answer.status === 200) expect(answer.body.data).toMatchObject({ [field]: value });
      }
      const { login, password } = demoUsers.soap;
      if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text) || !text.isWellFormed()) continue;
      const sender = {
        SenderSolution: text,
        SenderVersion: text,
        SenderCompanyName: text,
        SenderContact: text,
        SenderContactEmail: text,
      };
      const opened = await call(server, 'Login', { UserName: login, Password: password, ...sender });
      expectNoFaultOfOurs('sender', text, opened);
    }
  }, 60_000);

  test('S05 ids and keys of every kind in every place: no fault of ours', async () => {
    const { server } = ground;
    const { token } = await rest.login(server, demoUsers.admin);
    for (const text of texts.filter((one) => /^[\x20-\x7e]+$/.test(one))) {
      expect(
        (await rest.rest(server, 'GET', `/v2/users/${encodeURIComponent(text)}`, { headers: rest.bearer(token) }))
          .status,
      ).toBe(400);
      expect((await web.session(server, { ...web.bearer(token), 'x-account-id': text })).status).toBeOneOf([200, 403]);
    }
    for (const id of [0, -1, 2_147_483_647, 2_147_483_648, 1e12, 1.5]) {
      const listed = await rest.rest(server, 'POST', '/v2/users/list', {
        headers: rest.bearer(token),
        body: { networkId: id, mailboxId: id },
      });
      expect(listed.status).toBeOneOf([200, 400]);
      const role = { userId: id, authLevel: 'General', networkId: id };
      expect(
        (await rest.rest(server, 'POST', '/v2/users/role', { headers: rest.bearer(token), body: role })).status,
      ).toBeOneOf([400, 404]);
    }
  });
});
