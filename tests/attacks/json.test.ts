import { describe, expect, test } from 'bun:test';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { lastBody, sendRaw, statuses } from '../../src/http/raw-client.ts';
import { expectNothingInside, underAttack, useAttackGround } from '../support/attack.ts';
import { malformedJson, mistypedJson } from '../support/bad-json.ts';
import { type Face, type FaultName, faces } from '../support/door-faces.ts';
import { bytesOf, comparable, type Sent } from '../support/face-exchange.ts';
import { naughtyStrings } from '../support/naughty-strings.ts';

const jsonFaces = faces.filter(({ kind }) => kind !== 'SessionID');
const isAppliance = ({ kind }: Face) => kind === 'appliance token' || kind === 'web port token';
/** What each door calls the members of its login. */
const membersOf = ({ kind }: Face): readonly [string, string] =>
  kind === 'REST token'
    ? ['login', 'password']
    : kind === 'web token'
      ? ['email', 'password']
      : ['username', 'password'];

const ground = useAttackGround();

async function send(sent: Sent): Promise<string> {
  const received = await sendRaw(ground.port, bytesOf(sent));
  expectNothingInside(received);
  return received;
}

/** Fails the test unless the login at this door answers the whole of one fault, whatever of these is sent. */
async function expectFault(face: Face, fault: FaultName, all: readonly Sent[]): Promise<void> {
  for (const sent of all) {
    const received = await underAttack(ground, () => send(sent), 1);
    expect(comparable(received)).toEqual(face.answers[fault]);
  }
}

const loginLine = (face: Face) => `POST ${face.path} HTTP/1.1`;
const headerLines = (headers: Readonly<Record<string, string>>) =>
  Object.entries(headers).map(([name, value]) => `${name}: ${value}`);

