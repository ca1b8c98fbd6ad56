import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { demoKey, demoUsers } from '../../cli/demo-data.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import {
  endpoint,
  guidPattern,
  send,
  type SoapAnswer,
  soapLogin,
  unknownSessionId,
} from '../../../tests/support/soap.ts';

const declaration = '<?xml version="1.0" encoding="utf-8"?>\n';
const space = 'xmlns="http://www.ecgridos.net/"';
const formType = 'application/x-www-form-urlencoded';
const invalidSession = 'Invalid SessionID: The session is unknown or has ended. Log in again.';

let server: TestServer;
let id: string;
beforeAll(async () => {
  server = await startTestServer();
});
beforeEach(async () => {
  server.clock.advance(1);
  id = await soapLogin(server, demoUsers.soap);
});
afterAll(() => server.close());

/** Posts a form; `type` null for none. */
function post(operation: string, body = '', type: string | null = formType, more: readonly string[] = []) {
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  const head = [
    `POST ${endpoint}/${operation} HTTP/1.1`,
    ...(type === null ? [] : [`Content-Type: ${type}`]),
    length,
    ...more,
  ];
  return send(server, head, body);
}

function get(operation: string, query = '', from: Pick<TestServer, 'url'> = server) {
  return send(from, [`GET ${endpoint}/${operation}${query} HTTP/1.1`]);
}

/** A result: XML without envelope, with the contract's headers. */
function expectXml(answer: SoapAnswer, xml: string): void {
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/xml; charset=utf-8');
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.headers.get('set-cookie')).toBeNull();
  expect(answer.text).toBe(declaration + xml);
}

/** A refusal: one line of text, never HTML. */
function expectLine(answer: SoapAnswer, status: number, line: string | RegExp): void {
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(answer.text).toMatch(/^[^\r\n<>]+\n?$/);
  expect(answer.text.trimEnd()).toMatch(typeof line === 'string' ? new RegExp(`^${RegExp.escape(line)}$`) : line);
}

