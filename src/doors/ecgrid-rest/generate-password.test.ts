import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { apiKey, expectRefusal, messages, rest } from '../../../tests/support/ecgrid.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { demoKey } from '../../cli/demo-data.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

describe('6.7 POST /v2/users/generate-password', () => {
  const generate = (call: { body?: unknown }) =>
    rest(server, 'POST', '/v2/users/generate-password', { headers: apiKey(demoKey), ...call });

  test('12 characters unless told, up to 128, always of all four classes, never the same', async () => {
    const asked: [{ body?: unknown }, number][] = [
      [{}, 12],
      [{ body: {} }, 12],
      [{ body: { length: 12 } }, 12],
      [{ body: { length: 128 } }, 128],
    ];
    const seen = new Set<string>();
    for (const [call, length] of asked) {
      for (let round = 0; round < 20; round += 1) {
        const made = (await generate(call)).body.data as string;
        expect(made).toHaveLength(length);
        for (const kind of [/[a-z]/, /[A-Z]/, /[0-9]/, /[^a-zA-Z0-9]/]) expect(made).toMatch(kind);
        seen.add(made);
      }
    }
    expect(seen.size).toBe(80);
  });

  test.each([11, 129, 0, -1, 12.5, '12', null, 1e308])('length %j: 400', async (length) => {
    expectRefusal(await generate({ body: { length } }), 400, 'InvalidParameter', /^length [^\r\n]+\.$/);
  });

  test('without a credential: 401', async () => {
    const answer = await rest(server, 'POST', '/v2/users/generate-password');
    expectRefusal(answer, 401, 'InvalidSession', messages.E1);
  });
});

describe('with password.minLength 20', () => {
  test('a made password is never below the policy', async () => {
    const own = await startTestServer({ settings: { CARDEA_PASSWORD_MIN_LENGTH: '20' } });
    try {
      const generate = (body: unknown) =>
        rest(own, 'POST', '/v2/users/generate-password', { headers: apiKey(demoKey), body });
      expect((await generate({})).body.data).toHaveLength(20);
      expect((await generate({ length: 20 })).body.data).toHaveLength(20);
      expectRefusal(await generate({ length: 19 }), 400, 'InvalidParameter', /^length /);
    } finally {
      await own.close();
    }
  });
});