describe.each(jsonFaces.map((face) => [face.name, face] as const))('attacks B at the login of %s', (_, face) => {
  const [name, password] = membersOf(face);

  test.each(Object.entries(malformedJson))('%s: B400', (_what, bodies) =>
    expectFault(
      face,
      'body that is no document',
      bodies.map((body) => ({ lines: face.post('').lines, body })),
    ),
  );

  const wronglyTyped = mistypedJson.filter(
    ([what]) => !isAppliance(face) || /utf|latin|gzip|deflate|br|zstd/.test(what),
  );
  test.each(wronglyTyped)('B07 B09 B12 B13 %s: T415, and nothing is unpacked', (_what, headers) =>
    expectFault(
      face,
      'wrong media type',
      ['{"x":0}', gzipSync('{"x":0}')].map((body) => ({ lines: [loginLine(face), ...headerLines(headers)], body })),
    ),
  );

  test('B07 B13 two charsets, in one header or in two: T415, whichever comes first', () =>
    expectFault(
      face,
      'wrong media type',
      [['utf-8; charset=utf-7'], ['utf-7; charset=utf-8'], ['utf-8', 'utf-16'], ['utf-16', 'utf-8']].map(
        (charsets) => ({
          lines: [loginLine(face), ...charsets.map((charset) => `Content-Type: application/json; charset=${charset}`)],
          body: '{"x":0}',
        }),
      ),
    ));

  if (isAppliance(face)) {
    test('L15 B13 a form, XML, multipart and text are T415 where the body is no JSON; JSON counts whatever its type', async () => {
      const types = ['application/x-www-form-urlencoded', 'text/xml', 'multipart/form-data; boundary=x', 'text/plain'];
      const typed = (type: string, body: string) => ({ lines: [loginLine(face), `Content-Type: ${type}`], body });
      const bodies = ['username=a&password=b', '<a/>', '--x\r\n\r\n{}\r\n--x--', '[{}]'];
      await expectFault(
        face,
        'wrong media type',
        types.flatMap((type) => bodies.map((body) => typed(type, body))),
      );
      for (const type of [...types, 'application/json, application/json']) {
        expect(statuses(await send(typed(type, '{"username":7}')))).toEqual([400]);
      }
    });
  }

  test('B08 10 MB, declared or in chunks: L413, and the connection closes', async () => {
    const large = 'x'.repeat(10_000_000);
    const chunked = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`;
    const lines = face.post('').lines;
    await expectFault(face, 'body of 1 MB', [
      { lines, body: large },
      { lines: [...lines, 'Transfer-Encoding: chunked'], body: chunked },
    ]);
  });

  test('L02 B03 B05 B06 B15 B17 odd but well-formed members: what is not asked for is ignored, what is asked for is judged', async () => {
    const pair = `"${name}":"nobody-at-all","${password}":"nothing"`;
    const ignored = [
      `{${pair}}`,
      `{"toString":1,"hasOwnProperty":2,"valueOf":{"then":3},${pair}}`,
      `{"${'k'.repeat(15_000)}":1,${pair}}`,
      `{${Array.from({ length: 1_500 }, (_each, key) => `"${key}":0`).join(',')},${pair}}`,
      `{"x":${'9'.repeat(15_000)},"y":1e400,"z":-0,"w":1.5,"v":9007199254740993,${pair}}`,
      `{"x":"\\ud800\\u0000",${pair}}`,
    ];
    for (const body of ignored) {
      expect(statuses(await underAttack(ground, () => send(face.post(body))))).toEqual([401]);
    }
    for (const value of ['null', '7', 'true', '[]', '{"$ne":null}', '"\\ud800"', '""', '-0', '1e400']) {
      for (const text of [`{"${name}":${value},"${password}":"x"}`, `{"${name}":"x","${password}":${value}}`]) {
        const status = statuses(await send(face.post(text)))[0];
        // The dossiers bound the password; a name that nobody can have may also be a wrong login.
        expect(value === '"\\ud800"' ? [400, 401] : [400]).toContain(status ?? 0);
      }
    }
  });

  test('B14 B17 each naughty string in each member: B400 or C401, nowhere repeated', async () => {
    for (const text of naughtyStrings) {
      for (const member of [name, password]) {
        const body = JSON.stringify({ [name]: crypto.randomUUID(), [password]: 'x', [member]: text });
        const received = await send(face.post(body));
        expect([400, 401, 429]).toContain(statuses(received)[0] ?? 0);
        const said = lastBody(received);
        if (text.length > 8 && /[^\w ]/.test(text)) expect(said).not.toContain(text);
      }
    }
    for (const line of ground.server.log) expect(line.length).toBeLessThanOrEqual(2048);
  });

  test('B18 generated JSON values and byte strings: no 5xx', async () => {
    const values = fc.sample(fc.jsonValue({ maxDepth: 5 }), { numRuns: 150, seed: 3 });
    const bytes = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 200 }), { numRuns: 150, seed: 4 });
    const bodies = [
      ...values.flatMap((value) => [JSON.stringify(value), `{"${name}":${JSON.stringify(value)},"${password}":"x"}`]),
      ...bytes,
    ];
    for (const body of bodies) {
      const received = await send({ lines: face.post('').lines, body });
      expect([400, 401, 413, 415]).toContain(statuses(received)[0] ?? 0);
    }
  });
});

describe('attacks B10: bodies that nobody reads', () => {
  const logouts: readonly (readonly [string, string, Face])[] = [
    ['REST logout', 'POST /v2/auth/logout HTTP/1.1', faces[0] as Face],
    ['REST session', 'POST /v2/auth/session HTTP/1.1', faces[0] as Face],
    ['REST GET', 'GET /v2/users/me HTTP/1.1', faces[0] as Face],
    ['web GET', 'GET /auth/session HTTP/1.1', faces[1] as Face],
    ['web logout', 'POST /auth/logout HTTP/1.1', faces[1] as Face],
    ['appliance GET', 'GET /api/admin/v1/sessions HTTP/1.1', faces[3] as Face],
    ['appliance DELETE', 'DELETE /api/admin/v1/sessions HTTP/1.1', faces[3] as Face],
  ];
  test.each(logouts)('B10 %s: ignored up to the cap, whatever it is; L413 beyond it', async (_, line, face) => {
    const bad = `Authorization: Bearer ${'A'.repeat(40)}`;
    for (const body of ['{"a":', '\0\xff', 'x'.repeat(16_384)]) {
      const received = await underAttack(ground, () => send({ lines: [line, bad], body: Buffer.from(body, 'latin1') }));
      expect(statuses(received)).toEqual([401]);
    }
    const large = await underAttack(ground, () => send({ lines: [line, bad], body: 'x'.repeat(17_000) }));
    expect(comparable(large)).toEqual(face.answers['body of 1 MB']);
  });
});
