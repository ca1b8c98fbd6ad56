import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { validateXML } from 'xmllint-wasm';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { addUser, testPassword } from '../../../tests/support/users.ts';
import {
  call,
  endpoint,
  namespace,
  operationXml,
  resultOf,
  send,
  type SoapAnswer,
  type SoapParameters,
  soapLogin,
  versions,
} from '../../../tests/support/soap.ts';

/** Section 8 of the contract as it is printed: what stands between its `each` comments repeats for every operation. */
const printed = await Bun.file(join(import.meta.dir, 'fixtures/service.wsdl')).text();
const operations = [
  'Login',
  'Logout',
  'SessionInfo',
  'WhoAmI',
  'SessionLog',
  'Version',
  'NowUTC',
  'GenerateAPIKey',
  'UserGetAPIKey',
  'UserReset',
  'ChangePassword',
];

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

function get(query: string, path = endpoint): Promise<SoapAnswer> {
  return send(server, [`GET ${path}${query} HTTP/1.1`]);
}

function withoutWhiteSpace(xml: string): string {
  return xml.replace(/>\s+</g, '><').trim();
}

function expand(text: string, address: string): string {
  const each = /<!-- each -->([\s\S]*?)<!-- \/each -->/g;
  const repeated = text.replace(each, (_, row: string) =>
    operations.map((name) => row.replaceAll('{Op}', name)).join(''),
  );
  return repeated.replaceAll('{address}', address);
}

/** The schema inside a service description, with the prefixes that the description declares. */
function schemaOf(wsdl: string): string {
  const schema = /<s:schema[\s\S]*<\/s:schema>/.exec(wsdl)?.[0] ?? '';
  return schema.replace('<s:schema', `<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema" xmlns:tns="${namespace}"`);
}

/** What the validator says against a document, nothing when it is valid. */
async function complaints(xml: string, schema: string): Promise<string[]> {
  const { valid, errors } = await validateXML({ xml, schema });
  return valid ? [] : errors.map(({ message }) => message);
}

describe('the service description', () => {
  test('[4] [27] is the text of section 8 but for white space between tags', async () => {
    const answer = await get('?WSDL');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/xml; charset=utf-8');
    expect(answer.text).toStartWith('<?xml version="1.0" encoding="utf-8"?>\n');
    const address = 'https://auth.example.com/v4.1/prod/ECGridOS.asmx';
    expect(withoutWhiteSpace(answer.text)).toBe(withoutWhiteSpace(expand(printed, address)));
  });

  test('[4] is the same document whatever the letter case of path and query, and as a single one', async () => {
    const { text } = await get('?wsdl');
    for (const [query, path] of [
      ['?WSDL', endpoint],
      ['?Wsdl', '/V4.1/PROD/ecgridos.ASMX'],
      ['?singleWsdl', endpoint],
      ['?SINGLEWSDL', endpoint],
      ['?wsdl=', endpoint],
      ['?x=1&wsdl', endpoint],
    ] as const) {
      expect((await get(query, path)).text).toBe(text);
    }
  });

  test('[2] holds a schema in which a validator finds no fault, and which refuses what is not declared', async () => {
    const schema = schemaOf((await get('?wsdl')).text);
    const response = (more: string) =>
      `<LogoutResponse xmlns="${namespace}"><LogoutResult>true</LogoutResult>${more}</LogoutResponse>`;
    expect(await complaints(response(''), schema)).toEqual([]);
    expect(await complaints(response('<Extra/>'), schema)).not.toEqual([]);
    expect(await complaints(response('').replace('true', 'yes'), schema)).not.toEqual([]);
    expect(await complaints(response('').replace(namespace, 'urn:other'), schema)).not.toEqual([]);
  });
});

describe.each(versions.map((version) => [version]))('every declared operation over SOAP %s', (version) => {
  test('[2] [27] answers, and requests and answers are valid in the served schema', async () => {
    const wsdl = (await get('?wsdl')).text;
    const schema = schemaOf(wsdl);
    const declared = [...wsdl.matchAll(/<soap12:operation soapAction="http:\/\/www\.ecgridos\.net\/(\w+)"/g)].map(
      ([, name]) => name ?? '',
    );
    expect(declared).toEqual(operations);

    const root = await soapLogin(server, demoUsers.admin);
    const ended = await soapLogin(server, demoUsers.admin);
    const changing = { login: `changing-${version}`, password: testPassword };
    await addUser(server, changing);
    const user = await soapLogin(server, changing);
    const requests: Readonly<Record<string, SoapParameters>> = {
      Login: { UserName: 'admin', Password: demoUsers.admin.password, SenderSolution: '<&>' },
      Logout: { SessionID: ended },
      SessionInfo: { SessionID: root },
      WhoAmI: { SessionID: root },
      SessionLog: { SessionID: root, UserID: 0, MaxRecords: 5 },
      Version: {},
      NowUTC: {},
      GenerateAPIKey: { SessionID: root, UserID: 0 },
      UserGetAPIKey: { SessionID: root, UserID: 0 },
      UserReset: { SessionID: root, UserID: 4821 },
      ChangePassword: {
        SessionID: user,
        OldPassword: testPassword,
        NewPassword: 'a quiet harbour at dawn',
      },
    };
    const documents: string[] = [];
    for (const operation of declared) {
      const parameters = requests[operation] ?? {};
      documents.push(operationXml(operation, parameters));
      const answer = await call(server, operation, parameters, { version });
      if (operation === 'UserGetAPIKey') {
        expect(answer.text).toContain('Access denied');
        continue;
      }
      resultOf(answer, operation);
      documents.push(/<soap:Body>(.*)<\/soap:Body>/s.exec(answer.text)?.[1] ?? '');
    }
    expect(documents).toHaveLength(21);
    for (const document of documents) expect([document, await complaints(document, schema)]).toEqual([document, []]);
  }, 60_000);

  test('[8] [27] what a key, a user without place and an empty log answer is valid too', async () => {
    const schema = schemaOf((await get('?wsdl')).text);
    const root = await soapLogin(server, demoUsers.admin);
    const answers = [
      await call(server, 'SessionInfo', { SessionID: demoKey }, { version }),
      await call(server, 'WhoAmI', { SessionID: demoKey }, { version }),
      await call(server, 'WhoAmI', { SessionID: root }, { version }),
      await call(server, 'SessionLog', { SessionID: root, UserID: 4821, MaxRecords: 100 }, { version }),
    ];
    expect(answers.at(-1)?.text).toMatch(/<SessionLogResult(\/>|><\/SessionLogResult>)/);
    for (const { text } of answers) {
      const document = /<soap:Body>(.*)<\/soap:Body>/s.exec(text)?.[1] ?? '';
      expect([document, await complaints(document, schema)]).toEqual([document, []]);
    }
  }, 60_000);
});
