import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { engines, startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { call, guidPattern, resultOf, sessionInfo, soapLogin } from '../../../tests/support/soap.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import { newGuid, newSecret } from '../../core/tokens.ts';

/** A tenth of the contract's million, with the tolerance that belongs to it. */
const drawn = 100_000;
const tolerance = 0.0025 * Math.sqrt(10);

test.each([
  ['SessionIDs', () => newSecret('session_guid')],
  ['API keys', () => newGuid().toUpperCase()],
])('[21] SES-01: of many %s each of the 128 bits is set in half, and none comes twice', (_, draw) => {
  const counts = new Uint32Array(128);
  const seen = new Set<string>();
  for (let index = 0; index < drawn; index += 1) {
    const id = draw();
    if (index < 100) expect(id).toMatch(guidPattern);
    seen.add(id);
    countBits(Buffer.from(id.replaceAll('-', ''), 'hex'), counts);
  }
  expect(seen.size).toBe(drawn);
  const shares = [...counts].map((count) => count / drawn);
  expect(Math.min(...shares)).toBeGreaterThan(0.5 - tolerance);
  expect(Math.max(...shares)).toBeLessThan(0.5 + tolerance);
});

function countBits(bytes: Buffer, counts: Uint32Array): void {
  for (let bit = 0; bit < 128; bit += 1) {
    counts[bit] = (counts[bit] ?? 0) + (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1);
  }
}

describe.each(engines.map((engine) => [engine]))(
  '[21] SES-02: what %s and the logs keep of SessionIDs and keys',
  (engine) => {
    const secrets: string[] = [];
    let server: TestServer;
    beforeAll(async () => {
      server = await startTestServer({ engine });
      for (let index = 0; index < 100; index += 1) {
        const login = `kept-${index}`;
        await addUser(server, { login });
        const sessionId = await soapLogin(server, { login, password: testPassword });
        const key = resultOf(await call(server, 'GenerateAPIKey', { SessionID: sessionId }), 'GenerateAPIKey');
        await sessionInfo(server, sessionId);
        await call(server, 'WhoAmI', { SessionID: key }, { path: `/v4.1/prod/ECGridOS.asmx?SessionID=${key}` });
        if (index % 2 === 0) await call(server, 'Logout', { SessionID: sessionId });
        secrets.push(sessionId, key);
      }
    }, 60_000);
    afterAll(() => server.close());

    test('is none of them in any spelling', async () => {
      const dump = Buffer.concat([await dumpStore(server), Buffer.from(server.log.join('\n'), 'latin1')]);
      // The dump does hold what the users are called: it is no dump of nothing.
      expect(dump.includes('kept-99')).toBe(true);
      const found = secrets.filter((secret) => spellings(secret).some((spelling) => dump.includes(spelling)));
      expect(found).toEqual([]);
    });
  },
);

/** Raw bytes, hex, base64 and text, in either case. */
function spellings(secret: string): Buffer[] {
  const hex = secret.replaceAll('-', '');
  const bytes = Buffer.from(hex, 'hex');
  const texts = [secret, hex].flatMap((text) => [text.toUpperCase(), text.toLowerCase()]);
  const encoded = [bytes.toString('base64url'), bytes.toString('base64').replace(/=+$/, '')];
  const wrapped = texts.map((text) => Buffer.from(text).toString('base64').slice(0, -4));
  return [bytes, ...[...texts, ...encoded, ...wrapped].map((text) => Buffer.from(text))];
}

/** The files with their write-ahead log, or every row of every table. */
async function dumpStore({ core, directory }: TestServer): Promise<Buffer> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const contents = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
  if (core.store.engine === 'sqlite') return Buffer.concat(contents);
  const { db } = core.store;
  const listTables = sql<{
    name: string;
  }>`select table_name as name from information_schema.tables where table_schema = current_schema()`;
  for (const { name } of (await listTables.execute(db)).rows) {
    const { rows } = await sql`select * from ${sql.table(name)}`.execute(db);
    contents.push(Buffer.from(JSON.stringify(rows)));
  }
  return Buffer.concat(contents);
}
