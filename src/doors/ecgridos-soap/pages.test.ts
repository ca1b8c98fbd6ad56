import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { sendRaw } from '../../http/raw-client.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { endpoint, send, type SoapAnswer } from '../../../tests/support/soap.ts';

const policy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'";
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
/** Without a public URL the host of the request decides. */
let byHost: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  byHost = await startTestServer({
    settings: { CARDEA_PUBLIC_URL: '', CARDEA_ALLOWED_HOSTS: 'soap.example.com,localhost' },
  });
});
afterAll(async () => {
  await server.close();
  await byHost.close();
});

function get(query: string, path = endpoint, method = 'GET'): Promise<SoapAnswer> {
  return send(server, [`${method} ${path}${query} HTTP/1.1`]);
}

/** A GET with a Host header of its own. */
function getAs(host: string, query: string, from: TestServer = byHost): Promise<string> {
  const port = Number(new URL(from.url).port);
  return sendRaw(port, `GET ${endpoint}${query} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
}

function expectPage(answer: SoapAnswer): void {
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(answer.headers.get('content-security-policy')).toBe(policy);
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  expect(answer.headers.get('set-cookie')).toBeNull();
  expect(answer.text).toStartWith('<!DOCTYPE html>\n');
  expect(answer.text).not.toMatch(
    /<(script|form|input|button|iframe|object|style|base)|\son\w+=|\sstyle=|javascript:/i,
  );
}

function expectLine(answer: SoapAnswer, status: number): void {
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(answer.text).toMatch(/^[^\r\n<>]+\n?$/);
}

describe('the pages for people', () => {
  test('[23] the list names every operation and links its page, the service description and nothing else', async () => {
    const answer = await get('');
    expectPage(answer);
    const links = [...answer.text.matchAll(/<a href="([^"]*)"/g)].map(([, href]) => href ?? '');
    expect(links.sort()).toEqual([`${endpoint}?WSDL`, ...operations.map((name) => `${endpoint}?op=${name}`)].sort());
    for (const link of links) expect((await get(link.slice(endpoint.length))).status).toBe(200);
  });

  test('[23] ?op=SessionInfo shows the signature and a message for each binding, to be sent as it stands', async () => {
    const answer = await get('?op=SessionInfo');
    expectPage(answer);
    const text = answer.text
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&#10;', '\n');
    expect(text).toContain('SessionIDInfo SessionInfo(string SessionID)');
    expect(text).toContain(
      'POST /v4.1/prod/ECGridOS.asmx HTTP/1.1\nHost: auth.example.com\nContent-Type: text/xml; charset=utf-8\nSOAPAction: "http://www.ecgridos.net/SessionInfo"',
    );
    expect(text).toContain(
      'Content-Type: application/soap+xml; charset=utf-8; action="http://www.ecgridos.net/SessionInfo"',
    );
    expect(text).toContain(
      'POST /v4.1/prod/ECGridOS.asmx/SessionInfo HTTP/1.1\nHost: auth.example.com\nContent-Type: application/x-www-form-urlencoded\n\nSessionID=string',
    );
    expect(text).toContain(
      '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">\n  <soap:Body>\n    <SessionInfo xmlns="http://www.ecgridos.net/">\n      <SessionID>string</SessionID>\n    </SessionInfo>\n  </soap:Body>\n</soap:Envelope>',
    );
    expect(text).toContain('xmlns:soap="http://www.w3.org/2003/05/soap-envelope"');
  });

  test.each(operations)('[23] ?op=%s is a page, in any letter case', async (name) => {
    expectPage(await get(`?op=${name}`));
    expectPage(await get(`?OP=${name.toLowerCase()}`, endpoint.toUpperCase()));
  });

  test('[23] the style sheet is served beside the page, and its content policy admits it', async () => {
    const { text } = await get('');
    const sheet = /<link rel="stylesheet" href="([^"]+)"/.exec(text)?.[1] ?? '';
    const answer = await get('', sheet);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/css; charset=utf-8');
    expect(answer.text).not.toMatch(/@import|url\(/);
  });

  test('[23] HEAD answers as GET without body', async () => {
    for (const query of ['', '?op=Login', '?wsdl']) {
      expect(await get(query, endpoint, 'HEAD')).toMatchObject({ status: 200, text: '' });
    }
  });

  test('[23] they can be switched off, which leaves the service description', async () => {
    const plain = await startTestServer({ settings: { CARDEA_ECGRIDOS_HELP_PAGES: 'false' } });
    expectLine(await send(plain, [`GET ${endpoint} HTTP/1.1`]), 404);
    expectLine(await send(plain, [`GET ${endpoint}?op=Login HTTP/1.1`]), 404);
    expect((await send(plain, [`GET ${endpoint}?wsdl HTTP/1.1`])).status).toBe(200);
    await plain.close();
  });
});

describe('refusals around the pages', () => {
  test.each([
    '?op=Unknown',
    '?op=<script>',
    '?op=%3Cscript%3Ealert(1)%3C/script%3E',
    '?op=',
    '?op=__proto__',
    '?op=constructor',
    '?op=../../etc/passwd',
    '?op=Login%00',
    `?op=${'x'.repeat(4_000)}`,
  ])('[23] X33 %s is not found, and nothing of it is echoed', async (query) => {
    const answer = await get(query);
    expectLine(answer, 404);
    expect(answer.text).not.toMatch(/script|proto|passwd|Unknown|xxx/);
  });

  test.each([
    '?wsdl=../../x',
    '?wsdl=file:///etc/passwd',
    '?WSDL=http://127.0.0.1/',
    '?wsdl&op=<script>',
    '?singleWsdl=%2e%2e',
  ])('[4] X33 %s is the service description and never a file', async (query) => {
    expect((await get(query)).text).toBe((await get('?wsdl')).text);
  });

  test('[4] X33 H12 a foreign Host never reaches the document of a server with a public URL', async () => {
    for (const query of ['?wsdl', '', '?op=Login']) {
      const received = await getAs('evil.example', query, server);
      expect(received).toContain('HTTP/1.1 200');
      expect(received).not.toContain('evil.example');
      expect(received).toContain('auth.example.com');
    }
    const forwarded = await send(server, [
      `GET ${endpoint}?wsdl HTTP/1.1`,
      'X-Forwarded-Host: evil.example',
      'Forwarded: host=evil.example',
      'X-Original-URL: /evil.example',
    ]);
    expect(forwarded.text).toBe((await get('?wsdl')).text);
  });

  test('[4] X33 without a public URL a listed Host is printed, whatever its letter case and port', async () => {
    expect(await getAs('soap.example.com', '?wsdl')).toContain(
      'location="http://soap.example.com/v4.1/prod/ECGridOS.asmx"',
    );
    expect(await getAs('localhost:8080', '?wsdl')).toContain(
      'location="http://localhost:8080/v4.1/prod/ECGridOS.asmx"',
    );
    expect(await getAs('SOAP.example.com', '?wsdl')).toMatch(/location="http:\/\/soap\.example\.com\/v4\.1/i);
    expect(await getAs('soap.example.com', '?op=Login')).toContain('Host: soap.example.com');
  });

  test.each([
    'evil.example',
    'soap.example.com.evil.example',
    'evil-soap.example.com',
    'soap.example.com:99999',
    'soap.example.com:x',
    'user@soap.example.com',
    'soap.example.com/evil',
    '"><x>',
    '',
    '127.0.0.1',
    `${'a'.repeat(300)}.example.com`,
  ])('[4] X33 H07 without a public URL the Host %p is refused for description, list and page', async (host) => {
    for (const query of ['?wsdl', '', '?op=Login']) {
      const received = await getAs(host, query);
      expect(received).toMatch(/^HTTP\/1\.1 400 /);
      expect(received).not.toContain('evil');
      expect(received).not.toMatch(/<[a-z!?]/i);
    }
  });

  test('[4] X33 without a list the loopback names and the listen address are printed, and nothing else', async () => {
    const listening = await startTestServer({ settings: { CARDEA_PUBLIC_URL: '', CARDEA_HOST: '127.0.0.2' } });
    const { port } = new URL(listening.url);
    const ask = async (host: string) => {
      const answer = await fetch(`${listening.url}${endpoint}?wsdl`, { headers: { Host: host } });
      return [answer.status, /location="([^"]*)"/.exec(await answer.text())?.[1]];
    };
    for (const host of [`127.0.0.2:${port}`, 'localhost:81', '127.0.0.1', '[::1]:8080']) {
      expect(await ask(host)).toEqual([200, `http://${host}${endpoint}`]);
    }
    for (const host of ['127.0.0.3', 'evil.example', 'localhost.evil.example', '[::2]']) {
      expect(await ask(host)).toEqual([400, undefined]);
    }
    await listening.close();
  });

  test('[4] H07 two Hosts are refused, and HTTP/1.0 without Host does not break the server', async () => {
    const port = Number(new URL(byHost.url).port);
    const two = `GET ${endpoint}?wsdl HTTP/1.1\r\nHost: soap.example.com\r\nHost: evil.example\r\nConnection: close\r\n\r\n`;
    expect(await sendRaw(port, two)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await sendRaw(port, `GET ${endpoint}?wsdl HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1\.[01] (200|400) /);
  });

  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'])(
    'H09 %s is refused with the methods to use',
    async (method) => {
      const answer = await get('', endpoint, method);
      expectLine(answer, 405);
      expect((answer.headers.get('allow') ?? '').split(', ').sort()).toEqual(['GET', 'HEAD', 'POST']);
    },
  );

  test.each([
    '/v4.1/',
    '/v4.1/prod/',
    `${endpoint}/`,
    '/v4.1/prod/ECGridOS.asm',
    '/v4.1/prod/ECGridOS%2easmx',
    '/v4.1//prod/ECGridOS.asmx',
    '/v4.1/prod/ECGridOS.asmx;x=y',
    '/v4.1/prod/ECGridOS.asmx%00',
    '/v4.1/prod/ECGridOS.asmx%ff',
  ])('[23] H11 the path %s is not found, and told in one line of text', async (path) => {
    expectLine(await get('?wsdl', path), 404);
    expectLine(await get('', path, 'POST'), 404);
  });

  test('H18 H22 a request id of an attacker is not reflected, ranges, conditions and wishes are ignored', async () => {
    const wishes = [
      'Range: bytes=0-1',
      'If-None-Match: *',
      'If-Modified-Since: Thu, 07 May 2026 10:00:00 GMT',
      'Accept: application/json',
      `X-Request-Id: ${'<x>'.repeat(100)}`,
    ];
    const answer = await send(server, [`GET ${endpoint}?wsdl HTTP/1.1`, ...wishes]);
    expect(answer.text).toBe((await get('?wsdl')).text);
    expect(answer.headers.get('x-request-id')).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
  });
});
