import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import {
  adminPath,
  byToken,
  dataOf,
  getSession,
  hcx,
  hcxOn,
  hybridityPath,
  patient,
  postLogin,
  signIn,
} from '../../../tests/support/hcx.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { type App, startApp } from '../../app.ts';
import { demoUsers, writeDemoData } from '../../cli/demo-data.ts';
import { loadConfig } from '../../config.ts';
import { createLog } from '../../log.ts';

const { admin } = demoUsers;
type Web = {
  certificate: string;
  cloud: unknown;
  user: Record<string, unknown>;
  organizations: { uuid: string }[];
  endpointInfo: { uuid: string };
};
type Handshake = { readonly certificate: X509Certificate; readonly protocol: string | null };

function shakeHands(origin: string, options: { maxVersion?: 'TLSv1.2' | 'TLSv1.3' } = {}): Promise<Handshake> {
  return new Promise((resolve, reject) => {
    const target = { host: '127.0.0.1', port: Number(new URL(origin).port), rejectUnauthorized: false, ...options };
    const socket = connect(target, () => {
      const { raw } = socket.getPeerCertificate();
      resolve({ certificate: new X509Certificate(raw), protocol: socket.getProtocol() });
      socket.end();
    });
    socket.on('error', reject);
  });
}

/** With and without forward secrecy, in GCM and in CBC mode. */
const everySuite = 'c02bc02fc009c00ac013c014009c002f0035';

/** Offers one version of TLS by bytes of our own, since today's libraries would not. @returns the first bytes of the answer */
function offerVersion(origin: string, minor: number, offered = everySuite): Promise<Buffer> {
  const suites = Buffer.from(offered, 'hex');
  const groups = '000a0006000400170018000b00020100';
  const signatures = minor >= 3 ? '000d000800060403040108040000'.slice(0, 24) : '';
  const extensions = Buffer.from(groups + signatures, 'hex');
  const body = Buffer.concat([
    Buffer.from([3, minor]),
    Buffer.alloc(32, 7),
    Buffer.from([0, 0, suites.length]),
    suites,
    Buffer.from([1, 0, 0, extensions.length]),
    extensions,
  ]);
  const hello = Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 255]), body]);
  const record = Buffer.concat([Buffer.from([22, 3, 1, hello.length >> 8, hello.length & 255]), hello]);
  return new Promise((resolve) => {
    const socket = connectPlain(Number(new URL(origin).port), '127.0.0.1', () => socket.write(record));
    socket.on('error', () => {});
    socket.once('data', (data: Buffer) => {
      resolve(data);
      socket.destroy();
    });
    socket.once('close', () => resolve(Buffer.alloc(0)));
  });
}

describe('[22] a first start without certificate files', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ settings: { ...patient, CARDEA_HCX_HOST_NAMES: 'hcx.example.com' } });
  });
  afterAll(() => server.close());

  test('makes a self-signed P-256 one for cardea, ten years, loopback and the configured names', async () => {
    const { certificate } = await shakeHands(server.httpsUrl);
    expect([certificate.subject, certificate.issuer]).toEqual(['CN=cardea', 'CN=cardea']);
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    for (const host of ['localhost', 'hcx.example.com']) expect(certificate.checkHost(host)).toBe(host);
    for (const address of ['127.0.0.1', '::1']) expect(certificate.checkIP(address)).toBe(address);
    expect(certificate.checkHost('other.example.com')).toBeUndefined();
    const days = (Date.parse(certificate.validTo) - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBeGreaterThanOrEqual(3649);
    expect(Math.round(days)).toBeLessThanOrEqual(3653);
  });

  test('keeps its key for the owner alone', () => {
    expect(statSync(join(server.directory, 'tls-key.pem')).mode & 0o777).toBe(0o600);
  });

  test('[20] the web login tells the certificate of the handshake, and ids that outlive a restart like it', async () => {
    const login = async () => dataOf<Web>(await postLogin(server.url, admin, hybridityPath));
    const before = await login();
    const shown = await shakeHands(server.httpsUrl);
    expect(before.certificate).toBe(shown.certificate.raw.toString('base64'));
    server = await server.restart();
    expect((await shakeHands(server.httpsUrl)).certificate.fingerprint256).toBe(shown.certificate.fingerprint256);
    const after = await login();
    expect([after.certificate, after.organizations, after.endpointInfo]).toEqual([
      before.certificate,
      before.organizations,
      before.endpointInfo,
    ]);
  });

  test('[20] the web login has its members in their order; ids of the shapes that the contract gives', async () => {
    const data = dataOf<Web>(await postLogin(server.url, admin, hybridityPath));
    expect(Object.keys(data)).toEqual(['certificate', 'cloud', 'user', 'organizations', 'endpointInfo']);
    expect(JSON.stringify(data.cloud)).toBe('{"cloudType":"VC","isVCDGVRDepricated":true,"delegateAuthToVCD":false}');
    expect(Object.keys(data.user)).toEqual([
      'enterprise',
      'organization',
      'currentOrganization',
      'roles',
      'username',
      'transactionId',
    ]);
    expect(data.organizations).toHaveLength(1);
    const [uuid = ''] = data.organizations.map((organization) => organization.uuid);
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const { endpointInfo } = data;
    expect(endpointInfo.uuid).toMatch(/^\d{17}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    // By RFC 9562: the namespace's bytes and the name, in SHA-1.
    expect(uuid).toBe(Bun.randomUUIDv5('organization:1', endpointInfo.uuid.slice(18)));
    // First start at the frozen clock: 2026-05-07T17:30:00Z.
    expect(endpointInfo.uuid.slice(0, 17)).toBe('20260507173000000');
  });

  test('H20: speaks TLS 1.2 and 1.3, and refuses 1.1 and 1.0 as a version', async () => {
    expect((await shakeHands(server.httpsUrl)).protocol).toBe('TLSv1.3');
    expect((await shakeHands(server.httpsUrl, { maxVersion: 'TLSv1.2' })).protocol).toBe('TLSv1.2');
    // Alert, fatal, protocol_version.
    for (const minor of [1, 2]) {
      const answer = await offerVersion(server.httpsUrl, minor);
      expect([answer[0], ...answer.subarray(5, 7)]).toEqual([21, 2, 70]);
    }
    // The same bytes for 1.2 are answered by a handshake.
    expect((await offerVersion(server.httpsUrl, 3))[0]).toBe(22);
  });

  test.each([
    ['in CBC mode', 'c009c00ac013c014c023c024c027c028'],
    ['without forward secrecy', '009c009d002f0035003c003d'],
    ['without encryption', '00010002003bc006c010'],
    ['anonymous', '001800340033c018c019'],
    ['of old ciphers', '000a0005c007c011c012'],
  ])('H20: suites %s are refused', async (_, suites) => {
    // Alert, fatal, handshake_failure.
    const answer = await offerVersion(server.httpsUrl, 3, suites);
    expect([answer[0], ...answer.subarray(5, 7)]).toEqual([21, 2, 40]);
  });

  test('H20: plain HTTP gets no answer on the TLS listener', async () => {
    await expect(fetch(server.httpsUrl.replace('https:', 'http:') + adminPath)).rejects.toThrow();
  });
});

