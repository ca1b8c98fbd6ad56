import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { demoUsers } from '../../cli/demo-data.ts';
import { attack, soundLogout, soundQuestion, useGround } from '../../../tests/support/soap-attack.ts';
import {
  call,
  envelope,
  fieldsOf,
  guidPattern,
  post,
  resultOf,
  sessionInfo,
  soapLogin,
  versions,
} from '../../../tests/support/soap.ts';
import { expectFault } from '../../../tests/support/soap-answer.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';

const ground = useGround({ CARDEA_THROTTLE_ADDRESS_PER_MINUTE: '100000', CARDEA_THROTTLE_ADDRESS_PER_HOUR: '100000' });
const xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"';
const long = 'x'.repeat(60_000);
const { login, password } = demoUsers.admin;

/** An operation with its children as they are. */
function operation(name: string, children: string): string {
  return `<${name} xmlns="http://www.ecgridos.net/">${children}</${name}>`;
}

function loginBody(userName: string, more = ''): string {
  return operation('Login', `<UserName>${userName}</UserName><Password>${password}</Password>${more}`);
}

describe.each(versions.map((version) => [version]))('parameters over SOAP %s', (version) => {
  const ask = (body: string) => attack(ground, envelope(body, version), { version });
  const log = (children: string) =>
    ask(operation('SessionLog', `<SessionID>${ground.sessionId}</SessionID>${children}`));

  test.each([
    ['X13 60 KB of text as user name', loginBody(long), 'UserName'],
    ['X13 60 KB of CDATA as user name', loginBody(`<![CDATA[${long}]]>`), 'UserName'],
    ['X13 60 KB as password', operation('Login', `<UserName>a</UserName><Password>${long}</Password>`), 'Password'],
    ['X13 60 KB as sender', loginBody(login, `<SenderContact>${long}</SenderContact>`), 'SenderContact'],
    ['X15 8,000 references as user name count as text', loginBody('&#65;'.repeat(8_000)), 'UserName'],
  ])('%s is too long', async (_, body, item) => {
    const limit = item === 'Password' ? 'max=1024' : 'max=256';
    expectFault(await ask(body), 'F7', { item, message: limit });
  });

  const id = () => ground.sessionId;
  test.each([
    ['K17 missing', () => ''],
    ['K17 empty', () => '<SessionID/>'],
    ['[5] X31 twice', () => `<SessionID>${id()}</SessionID><SessionID>${id()}</SessionID>`],
    [
      'X31 twice, one of them without namespace',
      () => `<SessionID>${id()}</SessionID><SessionID xmlns="">${id()}</SessionID>`,
    ],
    ['X31 nil', () => `<SessionID ${xsi} xsi:nil="true">${id()}</SessionID>`],
    ['X31 in a foreign namespace', () => `<SessionID xmlns="urn:other">${id()}</SessionID>`],
    ['X31 in other case', () => `<sessionid>${id()}</sessionid>`],
    ['K03 in braces', () => `<SessionID>{${id()}}</SessionID>`],
    ['K03 without dashes', () => `<SessionID>${id().replaceAll('-', '')}</SessionID>`],
    ['K03 as a URN', () => `<SessionID>urn:uuid:${id()}</SessionID>`],
    ['K17 with a space inside', () => `<SessionID>${id().replace('-', ' -')}</SessionID>`],
    ['K17 with a no-break space around', () => `<SessionID>&#160;${id()}</SessionID>`],
    ['K17 of 60 KB', () => `<SessionID>${long}</SessionID>`],
    ['K05 a query', () => "<SessionID>' or 1=1--</SessionID>"],
    ['K05 full-width digits', () => `<SessionID>${id().replace(/\d/g, '１')}１</SessionID>`],
    ['X06 as a child of a child', () => `<SessionID><SessionID>${id()}</SessionID></SessionID>`],
  ])('SessionID %s is no valid session', async (_, children) => {
    expectFault(await ask(operation('SessionInfo', children())), 'F1');
  });

  test.each([
    ['X31 reordered', () => `<Other>1</Other><SessionID>${id()}</SessionID>`],
    [
      'X31 with extra children',
      () => `<SessionID>${id()}</SessionID><UserID>1</UserID><Extra><SessionID>x</SessionID></Extra>`,
    ],
    ['X31 without namespace', () => `<SessionID xmlns="">${id()}</SessionID>`],
    ['X31 not nil', () => `<SessionID ${xsi} xsi:nil="false">${id()}</SessionID>`],
    ['K17 with white space around', () => `<SessionID>\r\n\t ${id()} \n</SessionID>`],
    [
      'K17 with a comment and CDATA inside',
      () => `<SessionID>${id().slice(0, 4)}<!-- x --><![CDATA[${id().slice(4)}]]></SessionID>`,
    ],
  ])('SessionID %s is the session', async (_, children) => {
    const answer = await ask(operation('SessionInfo', children()));
    expect(fieldsOf(resultOf(answer, 'SessionInfo'))).toMatchObject({ SessionID: id(), UserID: '12345' });
  });

  test.each(['+5', '5.0', 'NaN', 'five', '', '5 5', '0x5', '1e3', '５', '２', '--5', '99999999999', ' '])(
    'X31 X32 S05 %p is no number',
    async (text) => {
      expectFault(await log(`<UserID>${text}</UserID><MaxRecords>1</MaxRecords>`), 'F6', { item: 'UserID' });
      expectFault(await log(`<UserID>0</UserID><MaxRecords>${text}</MaxRecords>`), 'F6', { item: 'MaxRecords' });
    },
  );

  test('X31 2^31 is no int, X32 32768 is no short, and -1 no number of records', async () => {
    for (const text of ['2147483648', '-2147483649', '9007199254740993']) {
      expectFault(await log(`<UserID>${text}</UserID>`), 'F6', { item: 'UserID' });
    }
    for (const text of ['32768', '-32769']) {
      expectFault(await log(`<MaxRecords>${text}</MaxRecords>`), 'F6', { item: 'MaxRecords' });
    }
    const message = 'A number from 0 on is expected.';
    expectFault(await log('<MaxRecords>-1</MaxRecords>'), 'F6', { item: 'MaxRecords', message });
  });

  test('X31 a number given twice is refused, a nil one is not given, white space around one is trimmed', async () => {
    expectFault(await log('<UserID>0</UserID><UserID>0</UserID>'), 'F6', { item: 'UserID' });
    expectFault(await log('<MaxRecords>1</MaxRecords><MaxRecords>1</MaxRecords>'), 'F6', { item: 'MaxRecords' });
    const own = await log(`<UserID ${xsi} xsi:nil="true"/><MaxRecords> 5 </MaxRecords>`);
    expect(resultOf(own, 'SessionLog')).toContain('<UserID>12345</UserID>');
  });

  test('X31 a user name given twice is refused, and so are two names with two values', async () => {
    expectFault(await ask(loginBody(login, `<UserName>${login}</UserName>`)), 'F6', { item: 'UserName' });
    expectFault(await ask(loginBody(login, '<Email>other</Email>')), 'F6', { item: 'UserName' });
  });

  test.each(['adm<!-- -->in', 'adm<![CDATA[in]]>', '<![CDATA[adm]]><!-- x --><![CDATA[in]]>', '&#97;dmi&#x6E;'])(
    'X38 the user name %s is the joined text',
    async (userName) => {
      expect(resultOf(await ask(loginBody(userName)), 'Login')).toMatch(guidPattern);
    },
  );

  test.each(['adm<!-- -->i', 'adm<![CDATA[ in]]>', 'ad<x>m</x>in'])(
    'X38 the user name %s is another one',
    async (userName) => {
      expectFault(await ask(loginBody(userName)), 'F2');
    },
  );

  test('[16] X35 B08 a body of one byte too many, of 1 MB and of 2 MB is refused, with length and chunked', async () => {
    const text = soundLogout(ground, version);
    const padded = (length: number) => text.replace('</soap:Body>', `</soap:Body>${' '.repeat(length - text.length)}`);
    for (const [length, chunked] of [
      [65_537, false],
      [65_537, true],
      [1_000_000, false],
      [2 * 1024 * 1024, true],
    ] as const) {
      const answer = await attack(ground, padded(length), { version, chunked });
      expect(answer.status).toBe(413);
      expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
      expect(answer.headers.get('connection')).toBe('close');
    }
    const question = soundQuestion(ground, version);
    const longest = question.replace('</soap:Body>', `</soap:Body>${' '.repeat(65_536 - question.length)}`);
    for (const chunked of [false, true]) {
      expect((await attack(ground, longest, { version, chunked })).status).toBe(200);
    }
  });

  test('X09 X10 X14 100,000 levels, 50,000 attributes and 100,000 times < are too large', async () => {
    const attributes = Array.from({ length: 50_000 }, (_, index) => `a${index}=""`).join(' ');
    for (const text of ['<a>'.repeat(100_000), `<a ${attributes}/>`, '<'.repeat(100_000)]) {
      const answer = await attack(ground, text, { version });
      expect(answer.status).toBe(413);
      expect(answer.headers.get('connection')).toBe('close');
    }
  });
});

