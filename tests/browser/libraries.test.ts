import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { demoUsers } from '../../src/cli/demo-data.ts';
import {
  type Browser,
  browserFolder,
  missingForBrowser,
  type Page,
  startBrowser,
  type Visit,
} from '../support/browser.ts';
import { type Front, startFront } from '../support/front.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** Libraries that sign in from a page without a server of its own; `pages/` sets them up as their guides say. */

const user = JSON.stringify({ email: demoUsers.john.login, password: demoUsers.john.password });
const stranger = JSON.stringify({ email: demoUsers.john.login, password: 'not the password' });
const isMissing = missingForBrowser !== '';
const libraries = ['satellizer', 'vue-authenticate'] as const;

let server: TestServer;
let browser: Browser;
let shared: Front;
let allowed: Front;
beforeAll(async () => {
  if (isMissing) return;
  [shared, allowed] = [startFront(), startFront()];
  server = await startTestServer({ settings: { CARDEA_CORS_ORIGINS: allowed.url } });
  // These libraries compare a token's `exp` with the browser's clock.
  server.clock.nowMs = Date.now();
  shared.put('/auth/', server);
  for (const library of libraries) await putPage(library);
  browser = await startBrowser();
}, 60_000);
afterAll(async () => {
  if (isMissing) return;
  await browser.close();
  await Promise.all([shared.close(), allowed.close(), server.close()]);
});

async function putPage(library: string): Promise<void> {
  const script = await bundle(library);
  const html = `<!doctype html><html><title>${library}</title><body><script src="/${library}.js"></script></body></html>`;
  for (const front of [shared, allowed]) {
    front.put(`/${library}`, { text: html, type: 'text/html' });
    front.put(`/${library}.js`, { text: script, type: 'text/javascript' });
  }
}

async function bundle(library: string): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [join(browserFolder, 'pages', `${library}.js`)],
    target: 'browser',
    format: 'iife',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  return outputs[0]?.text() ?? '';
}

let visit: Visit;
let page: Page;
beforeEach(async () => {
  if (isMissing) return;
  visit = await browser.visit();
  page = await visit.newPage();
});
afterEach(async () => {
  if (!isMissing) await visit.close();
});

function testInBrowser(name: string, body: () => Promise<void>): void {
  test.skipIf(isMissing)(`${name}${missingForBrowser}`, body);
}

const settings = { satellizer: 'with its defaults', 'vue-authenticate': "with tokenPath 'token'" } as const;
const cases = libraries.flatMap((library) => [
  [library, 'at the origin of Cardea', () => `${shared.url}/${library}`] as const,
  [library, 'at another, allowed origin', () => `${allowed.url}/${library}?baseUrl=${server.url}`] as const,
]);

for (const [library, place, url] of cases) {
  describe(`${library} ${settings[library]}, ${place}`, () => {
    testInBrowser(`[22] ${library} signs in, and sends its token with the next call (${place})`, async () => {
      await page.goto(url());
      const answer = await page.evaluate(`page.signIn(${user})`);
      const { token } = answer as { token: string };
      expect(await page.evaluate('[page.token(), page.isSignedIn()]')).toEqual([token, true]);
      const asked = page.waitForRequest('**/auth/session');
      expect(await page.evaluate('page.readSession()')).toEqual(answer);
      expect((await asked).headers()['authorization']).toBe(`Bearer ${token}`);
      await page.reload();
      expect(await page.evaluate('[page.token(), page.isSignedIn()]')).toEqual([token, true]);
    });

    testInBrowser(
      `[22] ${library}: token and primaryAccount.accountId of the answer are filled (${place})`,
      async () => {
        await page.goto(url());
        const script = `page.signIn(${user}).then(({ token, primaryAccount }) => [token, primaryAccount.accountId])`;
        const [token, accountId] = (await page.evaluate(script)) as unknown[];
        expect(token).toMatch(/^eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9\.[\w-]+\.[\w-]+$/);
        expect(accountId).toBe('1');
      },
    );

    testInBrowser(`[22] ${library} stays signed out after a wrong password (${place})`, async () => {
      await page.goto(url());
      // One library hands on the answer itself, the other an error that holds it.
      const script = `page.signIn(${stranger}).catch((error) => (error.response ?? error).status)`;
      expect(await page.evaluate(script)).toBe(401);
      expect(await page.evaluate('page.isSignedIn()')).toBe(false);
    });
  });
}

describe('a script of the Pulse front-end, section 8', () => {
  testInBrowser(
    '[22] sends token and account of the login answer as Bearer and X-Account-ID from another origin',
    async () => {
      await page.goto(`${allowed.url}/satellizer?baseUrl=${server.url}`);
      const script = `(async () => {
      const { token, primaryAccount } = await page.signIn(${user});
      const headers = { Authorization: 'Bearer ' + token, 'X-Account-ID': primaryAccount.accountId };
      const session = await (await fetch('${server.url}/auth/session', { headers })).json();
      return [session.email, session.currentAccountId];
    })()`;
      expect(await page.evaluate(script)).toEqual(['jsmith@example.com', '1']);
    },
  );
});
