import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { postLogin, session, web } from '../../../tests/support/user-session.ts';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';

const { john } = demoUsers;

/** A choice of texts that programs stumble over: reserved words, numbers that are none, other scripts, markup, formats. */
const naughty = [
  'undefined',
  'null',
  'NIL',
  'true',
  'hasOwnProperty',
  '__proto__',
  '-1.00',
  '0x0',
  '1e309',
  '１２３',
  'Ω≈ç√∫˜µ≤',
  '田中さんにあげて下さい',
  '(╯°□°）╯︵ ┻━┻',
  '👩‍👩‍👧‍👦',
  '🇺🇸🇷🇺',
  'بسم الله',
  '\u200f\u202etest\u202c',
  '\u2028\u2029',
  'Z\u0351\u036b\u0343a\u030al\u0300g\u0316o\u0321',
  '\ufdfa'.repeat(50),
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '../../../../etc/passwd%00',
  '$HOME',
  '`touch x`',
  '%s%n%p%d',
  '=1+1',
  "{{ ''.__class__ }}",
  '${jndi:ldap://x/a}',
  'http://a/%%30%30',
  '\\\\host\\share',
  'CON',
];

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    settings: {
      CARDEA_THROTTLE_FREE_TRIES: '100',
      CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '1000000',
      CARDEA_THROTTLE_ADDRESS_PER_HOUR: '1000000',
    },
  });
});
afterAll(() => server.close());

/** What noise may be told; the client judges the shape of every answer besides. */
const refusals = [400, 401, 413];

describe('noise at the login', () => {
  test.each(naughty)('B14: %p in each member is refused and never echoed', async (text) => {
    const bodies = [
      { email: text, password: john.password },
      { email: 'nobody', password: text },
      { apiKey: text, apiSecret: demoKey },
      { apiKey: 'apiKey-4821', apiSecret: text },
    ];
    for (const body of bodies) expect(refusals).toContain((await postLogin(server, body)).status);
    // Short ones are words of the log itself.
    if (text.length > 9) expect(server.log.join('\n')).not.toContain(JSON.stringify(text).slice(1, -1));
  });

  test('B18: whatever JSON value comes in, as body or as a member, it is refused in shape', async () => {
    const member = fc.constantFrom('email', 'password', 'apiKey', 'apiSecret', 'cookie', 'x');
    const body = fc.oneof(fc.jsonValue(), fc.dictionary(member, fc.jsonValue()), fc.dictionary(member, fc.string()));
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        expect(refusals).toContain((await postLogin(server, value)).status);
      }),
      { numRuns: 200 },
    );
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  test('B18: whatever bytes come in, they are refused in shape', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
        const headers = { 'Content-Type': 'application/json' };
        expect(refusals).toContain((await web(server, 'POST', '/auth/login', { rawBody: bytes, headers })).status);
      }),
      { numRuns: 200 },
    );
  });

  test('J20: whatever stands behind Bearer, it signs nobody in', async () => {
    const visible = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.=+/~!{}"'), maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(visible, async (text) => {
        expect((await session(server, { Authorization: `Bearer ${text}` })).status).toBe(401);
      }),
      { numRuns: 200 },
    );
  });
});