describe('form results', () => {
  test('[22] [27] SessionInfo has its type as root, in the namespace of the contract, by POST and by GET', async () => {
    const now = new Date(server.clock.nowMs).toISOString().replace('.000', '');
    const hour = new Date(server.clock.nowMs + 3_600_000).toISOString().replace('.000', '');
    const xml = `<SessionIDInfo ${space}><SessionID>${id}</SessionID><UserID>12345</UserID><NetworkID>100</NetworkID><MailboxID>200</MailboxID><Created>${now}</Created><Expires>${hour}</Expires></SessionIDInfo>`;
    expectXml(await post('SessionInfo', `SessionID=${id}`), xml);
    expectXml(await get('SessionInfo', `?SessionID=${id}`), xml);
  });

  test('[22] WhoAmI and SessionLog have their types as roots', async () => {
    const who = `<UserIDInfo ${space}><UserID>12345</UserID><Login>soapuser</Login><NetworkID>100</NetworkID><MailboxID>200</MailboxID><AuthLevel>MailboxUser</AuthLevel><Email>soapuser@example.com</Email><FirstName>Sofia</FirstName><LastName>Apel</LastName><Status>Active</Status><Created>2026-01-12T08:00:00Z</Created></UserIDInfo>`;
    expectXml(await post('WhoAmI', `SessionID=${id}`), who);
    expectXml(await get('WhoAmI', `?SessionID=${id}`), who);
    const log = await post('SessionLog', `SessionID=${id}&UserID=0&MaxRecords=1`);
    expect(log.text).toMatch(
      new RegExp(
        `^${RegExp.escape(`${declaration}<ArrayOfSessionIDInfo ${space}><SessionIDInfo><SessionID>`)}[0-9A-F-]{36}</SessionID>`,
      ),
    );
    expect(log.text).toEndWith('</SessionIDInfo></ArrayOfSessionIDInfo>');
  });

  test('[22] strings, booleans and dates have the roots string, boolean and dateTime', async () => {
    const now = new Date(server.clock.nowMs).toISOString().replace('.000', '');
    expectXml(await post('NowUTC'), `<dateTime ${space}>${now}</dateTime>`);
    expectXml(await get('NowUTC'), `<dateTime ${space}>${now}</dateTime>`);
    const login = await post('Login', 'UserName=soapuser&Password=Sup3r%24ecret%21');
    expect(login.status).toBe(200);
    const opened =
      /^<string xmlns="http:\/\/www\.ecgridos\.net\/">([0-9A-F-]{36})<\/string>$/.exec(
        login.text.slice(declaration.length),
      )?.[1] ?? '';
    expect(opened).toMatch(guidPattern);
    expectXml(await post('Logout', `SessionID=${opened}`), `<boolean ${space}>true</boolean>`);
    expectXml(await post('Logout', `SessionID=${opened}`), `<boolean ${space}>false</boolean>`);
    expectXml(await post('Logout'), `<boolean ${space}>false</boolean>`);
    const john = await soapLogin(server, demoUsers.john);
    expectXml(await post('UserReset', `SessionID=${john}&UserID=0`), `<boolean ${space}>true</boolean>`);
  });

  test('[22] Version is answered to an empty POST with and without type, and to GET', async () => {
    const version = `<string ${space}>4.1</string>`;
    expectXml(await post('Version', '', null), version);
    expectXml(await post('Version'), version);
    expectXml(await post('Version', '', 'text/plain'), version);
    expectXml(await send(server, [`POST ${endpoint}/Version HTTP/1.1`]), version);
    expectXml(await get('Version'), version);
  });

  test('[22] HEAD answers as GET without body', async () => {
    const answer = await send(server, [`HEAD ${endpoint}/Version HTTP/1.1`]);
    expect(answer).toMatchObject({ status: 200, text: '' });
  });

  test('[4] [22] the path and the fields are read in any letter case', async () => {
    const answer = await send(
      server,
      [
        `POST ${endpoint.toUpperCase()}/SESSIONinfo HTTP/1.1`,
        `Content-Type: ${formType}; charset=UTF-8`,
        'Content-Length: 46',
      ],
      `sessionid=${id}`,
    );
    expect(answer.text).toContain('<UserID>12345</UserID>');
    expect((await get('whoami', `?SESSIONID=${id.toLowerCase()}`)).text).toContain('<UserID>12345</UserID>');
  });

  test('[22] spaces, plus signs and letters beyond ASCII are decoded', async () => {
    const answer = await get('SessionInfo', `?SessionID=+%20${id}%09&Other=%C3%A4+b`);
    expect(answer.text).toContain(`<SessionID>${id}</SessionID>`);
  });

  test('[8] an API key counts as SessionID', async () => {
    expect((await post('WhoAmI', `SessionID=${demoKey}`)).text).toContain('<UserID>4821</UserID>');
  });
});

