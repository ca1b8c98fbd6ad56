import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  basic,
  byToken,
  endSession,
  getSession,
  hcx,
  hybridityPath,
  patient,
  postLogin,
  signIn,
  tokenShape,
} from '../../../tests/support/hcx.ts';
import { startTestServer } from '../../../tests/support/server.ts';
import { addUser } from '../../../tests/support/users.ts';
import { newSecret } from '../../core/tokens.ts';

test('[2] 100,000 tokens: all of the form, none twice, and each of the 128 bits set in 49 to 51 %', () => {
  const count = 100_000;
  const seen = new Set<string>();
  const set = new Uint32Array(128);
  for (let made = 0; made < count; made += 1) {
    const token = newSecret('appliance_token');
    if (!tokenShape.test(token)) throw new Error(`${token} is not of the form`);
    seen.add(token);
    const bytes = Buffer.from(token.replaceAll(':', ''), 'hex');
    for (let bit = 0; bit < 128; bit += 1) {
      if (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1) set[bit] = (set[bit] ?? 0) + 1;
    }
  }
  expect(seen.size).toBe(count);
  // Six standard deviations, so that chance alone never fails it.
  expect(Math.min(...set)).toBeGreaterThan(0.49 * count);
  expect(Math.max(...set)).toBeLessThan(0.51 * count);
});

/** The texts under which a secret could lie somewhere, in lower case. */
function spellings(text: string): string[] {
  const raw = tokenShape.test(text) ? [Buffer.from(text.replaceAll(':', ''), 'hex')] : [];
  return [Buffer.from(text), ...raw].flatMap((bytes) => {
    const base64 = bytes.toString('base64').replace(/.?=*$/, '');
    const wrapped = base64.replaceAll('+', '-').replaceAll('/', '_');
    return [bytes.toString('latin1'), bytes.toString('hex'), base64, wrapped].map((spelling) => spelling.toLowerCase());
  });
}

test('[28] database and log of a run hold no token, password or Basic value, in any encoding', async () => {
  const server = await startTestServer({ settings: patient });
  try {
    const secrets: string[] = [];
    for (let round = 0; round < 20; round += 1) {
      const who = { login: `keeper-${round}`, password: `${crypto.randomUUID()} Pond` };
      const wrong = { ...who, password: `${crypto.randomUUID()} wrong` };
      await addUser(server, who);
      const tokens = [await signIn(server, who), await signIn(server, who, hybridityPath)];
      for (const token of tokens) expect((await getSession(server, byToken(token))).status).toBe(200);
      expect((await getSession(server, basic(who))).status).toBe(200);
      await getSession(server, basic(wrong));
      await postLogin(server.httpsUrl, wrong);
      // Where they do not belong.
      await getSession(server, { authorization: `Bearer ${tokens[0]}`, 'user-agent': 'plain' });
      await hcx(server.httpsUrl, 'GET', `/api/admin/v1/sessions?token=${tokens[0]}`);
      await endSession(server, byToken(tokens[0] ?? ''));
      secrets.push(...tokens, who.password, wrong.password, basic(who).authorization.slice(6));
    }
    const files = readdirSync(server.directory).filter((name) => !/^(signing-keys\.json|tls-key\.pem)$/.test(name));
    expect(files).toContain('cardea.db');
    const contents = files.map((name) => readFileSync(join(server.directory, name)).toString('latin1'));
    const remains = [...contents, ...server.log].join('\n').toLowerCase();
    expect(remains).toContain('keeper-19@users.example.com');
    expect(secrets).toHaveLength(100);
    for (const secret of secrets) {
      for (const spelling of spellings(secret)) {
        expect(spelling.length).toBeGreaterThan(12);
        expect(remains.includes(spelling)).toBe(false);
      }
    }
  } finally {
    await server.close();
  }
});
