import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { browserFolder } from './browser.ts';

const source = join(browserFolder, 'nuxt-app');
const builtServer = join(source, '.output', 'server', 'index.mjs');
/** Names what the build was made from. */
const stamp = join(source, '.output', 'stamp');
const madeFrom = ['nuxt-app/app.vue', 'nuxt-app/nuxt.config.js', 'package-lock.json'];

export type NuxtApp = { readonly socket: string; stop(): Promise<void> };

/** Builds the application unless the build at hand is of these very sources. */
export async function buildNuxtApp(): Promise<void> {
  const texts = await Promise.all(madeFrom.map((path) => Bun.file(join(browserFolder, path)).text()));
  const fingerprint = new Bun.CryptoHasher('sha256').update(texts.join('\0')).digest('hex');
  if (existsSync(builtServer) && existsSync(stamp) && (await Bun.file(stamp).text()) === fingerprint) return;
  const command = [node(), join(browserFolder, 'node_modules', 'nuxt', 'bin', 'nuxt.mjs'), 'build'];
  const env = { PATH: process.env['PATH'] ?? '', HOME: tmpdir(), NUXT_TELEMETRY_DISABLED: '1' };
  const build = Bun.spawn(command, { cwd: source, env, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  const [stdout, stderr, code] = await Promise.all([build.stdout.text(), build.stderr.text(), build.exited]);
  if (code !== 0) throw new Error(`The Nuxt application cannot be built:\n${stdout}\n${stderr}`);
  await Bun.write(stamp, fingerprint);
}

/** Runs the built application, which calls Cardea at `baseUrl` from its server and from the browser. */
export async function startNuxtApp(baseUrl: string): Promise<NuxtApp> {
  const folder = mkdtempSync(join(tmpdir(), 'cardea-nuxt-'));
  const socket = join(folder, 'app.sock');
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    NITRO_UNIX_SOCKET: socket,
    NUXT_PUBLIC_AUTH_BASE_URL: baseUrl,
  };
  const app = Bun.spawn([node(), builtServer], { env, stdin: 'ignore', stdout: 'pipe', stderr: 'ignore' });
  // Its first words are that it listens.
  const { done } = await app.stdout.getReader().read();
  if (done) throw new Error('The Nuxt application has ended before it listened.');
  return {
    socket,
    async stop() {
      // At once: its own way of stopping waits for idle connections.
      app.kill('SIGKILL');
      await app.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function node(): string {
  return Bun.which('node') ?? process.execPath;
}
