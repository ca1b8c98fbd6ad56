import { beforeAll, describe, expect, test } from 'bun:test';
import { demoUsers } from '../../cli/demo-data.ts';
import { attack, useGround } from '../../../tests/support/soap-attack.ts';
import {
  envelope,
  guidPattern,
  operationXml,
  resultOf,
  type SoapParameters,
  versions,
} from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';

const ground = useGround({ CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '100000', CARDEA_THROTTLE_ADDRESS_PER_HOUR: '100000' });

/** Texts that some program takes for more than text. */
const naughty = [
  'undefined',
  'null',
  'NaN',
  '-1e309',
  '__proto__',
  'constructor',
  "' or 1=1; drop table users; --",
  '" or ""="',
  '%00',
  '%s%n%p',
  '${jndi:ldap://127.0.0.1/a}',
  '{{7*7}}',
  '=cmd()',
  '<script>alert(1)</script>',
  '</UserName><UserName>admin',
  ']]>',
  '&lt;&amp;#0;',
  '<!DOCTYPE a>',
  '../../../etc/passwd',
  '$(touch x); `touch y`',
  '\u202eright to left',
  'zero\u200bwidth',
  'ad\u2028min',
  'ﬁ ligature',
  'e\u0301 and é',
  '田中さん',
  '👩‍👩‍👧‍👦',
  'ＡＤＭＩＮ',
  '\u00a0admin\u00a0',
  ' admin',
  'a\ttab',
  '٠١٢',
  'İstanbul',
  '\ufeffmark',
];

/** In turn over SOAP 1.1 and 1.2: what a text means does not depend on it. */
const cases = naughty.map((text, index) => ({ text, version: versions[index % 2] ?? '1.1', login: `owner-${index}` }));

describe.each(cases)('X39 L17 I02 $text over SOAP $version', ({ text, version, login }) => {
  const ask = (operation: string, parameters: SoapParameters) =>
    attack(ground, envelope(operationXml(operation, parameters), version), { version });
  const known = { UserName: login, Password: testPassword };
  beforeAll(() => addUser(ground.server, { login }).then(() => undefined));

  test('is no user name, no password and no SessionID', async () => {
    expectFault(await ask('Login', { ...known, UserName: `${text}?` }), 'F2');
    expectFault(await ask('Login', { UserName: `${login}x`, Password: text }), 'F2');
    expectFault(await ask('SessionInfo', { SessionID: text }), 'F1');
    expectFault(await ask('ChangePassword', { SessionID: text }), 'F1');
    expect(resultOf(await ask('Logout', { SessionID: text }), 'Logout')).toBe('false');
  });

  test('is kept as a sender, and is no number and no old password', async () => {
    const names = ['SenderSolution', 'SenderVersion', 'SenderCompanyName', 'SenderContact', 'SenderContactEmail'];
    const senders = Object.fromEntries(names.map((name) => [name, text]));
    const id = resultOf(await ask('Login', { ...known, ...senders }), 'Login');
    expect(id).toMatch(guidPattern);
    for (const operation of ['SessionLog', 'GenerateAPIKey', 'UserGetAPIKey', 'UserReset']) {
      expectFault(await ask(operation, { SessionID: id, UserID: text }), 'F6', { item: 'UserID' });
    }
    expectFault(await ask('SessionLog', { SessionID: id, UserID: 0, MaxRecords: text }), 'F6', { item: 'MaxRecords' });
    const passwords = { OldPassword: `${text}?`, NewPassword: 'a quiet harbour at dawn' };
    expectFault(await ask('ChangePassword', { SessionID: id, ...passwords }), 'F8', { item: 'OldPassword' });
  });
});

test('J26 a token of another door is no SessionID', async () => {
  const answer = await fetch(`${ground.server.url}/v2/auth/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ login: demoUsers.john.login, password: demoUsers.john.password }),
  });
  const { data } = (await answer.json()) as { data: { token: string } };
  for (const version of versions) {
    const body = envelope(operationXml('SessionInfo', { SessionID: data.token }), version);
    expectFault(await attack(ground, body, { version }), 'F1');
  }
});