describe('a message repeated', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.close());

  test('X36 the same Login message opens a new session each time, and all of them live', async () => {
    const text = envelope(loginBody(login));
    const ids = await Promise.all(Array.from({ length: 5 }, async () => resultOf(await post(server, text), 'Login')));
    expect(new Set(ids).size).toBe(5);
    for (const id of ids) expect((await sessionInfo(server, id))['UserID']).toBe('1');
  });

  test('X37 a thousand faults leave no more log lines than faults, each short, and the server answers', async () => {
    const before = server.log.length;
    const faults = Array.from({ length: 1_000 }, () => post(server, '<!DOCTYPE x>'));
    for (const answer of await Promise.all(faults)) expectFault(answer, 'F11');
    const lines = server.log.slice(before);
    expect(lines.length).toBeLessThanOrEqual(1_000);
    expect(lines.filter((line) => line.length > 2_048 || line.includes('DOCTYPE'))).toEqual([]);
    expect((await call(server, 'Version')).status).toBe(200);
  });

  test('X32 MaxRecords 0, 101 and 32767 count as 100, and 1 as 1', async () => {
    const soap = demoUsers.soap;
    let id = '';
    for (let count = 0; count < 102; count += 1) id = await soapLogin(server, soap);
    const records = async (MaxRecords: number) => {
      const answer = await call(server, 'SessionLog', { SessionID: id, UserID: 0, MaxRecords });
      return resultOf(answer, 'SessionLog').split('<SessionIDInfo>').length - 1;
    };
    expect(await Promise.all([0, 101, 32_767, 100, 1].map(records))).toEqual([100, 100, 100, 100, 1]);
  });
});
