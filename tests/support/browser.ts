import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';

/** Where the packages of the browser tests are; they install apart from the root, so that the root stays small. */
export const browserFolder = join(import.meta.dir, '..', 'browser');
const packages = join(browserFolder, 'node_modules');
const packedChromium = join(packages, '@sparticuz', 'chromium', 'bin', 'chromium.br');

/** What is missing for tests in a browser, as the end of a test's name; empty where they can run. */
export const missingForBrowser = findMissing();

function findMissing(): string {
  if (!existsSync(join(packages, 'playwright-core'))) return ' (needs npm ci --ignore-scripts --prefix tests/browser)';
  return chromiumSource() === null ? ' (needs a Chromium: name it in CARDEA_TEST_CHROMIUM)' : '';
}

/** The part of playwright-core that the tests use; the package has its own types, which the root does not install. */
export type Page = {
  goto(url: string): Promise<unknown>;
  reload(): Promise<unknown>;
  fill(selector: string, value: string): Promise<void>;
  click(selector: string): Promise<void>;
  /** Waits for the element. */
  textContent(selector: string): Promise<string | null>;
  waitForSelector(selector: string): Promise<unknown>;
  waitForRequest(url: string): Promise<{ headers(): Record<string, string> }>;
  waitForResponse(url: string): Promise<{ status(): number; request(): { headers(): Record<string, string> } }>;
  /** Runs the text in the page and resolves to what it comes to. */
  evaluate(script: string): Promise<unknown>;
};
export type Visit = {
  setDefaultTimeout(milliseconds: number): void;
  newPage(): Promise<Page>;
  cookies(): Promise<{ name: string; value: string }[]>;
  close(): Promise<void>;
};
type PlaywrightBrowser = { newContext(): Promise<Visit>; close(): Promise<void> };
type Playwright = {
  readonly chromium: { launch(options: { executablePath: string; args: string[] }): Promise<PlaywrightBrowser> };
};

export type Browser = {
  /** A browser that has never been anywhere. */
  visit(): Promise<Visit>;
  close(): Promise<void>;
};

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** How long a page may take to come to what a test waits for. */
const waitMs = 10_000;

/** A headless Chromium with an empty profile and its own rules on origins, unpacked for this run where it comes packed. */
export async function startBrowser(): Promise<Browser> {
  const folder = mkdtempSync(join(tmpdir(), 'cardea-browser-'));
  const { chromium } = (await import(join(packages, 'playwright-core', 'index.mjs'))) as Playwright;
  const browser = await chromium.launch({ executablePath: await unpack(folder), args: flags });
  return {
    async visit() {
      const visit = await browser.newContext();
      // Below the limit of a test: a test that runs into its own takes the browser, a child of the run, with it.
      visit.setDefaultTimeout(waitMs);
      return visit;
    },
    async close() {
      await browser.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A browser's file, packed or not; the package carries one for Linux on x64. */
function chromiumSource(): string | null {
  const named = process.env['CARDEA_TEST_CHROMIUM'];
  if (named !== undefined) return named;
  if (process.platform === 'linux' && process.arch === 'x64' && existsSync(packedChromium)) return packedChromium;
  return existsSync('/usr/bin/chromium') ? '/usr/bin/chromium' : null;
}

async function unpack(folder: string): Promise<string> {
  const source = chromiumSource() ?? '';
  if (!source.endsWith('.br')) return source;
  const file = join(folder, 'chromium');
  await Bun.write(file, brotliDecompressSync(await Bun.file(source).bytes()));
  chmodSync(file, 0o700);
  return file;
}
