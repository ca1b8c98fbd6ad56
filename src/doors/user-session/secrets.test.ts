import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dumpRows } from '../../../tests/support/remains.ts';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { bearer, logout, postLogin, session, signIn, web } from '../../../tests/support/user-session.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

const { john } = demoUsers;
const own = { 'Sec-Fetch-Site': 'same-origin' };
/** Holds the key that signs; nothing of a run is written to it. */
const keyFile = 'signing-keys.json';

/** Every spelling in which a careless line could keep a text. */
function spellings(secret: string): Buffer[] {
  const texts = [
    secret,
    secret.toLowerCase(),
    secret.toUpperCase(),
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    btoa(secret),
    Buffer.from(secret).toString('base64url'),
    Buffer.from(secret).toString('hex'),
    Buffer.from(secret).toString('hex').toUpperCase(),
    [...secret].reverse().join(''),
  ];
  return [...texts.map((text) => Buffer.from(text)), Buffer.from(secret, 'utf16le')];
}

/** The bytes behind a printed secret. */
function decoded(text: string, encoding: 'hex' | 'base64url'): Buffer[] {
  const bytes = Buffer.from(text, encoding);
  return [bytes, ...spellings(bytes.toString('hex')), ...spellings(bytes.toString('base64'))];
}

async function dump(server: TestServer): Promise<Buffer> {
  const files = readdirSync(server.directory).filter((name) => name !== keyFile);
  const parts: Buffer[] = files.map((name) => readFileSync(join(server.directory, name)));
  if (server.core.store.engine === 'postgres') parts.push(Buffer.from(await dumpRows(server)));
  return Buffer.concat([...parts, Buffer.from(server.log.join('\n'))]);
}

describe.each(engines.map((engine) => [engine]))('[24] what a run leaves behind on %s', (engine) => {
  test('database, write-ahead log and log lines hold no token, cookie, password or key in any spelling', async () => {
    const server = await startTestServer({ engine, settings: { CARDEA_USER_SESSION_COOKIE: 'true' } });
    try {
      const { token } = await signIn(server, john);
      const ended = (await signIn(server, john)).token;
      await logout(server, bearer(ended));
      const typo = 'My-0ther-Passw0rd?';
      await postLogin(server, { email: john.login, password: typo });
      await postLogin(server, { email: typo, password: john.password });
      const unknownKey = 'D00DFEED-1234-4321-ABCD-0123456789AB';
      await postLogin(server, { apiKey: 'apiKey-4821', apiSecret: demoKey });
      await postLogin(server, { apiKey: 'apiKey-4821', apiSecret: unknownKey });
      await postLogin(server, { apiKey: unknownKey, apiSecret: 'x' });
      const login = await postLogin(server, { email: john.login, password: john.password, cookie: true }, own);
      const cookie = /^__Host-cardea=([^;]+)/.exec(login.headers.get('set-cookie') ?? '')?.[1] ?? '';
      expect(cookie).toHaveLength(43);
      await session(server, { Cookie: `__Host-cardea=${cookie}` });
      await session(server, bearer(`${token}x`));
      await session(server, bearer(demoKey));
      const query = `token=${token}&password=${encodeURIComponent(john.password)}&key=${demoKey}`;
      await web(server, 'GET', `/auth/session?${query}`);
      await web(server, 'GET', `/auth/nothing?${query}`, { headers: { Referer: `https://x.test/?${query}` } });
      await web(server, 'POST', '/auth/login', {
        rawBody: `{"password":"${john.password}"`,
        headers: { 'Content-Type': 'application/json' },
      });

      const left = await dump(server);
      // The search can find what is there: the user's address, and the digest's neighbour, the agent of the login.
      expect(left.includes(john.login)).toBe(true);
      expect(left.includes('Bun/')).toBe(true);
      const signature = (jwt: string) => jwt.slice(jwt.lastIndexOf('.') + 1);
      const payload = (jwt: string) => jwt.split('.')[1] ?? '';
      const secrets = [token, ended, signature(token), signature(ended), payload(token), cookie];
      const needles = [
        ...[...secrets, john.password, typo, demoKey, unknownKey].flatMap(spellings),
        ...decoded(cookie, 'base64url'),
        ...decoded(signature(token), 'base64url'),
        ...[demoKey, unknownKey].flatMap((key) => decoded(key.replaceAll('-', ''), 'hex')),
      ];
      expect(needles.filter((needle) => left.includes(needle)).map(String)).toEqual([]);
    } finally {
      await server.close();
    }
  }, 30_000);
});
