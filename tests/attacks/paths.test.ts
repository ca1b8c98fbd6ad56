import { describe, expect, test } from 'bun:test';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { sendRaw, statuses } from '../../src/http/raw-client.ts';
import { expectNothingInside, underAttack, useAttackGround } from '../support/attack.ts';
import { type Face, faces } from '../support/door-faces.ts';
import { bytesOf, comparable } from '../support/face-exchange.ts';
import { allDoors, open } from '../support/four-doors.ts';
import { startTestServer } from '../support/server.ts';
import { readAnswer } from '../support/user-session.ts';

const { john } = demoUsers;
const ground = useAttackGround();
const each = faces.map((face) => [face.name, face] as const);

const send = (target: string, method = 'GET', lines: readonly string[] = []) =>
  underAttack(ground, () => sendRaw(ground.port, bytesOf({ lines: [`${method} ${target} HTTP/1.1`, ...lines] })));
const bodyOf = (received: string) =>
  readAnswer(received)
    .text.replace(/"time":\d+/, '"time":0')
    .replace(/\d{13}/, '0');

/** What a path that nobody has may be told, whichever door owns its prefix. */
const unknownTexts = [...faces.map(({ answers }) => answers['unknown path'].text), '{"status":"not_found"}'];

/** The sibling of a path by letter case; SOAP alone reads paths in any case. */
const swapped = (path: string) =>
  path.replace(/[a-z]/i, (letter) => (letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()));

function otherSpellings({ path, kind }: Face): string[] {
  const last = path.lastIndexOf('/');
  const escaped = `${path.slice(0, last)}%2f${path.slice(last + 1)}`;
  return [
    `/${path}`,
    path
      .replace('/', '//')
      .replace('//', '/')
      .replace(/\/(?=[^/]*$)/, '//'),
    escaped,
    escaped.replace('%2f', '%5c'),
    `${path};x=y`,
    `${path}%00`,
    `${path}%20`,
    `${path}%c0%af`,
    `${path}%ff`,
    `${path}.json`,
    `${path}/x.css`,
    `${path};x.css`,
    `${path}%3fx.css`,
    `/api/api${path}`,
    `/x${path}`,
    ...(kind === 'web token' ? [`${path}//`] : [`${path}/`]),
    ...(kind === 'SessionID' ? [] : [swapped(path)]),
  ];
}

describe.each(each)('attacks H and S at %s: paths', (_, face) => {
  test('H11 S20 another spelling of the path is another path: N404, with and without a credential', async () => {
    const credential = await open(ground.server, john, face.kind);
    for (const path of otherSpellings(face)) {
      for (const lines of [[], face.credentialLines(credential)]) {
        for (const method of ['GET', 'POST']) {
          const received = await send(path, method, lines);
          expect({ path, method, status: statuses(received)[0] }).toEqual({ path, method, status: 404 });
          expect(unknownTexts).toContain(bodyOf(received));
          expect(received.toLowerCase()).toContain('\r\ncache-control: no-store\r\n');
        }
      }
    }
  });

  test('H11 what the runtime folds is N404 or exactly the folded path; query and fragment do not count', async () => {
    const { path } = face;
    const folded = [
      `/x/..${path}`,
      `/.${path}`,
      `/x/%2e%2e${path}`,
      path.replace(/\/(?=[^/]*$)/, '\\'),
      `${path}?x.css`,
      `${path}#x`,
    ];
    for (const target of folded) {
      const received = await send(target, 'PATCH');
      if (statuses(received)[0] === 405) expect(comparable(received)).toEqual(face.answers['wrong method']);
      else expect({ target, status: statuses(received)[0] ?? 400 }).toMatchObject({ status: expect.any(Number) });
      expect([400, 404, 405]).toContain(statuses(received)[0] ?? 400);
      expectNothingInside(received);
    }
  });

  test('H10 an absolute target with a foreign authority is judged by its path alone, and nowhere repeated', async () => {
    for (const origin of ['http://evil.example.com', 'https://evil.example.com:1', 'http://u:p@evil.example.com']) {
      const received = await send(`${origin}${face.path}`, 'PATCH');
      expect([400, 405]).toContain(statuses(received)[0] ?? 400);
      expect(received).not.toContain('evil');
    }
  });

  test('S19 HEAD and OPTIONS show no data, and OPTIONS asks for no credential', async () => {
    const credential = await open(ground.server, john, face.kind);
    for (const method of ['HEAD', 'OPTIONS']) {
      const received = await send(face.path, method, face.credentialLines(credential));
      expect([200, 204, 405]).toContain(statuses(received)[0] ?? 0);
      // A HEAD of an operation that GET has, too: its headers, and nothing behind them.
      if (method === 'HEAD') expect(received.slice(received.indexOf('\r\n\r\n') + 4)).toBe('');
      expect(received).not.toMatch(/4821|jsmith/);
    }
  });
});

describe('attacks H24: what a server often has lying about', () => {
  const targets = [
    '/.git/config',
    '/.env',
    '/package.json',
    '/package-lock.json',
    '/src/main.ts',
    '/metrics/',
    '/metrics?x/../../etc/passwd',
    '/cardea.db',
    '/signing-keys.json',
    '/server-status',
    '/actuator/env',
    '/debug/pprof',
    '/wp-login.php',
    '/admin/../.env',
    '/console/..%2f..%2fpackage.json',
    '/console/../../package.json',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/..\\..\\etc\\passwd',
    '/favicon.ico',
    '/robots.txt',
    '/',
    '/healthz/x',
    '/readyz.json',
    '/v2',
    '/auth',
    '/api',
  ];
  test.each(targets)('H24 %s: N404 and no file', async (target) => {
    const received = await send(target);
    // `/metrics` itself may be there for whoever operates the server.
    expect(target.startsWith('/metrics') ? [200, 404] : [404]).toContain(statuses(received)[0] ?? 0);
    expectNothingInside(received);
    expect(received).not.toMatch(/\[core\]|"dependencies"|root:|BEGIN|"current":/);
  });

  test('H24 a query changes nothing for who operates the server', async () => {
    for (const path of ['/healthz', '/readyz']) {
      expect(bodyOf(await send(`${path}?x=/../../etc/passwd`))).toBe(bodyOf(await send(path)));
    }
  });
});

describe('attacks S18: origins of other sites', () => {
  const allowed = 'https://app.example.com';
  const origins = [
    'null',
    'https://evil.example.com',
    `${allowed}.evil.test`,
    'http://app.example.com',
    `${allowed}:8443`,
    'https://app.example.co',
    'https://xapp.example.com',
    'https://APP.example.com',
    `${allowed}/`,
    `${allowed}, https://evil.test`,
    'https://app.example.com%60',
    '*',
    '',
  ];
  test('S18 foreign, null, prefix and suffix, other scheme and port: no Access-Control-* at any door', async () => {
    const server = await startTestServer({ settings: { ...allDoors, CARDEA_CORS_ORIGINS: allowed } });
    const port = Number(new URL(server.url).port);
    try {
      for (const face of faces) {
        for (const method of ['POST', 'OPTIONS', 'GET']) {
          for (const origin of origins) {
            const lines = [
              `${method} ${face.path} HTTP/1.1`,
              `Origin: ${origin}`,
              'Access-Control-Request-Method: POST',
            ];
            const received = await sendRaw(port, bytesOf({ lines }));
            expect(received).toMatch(/^HTTP\/1\.1 /);
            expect(received).not.toMatch(/access-control-/i);
          }
        }
      }
    } finally {
      await server.close();
    }
  });
});
