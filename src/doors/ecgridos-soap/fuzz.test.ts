import { afterAll, beforeAll, expect, test } from 'bun:test';
import { array, assert, asyncProperty, constantFrom, integer, oneof, record, string, uint8Array } from 'fast-check';
import { demoUsers } from '../../cli/demo-data.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  endpoint,
  envelope,
  operationXml,
  post,
  send,
  sessionInfo,
  soapLogin,
  versions,
} from '../../../tests/support/soap.ts';

const unlimited = { CARDEA_LIMITS_CHECKS_PER_SECOND: '1000000', CARDEA_LIMITS_REFUSED_PER_SECOND: '1000000' };

let server: TestServer;
let id: string;
beforeAll(async () => {
  server = await startTestServer({ settings: unlimited });
  id = await soapLogin(server, demoUsers.soap);
});
afterAll(() => server.close());

const operation = constantFrom('SessionInfo', 'WhoAmI', 'SessionLog', 'Version', 'UserGetAPIKey', 'Unknown');
const text = string({ unit: 'binary', maxLength: 20 });
const pieces = constantFrom(
  '<',
  '>',
  '&',
  '"',
  ']]>',
  '<!--',
  '<![CDATA[',
  '<?x',
  '<!DOCTYPE a>',
  '&#0;',
  '\u0000',
  '</soap:Body>',
  'xmlns=""',
  '\ufffe',
  '',
  '<a>',
  '1',
);
const version = constantFrom(...versions);

/** A cut at `from` per mille of a document, `length` characters of it replaced. */
const edits = array(
  record({ from: integer({ min: 0, max: 999 }), length: integer({ min: 0, max: 12 }), piece: oneof(pieces, text) }),
  { minLength: 1, maxLength: 4 },
);

type Edit = { readonly from: number; readonly length: number; readonly piece: string };

function edit(document: string, { from, length, piece }: Edit): string {
  const at = Math.floor((document.length * from) / 1_000);
  return document.slice(0, at) + piece + document.slice(at + length);
}

/** `post` itself judges every answer: an envelope of its version or a line of text, in the contract's status codes. */
async function expectContract(body: string | Uint8Array, one: (typeof versions)[number]): Promise<void> {
  const answer = await post(server, body, { version: one });
  expect(answer.text).not.toMatch(/<faultstring>Internal error|soap:Text xml:lang="en">Internal error/);
}

test('B18 800 byte strings end in an answer of the contract', async () => {
  await assert(asyncProperty(uint8Array({ maxLength: 400 }), version, expectContract), { numRuns: 800 });
}, 30_000);

test('B18 800 envelopes with pieces cut out and put in end in an answer of the contract', async () => {
  await assert(
    asyncProperty(operation, edits, version, async (name, changes, one) => {
      const sound = envelope(operationXml(name, { SessionID: id, UserID: 0, MaxRecords: 1 }), one);
      await expectContract(changes.reduce(edit, sound), one);
    }),
    { numRuns: 800 },
  );
}, 30_000);

test('X39 200 envelopes with any text as each parameter end in an answer of the contract', async () => {
  await assert(
    asyncProperty(text, text, version, async (first, second, one) => {
      const parameters = { SessionID: first, UserID: second, MaxRecords: first, OldPassword: second };
      await expectContract(envelope(operationXml('SessionLog', parameters), one), one);
      await expectContract(envelope(operationXml('Logout', { SessionID: second }), one), one);
    }),
    { numRuns: 100 },
  );
}, 30_000);

test('B18 200 forms of any text end in a result or one line of text', async () => {
  const head = (length: number) => [
    `POST ${endpoint}/SessionInfo HTTP/1.1`,
    'Content-Type: application/x-www-form-urlencoded',
    `Content-Length: ${length}`,
  ];
  await assert(
    asyncProperty(oneof(text, pieces), text, async (name, value) => {
      const body = Buffer.from(`${name}=${value}&SessionID=${value}`);
      const answer = await send(server, head(body.length), body);
      expect(answer.status).toBe(500);
      expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
      expect(answer.text).toMatch(/^(Invalid SessionID|Invalid parameter): ?[^\r\n<>]+\n?$/);
    }),
    { numRuns: 200 },
  );
}, 30_000);

test('B18 after all of it the healthy session is what it was, and nothing unforeseen is in the log', async () => {
  expect(await sessionInfo(server, id)).toMatchObject({ SessionID: id, UserID: '12345' });
  expect(server.log.filter((line) => line.includes('request.failed'))).toEqual([]);
});
