import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { type Config, ConfigError } from './config.ts';

/** A certificate and its key, as PEM texts. */
export type Certificate = { readonly cert: string; readonly key: string };

const validDays = 3650;
const dayMs = 24 * 60 * 60 * 1000;

/**
 * The certificate of the HTTPS listener: the configured files, or a self-signed one that is made at the first start and kept,
 * because clients pin it.
 * @throws ConfigError when only one of the two files is configured, or one cannot be read or used
 */
export async function loadCertificate(config: Config): Promise<Certificate> {
  const { cert, key } = config.tls;
  if ((cert === '') !== (key === '')) throw new ConfigError('CARDEA_TLS_CERT and CARDEA_TLS_KEY must be set together.');
  if (cert !== '') return readConfigured(cert, key);
  const paths = { cert: join(config.data, 'tls-cert.pem'), key: join(config.data, 'tls-key.pem') };
  if (!existsSync(paths.cert) || !existsSync(paths.key)) await writeSelfSigned(paths, config.hcx.hostNames);
  chmodSync(paths.key, 0o600);
  return { cert: readFileSync(paths.cert, 'utf8'), key: readFileSync(paths.key, 'utf8') };
}

/** DER of the leaf certificate, in base64 without line breaks; empty for none. */
export function certificateDer(certificate: Certificate | null): string {
  return certificate === null ? '' : new X509Certificate(certificate.cert).raw.toString('base64');
}

function readConfigured(certPath: string, keyPath: string): Certificate {
  const cert = readText('CARDEA_TLS_CERT', certPath);
  const key = readText('CARDEA_TLS_KEY', keyPath);
  try {
    certificateDer({ cert, key });
  } catch {
    throw new ConfigError(`CARDEA_TLS_CERT names ${certPath}, which holds no PEM certificate.`);
  }
  if (!isKeyOf(cert, key))
    throw new ConfigError(`CARDEA_TLS_KEY names ${keyPath}, which is not the certificate's key.`);
  return { cert, key };
}

/** Judged here, because a listener that is about to be exchanged cannot be kept once its successor fails. */
function isKeyOf(cert: string, key: string): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

function readText(variable: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new ConfigError(`${variable} names ${path}, which cannot be read.`);
  }
}

/** The key first: a certificate without its key would be kept for ever. */
async function writeSelfSigned(paths: Certificate, hostNames: readonly string[]): Promise<void> {
  const made = await makeSelfSigned(hostNames);
  writePrivately(paths.key, made.key);
  writePrivately(paths.cert, made.cert);
}

function writePrivately(path: string, text: string): void {
  const draft = `${path}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, text, { mode: 0o600, flag: 'wx' });
  renameSync(draft, path);
}

/** P-256, CN `cardea`, ten years, for the loopback names and the configured ones. */
async function makeSelfSigned(hostNames: readonly string[]): Promise<Certificate> {
  // Loaded once in an installation's life: the library is large.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const signingAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(signingAlgorithm, true, ['sign', 'verify']);
  const names = [...new Set(['localhost', '127.0.0.1', '::1', ...hostNames])];
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    // Positive, as RFC 5280, 4.1.2.2 asks: the first bit is 0.
    serialNumber: `0${randomBytes(16).toString('hex').slice(1)}`,
    name: 'CN=cardea',
    notBefore: new Date(Date.now() - dayMs),
    notAfter: new Date(Date.now() + validDays * dayMs),
    signingAlgorithm,
    keys,
    extensions: [
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
      ),
      new x509.BasicConstraintsExtension(false),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    ],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { cert: `${certificate.toString('pem')}\n`, key: `${key}\n` };
}
