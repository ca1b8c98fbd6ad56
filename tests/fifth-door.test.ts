import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoUsers } from '../src/cli/demo-data.ts';
import * as rest from './support/ecgrid.ts';
import { allDoors, appliance, expectEverywhere, kinds, open } from './support/four-doors.ts';
import { importsOf, root, sourceFiles, violations } from './support/import-rules.ts';
import { startTestServer, type TestServer } from './support/server.ts';
import * as web from './support/user-session.ts';

const { john } = demoUsers;
const folder = join(import.meta.dir, 'fixtures/fifth-door');

/** The house as it would be with one more folder below `src/doors`, and its line (with its import) in the composition root. */
function buildWithFifthDoor(): string {
  const copy = mkdtempSync(join(tmpdir(), 'cardea-fifth-'));
  cpSync(join(root, 'src'), join(copy, 'src'), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  cpSync(folder, join(copy, 'src/doors/fifth-door'), { recursive: true });
  const app = join(copy, 'src/app.ts');
  const text = readFileSync(app, 'utf8');
  const start = 'const doorMakers: Readonly<Record<string, DoorMaker>> = {\n';
  expect(text.split(start)).toHaveLength(2);
  const importLine = "import { createFifthDoor } from './doors/fifth-door/door.ts';\n";
  writeFileSync(
    app,
    importLine + text.replace(start, `${start}  'fifth-door': ({ core }) => createFifthDoor(core),\n`),
  );
  return copy;
}

describe('a fifth contract is one folder and one line', () => {
  let copy: string;
  let server: TestServer;
  beforeAll(async () => {
    copy = buildWithFifthDoor();
    const { startApp } = (await import(join(copy, 'src/app.ts'))) as typeof import('../src/app.ts');
    server = await startTestServer({ settings: allDoors, start: startApp });
  }, 30_000);
  afterAll(async () => {
    await server.close();
    rmSync(copy, { recursive: true, force: true });
  });

  const fifth = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(server.url + path, { method, headers });
    return { status: response.status, text: await response.text() };
  };
  const enter = async () => {
    const answer = await fifth('POST', '/fifth/enter', { 'X-Name': john.login, 'X-Password': john.password });
    expect(answer.status).toBe(200);
    return answer.text.replace('ticket: ', '').trim();
  };
  const johnsLines = { status: 200, text: 'id: 4821\nlogin: jsmith@example.com\nroles: agent user\n' };
  const refused = { status: 401, text: 'refused: session_invalid\n' };

  test('it tells the same truth as the others, on the plain listener and over TLS', async () => {
    const ticket = await enter();
    expect(await fifth('GET', '/fifth/whose', { 'X-Ticket': ticket })).toEqual(johnsLines);
    const init = { headers: { 'X-Ticket': ticket }, tls: { rejectUnauthorized: false } };
    expect(await (await fetch(`${server.httpsUrl}/fifth/whose`, init)).text()).toBe(johnsLines.text);
  });

  test('its tickets count at the other doors, and end there when it ends them', async () => {
    const ticket = await enter();
    await expectEverywhere(server, 'REST token', ticket, 'let in');
    expect((await fifth('POST', '/fifth/leave', { 'X-Ticket': ticket })).status).toBe(200);
    await expectEverywhere(server, 'REST token', ticket, 'refused');
    expect(await fifth('GET', '/fifth/whose', { 'X-Ticket': ticket })).toEqual(refused);
  });

  test.each([
    ['REST logout', (ticket: string) => rest.rest(server, 'POST', '/v2/auth/logout', { headers: rest.bearer(ticket) })],
    ['web logout', (ticket: string) => web.logout(server, web.bearer(ticket))],
    [
      'appliance DELETE',
      (ticket: string) => appliance(server, 'DELETE', '/api/admin/v1/sessions', rest.bearer(ticket)),
    ],
    ['REST refresh', (token: string) => rest.rest(server, 'POST', '/v2/auth/refresh', { body: { token } })],
  ] as const)('%s at another door ends its ticket at once', async (_, end) => {
    const ticket = await enter();
    expect((await end(ticket)).status).toBe(200);
    expect(await fifth('GET', '/fifth/whose', { 'X-Ticket': ticket })).toEqual(refused);
  });

  test('limits, faults and paths come to it of themselves', async () => {
    expect(await fifth('GET', '/fifth/whose')).toEqual({ status: 401, text: 'refused: credential_missing\n' });
    expect(await fifth('GET', '/fifth/nothing')).toEqual({ status: 404, text: 'refused: not_found\n' });
    expect(await fifth('POST', '/fifth/whose')).toEqual({ status: 405, text: 'refused: method_not_allowed\n' });
    const wrong = await fifth('POST', '/fifth/enter', { 'X-Name': john.login, 'X-Password': 'wrong' });
    expect(wrong).toEqual({ status: 401, text: 'refused: login_refused\n' });
    const ticket = await enter();
    server.clock.advance(599);
    expect(await fifth('GET', '/fifth/whose', { 'X-Ticket': ticket })).toEqual(johnsLines);
    server.clock.advance(600);
    expect(await fifth('GET', '/fifth/whose', { 'X-Ticket': ticket })).toEqual(refused);
  });

  test('the four doors work beside it as before', async () => {
    const held = kinds.filter((kind) => !/key/i.test(kind));
    for (const kind of held) await expectEverywhere(server, kind, await open(server, john, kind), 'let in');
  });

  test('it keeps the rules of the house: it knows the core by its entrance and the plumbing, nothing else', async () => {
    const names = readdirSync(folder).sort();
    expect(names).toEqual(['door.ts', 'operations.ts']);
    // As deep below the root as its place in the house, so its imports mean the same there.
    const own = names.map((name) => {
      const path = `src/doors/fifth-door/${name}`;
      return { path, imports: importsOf(path, readFileSync(join(folder, name), 'utf8')) };
    });
    const targets = new Set(own.flatMap(({ imports }) => imports.map(({ to }) => to)));
    expect([...targets].sort()).toEqual([
      'src/core/index.ts',
      'src/doors/fifth-door/operations.ts',
      'src/http/door.ts',
      'src/http/faults.ts',
      'src/http/headers.ts',
    ]);
    const house = (await sourceFiles()).map(({ path, text }) => ({ path, imports: importsOf(path, text) }));
    expect(violations([...house, ...own])).toEqual([]);
  });
});
