import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { demoUsers } from '../../src/cli/demo-data.ts';
import { type Browser, missingForBrowser, type Page, startBrowser, type Visit } from '../support/browser.ts';
import { type Front, startFront } from '../support/front.ts';
import { buildNuxtApp, type NuxtApp, startNuxtApp } from '../support/nuxt-app.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

/** `nuxt-app/` with the unmodified library, its server and its pages, in a real browser. */

const { login: email, password } = demoUsers.john;
const isMissing = missingForBrowser !== '';

let server: TestServer;
let browser: Browser;
let apps: NuxtApp[];
/** Application and Cardea behind one origin. */
let shared: Front;
/** The application alone, at an origin that Cardea allows. */
let allowed: Front;
/** The same application at an origin that nobody allowed. */
let foreign: Front;

beforeAll(async () => {
  if (isMissing) return;
  await buildNuxtApp();
  [shared, allowed, foreign] = [startFront(), startFront(), startFront()];
  server = await startTestServer({ settings: { CARDEA_CORS_ORIGINS: allowed.url } });
  apps = await Promise.all([startNuxtApp(`${shared.url}/auth`), startNuxtApp(`${server.url}/auth`)]);
  const [besideCardea, elsewhere] = apps.map(({ socket }) => ({ socket })) as [NuxtApp, NuxtApp];
  shared.put('/', besideCardea);
  shared.put('/auth/', server);
  for (const front of [allowed, foreign]) front.put('/', elsewhere);
  browser = await startBrowser();
}, 240_000);
afterAll(async () => {
  if (isMissing) return;
  await browser.close();
  await Promise.all([...apps.map((app) => app.stop()), ...[shared, allowed, foreign].map((front) => front.close())]);
  await server.close();
});

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

async function open(url: string): Promise<void> {
  await page.goto(url);
  await page.waitForSelector('main[data-ready=true]');
}

async function submit(secret: string): Promise<void> {
  await page.fill('[name=email]', email);
  await page.fill('[name=password]', secret);
  await page.click('button');
}

async function tokenCookie(): Promise<string> {
  return (await visit.cookies()).find(({ name }) => name === 'auth.token')?.value ?? '';
}

async function statusOf(token: string): Promise<number> {
  return (await fetch(`${server.url}/auth/session`, { headers: { Authorization: `Bearer ${token}` } })).status;
}

const places: [place: string, front: () => Front][] = [
  ['at the origin of Cardea', () => shared],
  ['at another, allowed origin', () => allowed],
];

describe.each(places)('@sidebase/nuxt-auth with only a base URL, %s', (_place, front) => {
  testInBrowser('[21] signs in, and shows the e-mail after a reload', async () => {
    await open(front().url);
    const asked = page.waitForResponse('**/auth/session');
    await submit(password);
    expect(await page.textContent('#email')).toBe('jsmith@example.com');
    // The browser itself asks after the login; after a reload the application's server does.
    const { authorization } = (await asked).request().headers() as { authorization: string };
    expect(authorization).toBe(`Bearer ${await tokenCookie()}`);
    await page.reload();
    expect(await page.textContent('#email')).toBe('jsmith@example.com');
  });

  testInBrowser('[21] signs out, and the session is over at the server too', async () => {
    await open(front().url);
    await submit(password);
    await page.waitForSelector('#email');
    const token = await tokenCookie();
    expect(await statusOf(token)).toBe(200);
    const answer = page.waitForResponse('**/auth/logout');
    await page.click('button');
    expect((await answer).status()).toBe(200);
    await page.waitForSelector('form');
    expect(await statusOf(token)).toBe(401);
    await page.reload();
    await page.waitForSelector('form');
  });

  testInBrowser('[21] shows a 401 for a wrong password', async () => {
    await open(front().url);
    const answer = page.waitForResponse('**/auth/login');
    await submit('not the password');
    expect((await answer).status()).toBe(401);
    await page.waitForSelector('#refusal:not(:empty)');
    expect(await page.textContent('#refusal')).toBe('401 The credentials are not valid.');
  });

  testInBrowser('[21] asks again when the window has the focus, and forgets a session that has ended', async () => {
    await open(front().url);
    await submit(password);
    await page.waitForSelector('#email');
    const headers = { Authorization: `Bearer ${await tokenCookie()}` };
    expect((await fetch(`${server.url}/auth/logout`, { method: 'POST', headers })).status).toBe(200);
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    await page.waitForSelector('form');
    expect(await tokenCookie()).toBe('');
  });
});

describe('@sidebase/nuxt-auth at an origin that is not allowed', () => {
  testInBrowser('[15] gets no answer that it could read, and no session', async () => {
    await open(foreign.url);
    await submit(password);
    await page.waitForSelector('#refusal:not(:empty)');
    expect(await page.textContent('#refusal')).toBe('No answer.');
    expect(await tokenCookie()).toBe('');
  });
});