describe('a configured certificate', () => {
  let directory: string;
  let app: App;
  const pems = (name: string) => ({ cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) });
  const fingerprint = (path: string) => new X509Certificate(readFileSync(path)).fingerprint256;
  const shown = async () => (await shakeHands(app.httpsUrl ?? '')).certificate.fingerprint256;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'cardea-certificate-'));
    for (const name of ['one', 'two']) {
      const { cert, key } = pems(name);
      const subject = `/CN=${name}.example.com`;
      const how = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', subject];
      expect(Bun.spawnSync(['openssl', 'req', ...how, '-keyout', key, '-out', cert]).exitCode).toBe(0);
    }
    copyFileSync(pems('one').cert, pems('used').cert);
    copyFileSync(pems('one').key, pems('used').key);
    app = await startApp({
      config: loadConfig({
        CARDEA_HTTP_PORT: '0',
        CARDEA_HTTPS_PORT: '0',
        CARDEA_DATA: join(directory, 'data'),
        CARDEA_TLS_CERT: pems('used').cert,
        CARDEA_TLS_KEY: pems('used').key,
      }),
      log: createLog('error', async () => undefined),
      clock: Date.now,
      prepare: writeDemoData,
      hashCost: { memoryKib: 1024, passes: 1 },
    });
  });
  afterAll(async () => {
    await app.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const servers = () => ({ url: app.url, httpsUrl: app.httpsUrl ?? '' });

  test('is shown instead of a made one, read again on command at the same port, and sessions go on', async () => {
    expect(await shown()).toBe(fingerprint(pems('one').cert));
    const token = await signIn(servers(), admin);
    copyFileSync(pems('two').cert, pems('used').cert);
    copyFileSync(pems('two').key, pems('used').key);
    expect(await shown()).toBe(fingerprint(pems('one').cert));
    await app.reloadCertificate();
    expect(await shown()).toBe(fingerprint(pems('two').cert));
    expect((await getSession(servers(), byToken(token))).status).toBe(200);
  });

  test.each<[string, () => void]>([
    ['a certificate that is gone', () => rmSync(pems('used').cert)],
    ['a key of another certificate', () => copyFileSync(pems('one').key, pems('used').key)],
    ['a key that is none', () => writeFileSync(pems('used').key, 'nothing')],
  ])('%s is refused on command, and the old one stays in use', async (_, damage) => {
    const before = await shown();
    damage();
    await expect(app.reloadCertificate()).rejects.toThrow(/CARDEA_TLS_(CERT|KEY)/);
    expect(await shown()).toBe(before);
    copyFileSync(pems('two').cert, pems('used').cert);
    copyFileSync(pems('two').key, pems('used').key);
  });

  test('[20] after a reload the web login tells the certificate of the handshake', async () => {
    await app.reloadCertificate();
    const { certificate } = await shakeHands(app.httpsUrl ?? '');
    expect(certificate.fingerprint256).toBe(fingerprint(pems('two').cert));
    const data = dataOf<Web>(await postLogin(app.url, admin, hybridityPath));
    expect(data.certificate).toBe(certificate.raw.toString('base64'));
  });
});

describe('CARDEA_LISTEN', () => {
  test('leaves the listeners to the doors that it names', async () => {
    const settings = { ...hcxOn, CARDEA_LISTEN: 'https:hcx-sessions,http:ecgrid-rest' };
    const server = await startTestServer({ settings });
    try {
      expect((await hcx(server.httpsUrl, 'GET', adminPath)).status).toBe(401);
      expect((await hcx(server.httpsUrl, 'POST', '/v2/auth/session')).status).toBe(404);
      expect((await fetch(server.url + adminPath)).status).toBe(404);
      expect((await fetch(`${server.url}/v2/auth/version`)).status).toBe(200);
    } finally {
      await server.close();
    }
  });
});