describe('form refusals', () => {
  test.each([
    ['nothing', ''],
    ['an empty value', 'SessionID='],
    ['an unknown id', `SessionID=${unknownSessionId}`],
    ['no GUID', 'SessionID=%27+or+1%3D1--'],
  ])('[22] SessionInfo with %s is told in one line', async (_, body) => {
    expectLine(await post('SessionInfo', body), 500, invalidSession);
    expectLine(await get('SessionInfo', `?${body}`), 500, invalidSession);
  });

  test('[22] X34 the same field twice is refused, in whatever letter case', async () => {
    expectLine(await post('SessionInfo', `SessionID=${id}&SESSIONID=${id}`), 500, invalidSession);
    expectLine(
      await post('SessionLog', `SessionID=${id}&UserID=0&userid=0&MaxRecords=1`),
      500,
      /^Invalid parameter: UserID: [A-Z][^<>]+\.$/,
    );
    expectLine(
      await post('Login', 'UserName=a&UserName=b&Password=c'),
      500,
      /^Invalid parameter: UserName: [A-Z][^<>]+\.$/,
    );
  });

  test.each(['%ff', '%zz', '%', '%2', '%C3%28', '%ED%A0%80', '%c0%af', '\u00e9', 'a\u0000\u00ff'])(
    '[22] X34 B02 the bytes %p are refused, never repaired',
    async (text) => {
      expectLine(await post('Login', `UserName=${text}&Password=x`), 500, /^Invalid parameter: .+$/);
    },
  );

  test('[22] a missing number is named, a wrong one too', async () => {
    expectLine(await post('SessionLog', `SessionID=${id}`), 500, 'Missing parameter: UserID.');
    expectLine(await post('SessionLog', `SessionID=${id}&UserID=0`), 500, 'Missing parameter: MaxRecords.');
    expectLine(
      await post('SessionLog', `SessionID=${id}&UserID=x&MaxRecords=1`),
      500,
      /^Invalid parameter: UserID: [A-Z].+\.$/,
    );
    expectLine(await post('UserReset', `SessionID=${id}`), 500, 'Missing parameter: UserID.');
  });

  test('[22] wrong logins and missing strings are told in the words of the faults', async () => {
    expectLine(
      await post('Login', 'UserName=soapuser&Password=wrong'),
      500,
      'Invalid login: The user name or password is not valid.',
    );
    expectLine(await post('Login'), 500, /^Invalid parameter: UserName: [A-Z].+\.$/);
    expectLine(
      await post('Login', `UserName=${'x'.repeat(257)}&Password=x`),
      500,
      'Invalid parameter: UserName: max=256',
    );
  });

  test('[20] [22] what the level does not allow says AccessDenied, what nobody may see too', async () => {
    const low = 'Access denied: AccessDenied: the authorization level is too low.';
    expectLine(await post('SessionLog', `SessionID=${id}&UserID=1&MaxRecords=1`), 500, low);
    const stored =
      'Access denied: AccessDenied: API keys are stored as digests and cannot be shown. Generate a new key.';
    expectLine(await post('UserGetAPIKey', `SessionID=${id}&UserID=0`), 500, stored);
    const root = await soapLogin(server, demoUsers.admin);
    expectLine(
      await post('SessionLog', `SessionID=${root}&UserID=999&MaxRecords=1`),
      500,
      'Object not found: No such user.',
    );
  });

  test.each(['Login', 'Logout', 'GenerateAPIKey', 'UserGetAPIKey', 'UserReset', 'ChangePassword'])(
    '[22] X34 GET %s is refused with the method to use, and does nothing',
    async (operation) => {
      const answer = await get(operation, `?SessionID=${id}&UserID=0&UserName=soapuser&Password=x`);
      expectLine(answer, 405, /^.+$/);
      expect(answer.headers.get('allow')).toBe('POST');
      expect((await post('WhoAmI', `SessionID=${id}`)).status).toBe(200);
    },
  );

  test.each([
    'application/json',
    'text/xml; charset=utf-8',
    'multipart/form-data; boundary=b',
    'text/plain',
    `${formType}; charset=iso-8859-1`,
    `${formType}, ${formType}`,
    '',
    null,
  ])('[16] [22] X34 a form as %p is refused', async (type) => {
    expectLine(await post('SessionInfo', `SessionID=${id}`, type), 415, /^.+$/);
  });

  test('[16] B09 an encoded form is refused', async () => {
    expectLine(await post('SessionInfo', `SessionID=${id}`, formType, ['Content-Encoding: gzip']), 415, /^.+$/);
  });

  test('[16] [22] X35 a form of 65,536 bytes is read, one byte more is not, with length and chunked', async () => {
    const start = `SessionID=${id}&Filler=`;
    const body = (length: number) => start + 'x'.repeat(length - start.length);
    const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
    const head = [`POST ${endpoint}/SessionInfo HTTP/1.1`, `Content-Type: ${formType}`, 'Transfer-Encoding: chunked'];
    expect((await post('SessionInfo', body(65_536))).status).toBe(200);
    expect((await send(server, head, chunked(body(65_536)))).status).toBe(200);
    expectLine(await post('SessionInfo', body(65_537)), 413, /^.+$/);
    expectLine(await send(server, head, chunked(body(65_537))), 413, /^.+$/);
  });

  test.each(['Explode', 'NetworkList', 'SessionInfo/', 'SessionInfo%00', 'Session%49nfo', '..;/x', '__proto__'])(
    '[22] X23 H11 /%s is not found, by POST and by GET',
    async (operation) => {
      expectLine(await post(operation, `SessionID=${id}`), 404, /^.+$/);
      expectLine(await get(operation, `?SessionID=${id}`), 404, /^.+$/);
    },
  );

  test('[22] queries do not reach the log', async () => {
    await get('SessionInfo', `?SessionID=${id}`);
    await get('Login', `?UserName=soapuser&Password=Sup3r-secret-in-a-query`);
    expect(server.log.filter((line) => line.includes(id) || line.includes('Sup3r-secret'))).toEqual([]);
  });
});
