import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { demoKey, demoUsers } from '../../src/cli/demo-data.ts';
import { dotnetPost, ensureSuccess, readApiResponse } from '../support/dotnet.ts';
import { type Recorder, startRecorder } from '../support/recorder.ts';
import { runProgram, runSample, runtimes, type SampleLanguage } from '../support/samples.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/**
 * The samples that the contract's pages print, as their readers run them. `samples/` holds the published texts character for
 * character; a run replaces the address and nothing else.
 */

const languages = ['curl', 'node', 'python', 'java'] as const;
const farFuture = '9999-01-01T00:00:00Z';
const sessionText = `{"success":true,"data":{"userId":4821,"login":"jsmith@example.com","networkId":1,"mailboxId":101,"authLevel":"MailboxAdmin","expiresAt":"${farFuture}"},"errorCode":"","message":""}`;
const badKeyText =
  '{"success":false,"data":null,"errorCode":"InvalidAPIKey","message":"The API key is not valid or has been revoked."}';
const tokenPattern = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9\\.[\\w-]+\\.[\\w-]+';

let server: TestServer;
let recorder: Recorder;
beforeAll(async () => {
  server = await startTestServer();
  recorder = await startRecorder(server.url);
});
afterAll(async () => {
  recorder.close();
  await server.close();
});

/** A test that is skipped, with what to install in its name, where the machine has no such runtime. */
function testWith(language: SampleLanguage, name: string, body: () => Promise<void>): void {
  const { command, needs } = runtimes[language];
  test.skipIf(command === null)(command === null ? `${name} (needs ${needs})` : name, body);
}

/** What each program prints for the answer of the session operation; Node and Python print in their own notation. */
const printedSession: Readonly<Record<SampleLanguage, RegExp>> = {
  curl: exactly(sessionText),
  java: exactly(`${sessionText}\n`),
  python: exactly(
    `{'success': True, 'data': {'userId': 4821, 'login': 'jsmith@example.com', 'networkId': 1, 'mailboxId': 101, 'authLevel': 'MailboxAdmin', 'expiresAt': '${farFuture}'}, 'errorCode': '', 'message': ''}\n`,
  ),
  node: /^\{\s+success: true,\s+data: \{\s+userId: 4821,\s+login: ['"]jsmith@example\.com['"],\s+networkId: 1,\s+mailboxId: 101,\s+authLevel: ['"]MailboxAdmin['"],\s+expiresAt: ['"]9999-01-01T00:00:00Z['"],?\s+\},\s+errorCode: (''|""),\s+message: (''|""),?\s+\}\n$/,
};

/** The same for login, with the token as the only group. */
const printedLogin: Readonly<Record<SampleLanguage, RegExp>> = {
  curl: envelopeOfLogin('', ''),
  java: envelopeOfLogin('', '\n'),
  python: new RegExp(
    `^\\{'success': True, 'data': \\{'token': '(${tokenPattern})', 'expiresAt': '2026-05-07T18:30:00Z', 'userId': 4821\\}, 'errorCode': '', 'message': ''\\}\n$`,
  ),
  node: new RegExp(
    `^\\{\\s+success: true,\\s+data: \\{\\s+token: ['"](${tokenPattern})['"],\\s+expiresAt: ['"]2026-05-07T18:30:00Z['"],\\s+userId: 4821,?\\s+\\},\\s+errorCode: (?:''|""),\\s+message: (?:''|""),?\\s+\\}\n$`,
  ),
};

function exactly(text: string): RegExp {
  return new RegExp(`^${RegExp.escape(text)}$`);
}

function envelopeOfLogin(before: string, after: string): RegExp {
  return new RegExp(
    `^${before}\\{"success":true,"data":\\{"token":"(${tokenPattern})","expiresAt":"2026-05-07T18:30:00Z","userId":4821\\},"errorCode":"","message":""\\}${after}$`,
  );
}

