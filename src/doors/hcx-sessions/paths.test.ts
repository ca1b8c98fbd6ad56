import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  adminPath,
  byToken,
  expectError,
  hcx,
  hybridityPath,
  patient,
  readErrorMap,
  refusals,
  signIn,
} from '../../../tests/support/hcx.ts';
import { startTestServer, type TestServer } from '../../../tests/support/server.ts';
import { breakStore } from '../../../tests/support/store-trouble.ts';
import { demoUsers } from '../../cli/demo-data.ts';

const { admin } = demoUsers;
const right = { username: admin.login, password: admin.password };
const allowed = 'GET, HEAD, POST, DELETE, OPTIONS';

let server: TestServer;
let token: string;
beforeAll(async () => {
  server = await startTestServer({ settings: patient });
  token = await signIn(server, admin);
});
afterAll(() => server.close());

describe('paths and methods', () => {
  test.each([
    '/api/admin/v1/session',
    '/api/admin/v1/sessions/',
    '/API/admin/v1/sessions',
    '/api/admin/v1/',
    '/api/admin/global/config/vcenter',
    '/hybridity/api/sessions',
    '/',
    '/nothing',
  ])('[16] %s on the appliance listener is 404, with and without a credential', async (path) => {
    for (const headers of [{ accept: '*/*' }, { accept: '*/*', ...byToken(token) }]) {
      for (const method of ['GET', 'POST', 'DELETE']) {
        expectError(await hcx(server.httpsUrl, method, path, { headers }), ...refusals.notFound);
      }
    }
  });

  test.each(['/api/admin/v1/session', '/api/admin/v1/sessions/', '/hybridity/', '/hybridity/api/other'])(
    '[16] %s on the main listener is 404 in the shape of this door',
    async (path) => expectError(await hcx(server.url, 'GET', path), ...refusals.notFound),
  );

  test.each(['PUT', 'PATCH', 'TRACE'])('[16] %s is 405 with the methods there are', async (method) => {
    for (const origin of [server.httpsUrl, server.url]) {
      const answer = await hcx(origin, method, adminPath);
      expectError(answer, ...refusals.method);
      expect(answer.headers.get('allow')).toBe(allowed);
    }
  });

  test.each(['GET', 'HEAD', 'DELETE', 'PUT'])('[16] %s of the web login is 405', async (method) => {
    for (const path of [hybridityPath, '/hybridity/api/session']) {
      const answer = await hcx(server.url, method, path, { headers: byToken(token) });
      expect(answer.status).toBe(405);
      if (method !== 'HEAD') expectError(answer, ...refusals.method);
      expect(answer.headers.get('allow')).toBe('POST, OPTIONS');
    }
  });

  test('a query changes nothing', async () => {
    const answer = await hcx(server.httpsUrl, 'GET', `${adminPath}?a=/b`, { headers: byToken(token) });
    expect(answer.status).toBe(200);
  });

  test('[17] HEAD has the status and headers of GET, and no body', async () => {
    for (const headers of [{}, byToken(token)]) {
      const [head, get] = [
        await hcx(server.httpsUrl, 'HEAD', adminPath, { headers }),
        await hcx(server.httpsUrl, 'GET', adminPath, { headers }),
      ];
      // `Headers` ignores letter case, which the runtime chooses for the length of a HEAD.
      const own = ({ headers: all }: typeof get) =>
        [...all].filter(([name]) => !/^(date|x-transaction-id)$/.test(name));
      expect([head.status, own(head)]).toEqual([get.status, own(get)]);
    }
  });

  test('[17] OPTIONS is 204 with the methods there are, whatever the origin', async () => {
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'GET' };
    const answer = await hcx(server.httpsUrl, 'OPTIONS', adminPath, { headers });
    expect([answer.status, answer.headers.get('allow')]).toEqual([204, allowed]);
    const web = await hcx(server.url, 'OPTIONS', hybridityPath, { headers });
    expect([web.status, web.headers.get('allow')]).toEqual([204, 'POST, OPTIONS']);
  });
});

describe('the format of errors below /hybridity/', () => {
  const formats: [string | null, 'xml' | 'json'][] = [
    [null, 'xml'],
    ['', 'xml'],
    ['application/xml', 'xml'],
    ['text/xml, application/xml;q=0.9', 'xml'],
    ['*/*', 'json'],
    ['application/json', 'json'],
    ['application/*', 'json'],
    ['application/xml, */*', 'json'],
    ['text/html', 'json'],
  ];

  const weary = { username: 'weary', password: 'wrong' };
  beforeAll(async () => {
    while ((await hcx(server.url, 'POST', hybridityPath, { body: weary })).status !== 429);
  }, 30_000);

  test.each(formats)('[19] Accept %p makes them %s: 400, 401, 404, 405, 429, 503', async (accept, format) => {
    const headers: Record<string, string> = accept === null ? {} : { accept };
    const ask = (method: string, path: string, body?: unknown) =>
      hcx(server.url, method, path, body === undefined ? { headers } : { headers, body });
    const wrong = await ask('POST', hybridityPath, { ...right, password: 'wrong' });
    expectError(wrong, ...refusals.wrongLogin);
    const answers = [
      wrong,
      await ask('POST', hybridityPath, []),
      await ask('POST', '/hybridity/api/other', {}),
      await ask('GET', hybridityPath),
      await ask('POST', hybridityPath, weary),
    ];
    const trouble = breakStore(server);
    answers.push(await ask('POST', hybridityPath, right));
    trouble.mend();
    expect(answers.map(({ status }) => status)).toEqual([401, 400, 404, 405, 429, 503]);
    const types = answers.map((answer) => answer.headers.get('content-type'));
    expect(types).toEqual(Array<string>(6).fill(`application/${format};charset=UTF-8`));
    if (format === 'json') return;
    for (const { text, status } of answers) {
      // All members; 429 has no code.
      expect(Object.keys(readErrorMap(text))).toHaveLength(status === 429 ? 5 : 6);
      expect(text).not.toMatch(/trusted root/i);
    }
    // A good answer is JSON whatever was asked for.
    expect((await ask('POST', hybridityPath, right)).headers.get('content-type')).toBe(
      'application/json;charset=UTF-8',
    );
  });

  test('[19] the document of a wrong login, letter by letter', async () => {
    const { text } = await hcx(server.url, 'POST', hybridityPath, { body: { ...right, password: 'wrong' } });
    expect(text.replace(/\d{13}/, 'TIME')).toBe(
      '<?xml version="1.0" encoding="UTF-8"?><map><entry><string>success</string><string>false</string></entry>' +
        '<entry><string>completed</string><string>false</string></entry><entry><string>time</string><string>TIME</string></entry>' +
        '<entry><string>version</string><string>1.0</string></entry>' +
        '<entry><string>errorCode</string><string>INVALID_CREDENTIALS</string></entry>' +
        '<entry><string>message</string><string>Invalid username or password.</string></entry></map>',
    );
  });

  test('[19] outside of it errors are JSON even for who asks for XML', async () => {
    const answer = await hcx(server.url, 'GET', adminPath, { headers: { accept: 'application/xml' } });
    expectError(answer, ...refusals.noContext);
    expect(answer.headers.get('content-type')).toBe('application/json;charset=UTF-8');
  });
});
