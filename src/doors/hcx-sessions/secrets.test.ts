import { describe, expect, test } from 'bun:test';
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
import { startCluster } from '../../../tests/support/postgres.ts';
import {
  dumpRows,
  findIn,
  pieceLength,
  readClusterFiles,
  readRemains,
  spellings,
} from '../../../tests/support/remains.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { breakStore } from '../../../tests/support/store-trouble.ts';
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

/** As spelt anywhere: a token also without its colons, and as the bytes that it prints. */
function spellingsOf(secret: string): string[] {
  const hex = secret.replaceAll(':', '');
  const forms = tokenShape.test(secret) ? [secret, hex, Buffer.from(hex, 'hex')] : [secret];
  return forms.flatMap((form) => spellings(Buffer.from(form)));
}

const rounds = 20;

/** Everything that a user of this door shows or types, and what a careless client puts where it does not belong. @returns it all */
async function spendSecrets(server: TestServer): Promise<string[]> {
  const secrets: string[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const who = { login: `keeper-${round}`, password: `${crypto.randomUUID()} Pond` };
    const wrong = { ...who, password: `${crypto.randomUUID()} wrong` };
    await addUser(server, who);
    const tokens = [await signIn(server, who), await signIn(server, who, hybridityPath)];
    for (const token of tokens) expect((await getSession(server, byToken(token))).status).toBe(200);
    expect((await getSession(server, basic(who))).status).toBe(200);
    await getSession(server, basic(wrong));
    await postLogin(server.httpsUrl, wrong);
    await getSession(server, { authorization: `Bearer ${tokens[0]}`, 'user-agent': 'plain' });
    await hcx(server.httpsUrl, 'GET', `/api/admin/v1/sessions?token=${tokens[0]}`);
    await endSession(server, byToken(tokens[0] ?? ''));
    await failWith(server, tokens[1] ?? '', who);
    const basics = [who, wrong].map((one) => basic(one).authorization.slice('Basic '.length));
    secrets.push(...tokens, who.password, wrong.password, ...basics);
  }
  return secrets;
}

/** Requests that end in a log line. */
async function failWith(server: TestServer, token: string, who: Parameters<typeof basic>[0]): Promise<void> {
  const trouble = breakStore(server);
  try {
    const headers = { ...byToken(token), ...basic(who) };
    for (const answer of [await getSession(server, headers), await postLogin(server.httpsUrl, who)]) {
      expect(answer.status).toBe(503);
    }
  } finally {
    trouble.mend();
  }
}

/** Fails the test unless the search finds what is there, the users' names, and none of the secrets. */
function expectNone(remains: string, secrets: readonly string[]): void {
  const names = Array.from({ length: rounds }, (_, round) => `keeper-${round}@users.example.com`);
  expect(findIn(remains, names)).toHaveLength(rounds);
  expect(secrets).toHaveLength(6 * rounds);
  const texts = secrets.flatMap(spellingsOf);
  for (const text of texts) expect(text.length).toBeGreaterThanOrEqual(pieceLength);
  expect(findIn(remains, texts)).toEqual([]);
}

/** What the server tells whoever watches it. Fails the test unless it has counted the run. */
async function readMetrics({ metricsUrl }: TestServer): Promise<string> {
  const text = await (await fetch(`${metricsUrl}/metrics`)).text();
  expect(text).toContain('hcx-sessions');
  return text;
}

const watched = { ...patient, CARDEA_METRICS_LISTEN: '127.0.0.1:0' };

describe('[28] a run leaves no token, password or Basic value in any encoding, letter case or with other colons', () => {
  test('on SQLite: not in the database, its log, a log line or a metric', async () => {
    const server = await startTestServer({ settings: watched });
    try {
      const secrets = await spendSecrets(server);
      expect(server.log.length).toBeGreaterThanOrEqual(2 * rounds);
      expectNone(readRemains(server), secrets);
      expect(findIn(await readMetrics(server), secrets.flatMap(spellingsOf))).toEqual([]);
    } finally {
      await server.close();
    }
  }, 60_000);

  test('on PostgreSQL: not in a row, a file of the database server, or a log line', async () => {
    const cluster = await startCluster();
    const settings = { ...patient, CARDEA_DATABASE_URL: await cluster.createDatabase('kept') };
    const server = await startTestServer({ settings });
    try {
      const secrets = await spendSecrets(server);
      expectNone(await dumpRows(server), secrets);
      expectNone(await readClusterFiles(server), secrets);
      expect(server.log.length).toBeGreaterThanOrEqual(2 * rounds);
      expect(findIn(readRemains(server), secrets.flatMap(spellingsOf))).toEqual([]);
    } finally {
      await server.close();
      await cluster.stop();
    }
  }, 120_000);
});