describe.each(languages.map((language) => [language]))('the published %s samples', (language) => {
  testWith(language, `[26] session: ${language} prints who the key belongs to`, async () => {
    const said = await runSample(language, 'session', { url: server.url, apiKey: demoKey });
    expect(said.stdout).toMatch(printedSession[language]);
    expect(said.code).toBe(0);
  });

  testWith(
    language,
    `[26] login: ${language} gets a token that opens the session, whatever its key header says`,
    async () => {
      const said = await runSample(language, 'login', { url: server.url, apiKey: 'the-key-i-do-not-have-yet' });
      const token = printedLogin[language].exec(said.stdout)?.[1] ?? said.stdout;
      expect(said.code).toBe(0);
      const headers = { authorization: `Bearer ${token}` };
      const session = await fetch(`${server.url}/v2/auth/session`, { method: 'POST', headers });
      expect(await session.text()).toBe(sessionText.replace(farFuture, '2026-05-07T18:30:00Z'));
    },
  );
});

describe('a refusal, as the samples see it', () => {
  const apiKey = '00000000-0000-0000-0000-000000000000';

  testWith('curl', '[26] curl prints the envelope', async () => {
    const said = await runSample('curl', 'session', { url: server.url, apiKey });
    expect(said).toMatchObject({ code: 0, stdout: badKeyText });
  });

  testWith('java', '[26] Java prints the envelope', async () => {
    const after = 'System.out.println(response.statusCode());';
    const said = await runSample('java', 'session', { url: server.url, apiKey, after });
    expect(said).toMatchObject({ code: 0, stdout: `${badKeyText}\n401\n` });
  });

  testWith('node', '[26] Node, which parses without asking for the status, finds JSON', async () => {
    const said = await runSample('node', 'session', { url: server.url, apiKey });
    expect(said.stdout).toMatch(/success: false,\s+data: null,\s+errorCode: ['"]InvalidAPIKey['"]/);
    expect(said.code).toBe(0);
  });

  testWith('python', '[26] Python raises for the status', async () => {
    const said = await runSample('python', 'session', { url: server.url, apiKey });
    expect(said.stderr).toContain('requests.exceptions.HTTPError: 401 Client Error');
    expect(said).toMatchObject({ code: 1, stdout: '' });
  });

  testWith('python', '[26] Python with a .netrc entry for the host adds Basic, which is a bad bearer', async () => {
    recorder.take();
    const netrc = 'machine 127.0.0.1 login jsmith password secret\n';
    const said = await runSample('python', 'session', { url: recorder.url, apiKey: demoKey, netrc });
    expect(said.stderr).toContain('401 Client Error');
    const sent = recorder.take();
    expect(sent).toContain(`X-API-Key: ${demoKey}`);
    expect(sent).toMatch(/^Authorization: Basic /m);
  });
});

describe('Java over plain HTTP', () => {
  testWith('java', '[27] the offer of h2c is answered 200 over HTTP/1.1', async () => {
    recorder.take();
    const after = 'System.out.println(response.version() + " " + response.statusCode());';
    const said = await runSample('java', 'login', { url: recorder.url, apiKey: demoKey, after });
    expect(said.stdout).toEndWith('\nHTTP_1_1 200\n');
    const sent = recorder.take();
    expect(sent).toMatch(/^Upgrade: h2c\r$/m);
    expect(sent).toMatch(/^HTTP2-Settings: /m);
  });

  testWith('java', '[27] logout without a body, `noBody()`, is answered 200 over HTTP/1.1', async () => {
    const text = [
      'import java.net.URI;',
      'import java.net.http.*;',
      'HttpRequest request = HttpRequest.newBuilder()',
      `.uri(URI.create("${server.url}/v2/auth/logout"))`,
      '.header("X-API-Key", System.getenv("ECGRID_API_KEY"))',
      '.POST(HttpRequest.BodyPublishers.noBody()).build();',
      'HttpResponse<String> response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());',
      'System.out.println(response.version() + " " + response.statusCode() + " " + response.body());',
    ].join('\n');
    const said = await runProgram('java', text, { apiKey: demoKey });
    const body = '{"success":true,"data":null,"errorCode":"","message":"Session terminated."}';
    expect(said.stdout).toBe(`HTTP_1_1 200 ${body}\n`);
  });
});

describe('the instant that a key without end prints', () => {
  testWith('java', '[3] is an instant for Java, in every time zone', async () => {
    const text = [
      'import java.time.*;',
      `Instant end = Instant.parse("${farFuture}");`,
      'System.out.println(end.atZone(ZoneId.of("Pacific/Kiritimati")).getYear() + " " + end.getEpochSecond());',
    ].join('\n');
    expect((await runProgram('java', text, { apiKey: '' })).stdout).toBe('9999 253370764800\n');
  });

  testWith('python', '[3] is an instant for Python, read as UTC', async () => {
    const text = [
      'from datetime import datetime, timezone',
      `end = datetime.strptime("${farFuture}", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)`,
      'print(int(end.timestamp()))',
    ].join('\n');
    expect((await runProgram('python', text, { apiKey: '' })).stdout).toBe('253370764800\n');
  });

  testWith('node', '[3] is an instant for JavaScript', async () => {
    const text = `console.log(new Date("${farFuture}").getTime());`;
    expect((await runProgram('node', text, { apiKey: '' })).stdout).toBe('253370764800000\n');
  });
});

/** No C# here: its client's bytes and its reading rules are rebuilt in `support/dotnet.ts`. */
describe('the published C# samples', () => {
  const sessionData = {
    UserId: 'int',
    Login: 'string',
    NetworkId: 'int',
    MailboxId: 'int',
    AuthLevel: 'string',
    ExpiresAt: 'DateTime',
  } as const;
  const loginData = { Token: 'string', ExpiresAt: 'DateTime', UserId: 'int' } as const;
  const john = { login: demoUsers.john.login, password: demoUsers.john.password };

  test('[26][3] session: PostAsync with content null reads into records without nullable fields', async () => {
    const answer = await dotnetPost(`${server.url}/v2/auth/session`, { 'X-API-Key': demoKey });
    ensureSuccess(answer);
    expect(readApiResponse(answer, sessionData)).toEqual({
      UserId: 4821,
      Login: 'jsmith@example.com',
      NetworkId: 1,
      MailboxId: 101,
      AuthLevel: 'MailboxAdmin',
      ExpiresAt: new Date(Date.UTC(9999, 0, 1)),
    });
  });

  test('[26][4] session: a user without mailbox still has whole numbers', async () => {
    const { login, password } = demoUsers.admin;
    const opened = readApiResponse(await dotnetPost(`${server.url}/v2/auth/login`, {}, { login, password }), loginData);
    const headers = { Authorization: `Bearer ${String(opened?.['Token'])}` };
    const answer = await dotnetPost(`${server.url}/v2/auth/session`, headers);
    expect(readApiResponse(answer, sessionData)).toMatchObject({ UserId: 1, NetworkId: 1, MailboxId: 0 });
  });

  test('[26] login: PostAsJsonAsync in chunks with the default key, then both credential headers', async () => {
    const opened = await dotnetPost(`${server.url}/v2/auth/login`, { 'X-API-Key': demoKey }, john);
    ensureSuccess(opened);
    const data = readApiResponse(opened, loginData);
    expect(data).toMatchObject({ UserId: 4821, ExpiresAt: new Date('2026-05-07T18:30:00Z') });
    const both = { 'X-API-Key': demoKey, Authorization: `Bearer ${String(data?.['Token'])}` };
    const session = readApiResponse(await dotnetPost(`${server.url}/v2/auth/session`, both), sessionData);
    expect(session).toMatchObject({ UserId: 4821, ExpiresAt: new Date('2026-05-07T18:30:00Z') });
    ensureSuccess(await dotnetPost(`${server.url}/v2/auth/logout`, both));
    const after = await dotnetPost(`${server.url}/v2/auth/session`, both);
    expect(() => ensureSuccess(after)).toThrow('401');
    expect(readApiResponse(after, sessionData)).toBeNull();
  });

  test('[26][25] every failure throws on its status and still reads as an ApiResponse', async () => {
    const post = (path: string, headers: Record<string, string>, json?: unknown) =>
      dotnetPost(server.url + path, headers, json);
    const answers = await Promise.all([
      post('/v2/auth/session', {}),
      post('/v2/auth/session', { 'X-API-Key': 'nonsense' }),
      post('/v2/auth/login', {}, { ...john, password: 'wrong' }),
      post('/v2/auth/login', {}, { login: 4821 }),
      post('/v2/auth/login', {}),
      post('/v2/auth/nothing', {}),
      post('/v2/auth/version', {}),
      post('/v2/auth/login', {}, { ...john, padding: 'x'.repeat(20_000) }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 400, 400, 404, 405, 413]);
    for (const answer of answers) {
      expect(() => ensureSuccess(answer)).toThrow();
      expect(readApiResponse(answer, sessionData)).toBeNull();
    }
  });
});
