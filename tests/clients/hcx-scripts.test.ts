import { expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { byToken, getSession, patient, tokenShape } from '../support/hcx.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { addUser } from '../support/users.ts';

/** A copy of the public repository apnex/hcx; it has no licence, so none is kept here. */
const copy = process.env['CARDEA_TEST_APNEX_HCX'] ?? '';
const folder = join(copy, 'lib');
const loginPath = '/hybridity/api/sessions';
/** The appliance as some of the scripts name it in their text; the others take it from a file of settings. */
const appliance = '172.16.10.22';
const who = { login: 'administrator', email: 'administrator@vsphere.local', password: 'VMware1!' };

type TlsFront = { readonly port: number; readonly takeRequests: () => string; close(): void };

/** Port 443 of the appliance: ends TLS in front of the plain listener, changes nothing, and keeps what clients send. */
async function startTlsFront({ url, directory }: TestServer): Promise<TlsFront> {
  const pem = (name: string) => readFileSync(join(directory, name));
  const sent: Buffer[] = [];
  const front = createServer({ cert: pem('tls-cert.pem'), key: pem('tls-key.pem') }, (near) => {
    const far = connect(Number(new URL(url).port), '127.0.0.1');
    near.on('data', (bytes: Buffer) => sent.push(bytes));
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  return {
    port: (front.address() as AddressInfo).port,
    takeRequests: () => Buffer.concat(sent.splice(0)).toString(),
    close: () => front.close(),
  };
}

const scripts = (copy === '' ? [] : readdirSync(folder)).filter(
  (name) => name.endsWith('.sh') && readFileSync(join(folder, name), 'utf8').includes(loginPath),
);
const isMissing = scripts.length === 0 || Bun.which('curl') === null || Bun.which('jq') === null;
const needs = isMissing ? ' (skipped: needs curl, jq and a copy of apnex/hcx that CARDEA_TEST_APNEX_HCX names)' : '';

/** A place with the settings that the scripts read, from which curl finds the appliance at a port of this machine. */
async function makeHome(port: number): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), 'cardea-scripts-'));
  mkdirSync(join(home, 'state'));
  const endpoint = { type: 'hcx', hostname: appliance, username: who.email, password: who.password, online: 'true' };
  await Bun.write(join(home, 'sddc.parameters'), JSON.stringify({ domain: 'lab', endpoints: [endpoint] }));
  await Bun.write(join(home, '.curlrc'), `connect-to = "${appliance}:443:127.0.0.1:${port}"\n`);
  return home;
}

test.skipIf(isMissing)(
  `[26] the unmodified scripts of apnex/hcx sign in and present the token that they read${needs}`,
  async () => {
    const server = await startTestServer({ settings: patient });
    await addUser(server, who);
    const front = await startTlsFront(server);
    const home = await makeHome(front.port);
    try {
      for (const name of scripts) {
        const env = { PATH: process.env['PATH'] ?? '', HOME: home, WORKDIR: home, SDDCDIR: home };
        const child = Bun.spawn(['bash', join(folder, name)], { cwd: home, env, stdout: 'pipe', stderr: 'pipe' });
        const [output, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
        expect({ name, code, errors }).toEqual({ name, code: 0, errors: '' });
        const dumped = readFileSync(join(home, 'state', 'hcx.headers.txt'), 'utf8');
        const token = /^x-hm-authorization: (\S+)\r$/m.exec(dumped)?.[1] ?? '';
        expect(token).toMatch(tokenShape);
        expect((await getSession(server, byToken(token))).status).toBe(200);
        // They send it on to a path that is no part of this contract, and the refusal reads as JSON.
        expect(front.takeRequests()).toContain(`\r\nx-hm-authorization: ${token}\r\n`);
        expect(output).toContain('"error": "Unknown path"');
      }
    } finally {
      front.close();
      await server.close();
      rmSync(home, { recursive: true, force: true });
    }
  },
  60_000,
);
