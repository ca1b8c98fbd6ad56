import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { hcxOn } from '../support/hcx.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const go = Bun.which('go');
const { admin } = demoUsers;

let server: TestServer;
let folder: string;
beforeAll(async () => {
  server = await startTestServer({ settings: hcxOn });
  folder = mkdtempSync(join(tmpdir(), 'cardea-go-'));
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const name = '[26] a Go program decodes a failure as entry/string pairs, signs in and asks with the token';
test.skipIf(go === null)(go === null ? `${name} (skipped: needs go, Debian golang-go)` : name, async () => {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    GOFLAGS: '-mod=mod',
    GOTOOLCHAIN: 'local',
    HCX_WEB: server.url,
    HCX_APPLIANCE: server.httpsUrl,
    HCX_USERNAME: admin.login,
    HCX_PASSWORD: admin.password,
  };
  const command = [go ?? 'go', 'run', join(import.meta.dir, 'hcx_login.go')];
  const child = Bun.spawn(command, { env, cwd: folder, stdout: 'pipe', stderr: 'pipe' });
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect(errors).toBe('');
  expect(output).toBe('401 Invalid username or password.\n200 200\n');
});
