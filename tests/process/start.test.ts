import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { doorsOf, tokenOf } from '../support/http.ts';
import {
  endPrograms,
  fillGround,
  type Ground,
  makeGround,
  programCommand,
  projectRoot,
  runProgram,
  startProgram,
  startServing,
} from '../support/program.ts';

let ground: Ground;
beforeEach(() => {
  ground = makeGround();
});
afterEach(async () => {
  await endPrograms();
  ground.remove();
});

const john = { login: 'jsmith@example.com', password: 'Sup3r$ecret!' };

/** Fails unless the start is refused with one sentence on standard error and nothing else. */
async function expectRefused(sentence: RegExp, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const { code, output, errors } = await runProgram(['serve'], { env: { ...ground.env, ...env } });
  expect(errors).toMatch(/^cardea: [^\n]+\n$/);
  expect(errors).toMatch(sentence);
  expect(output).toBe('');
  expect(code).toBe(1);
}

describe('a start is refused', () => {
  const settings: [fault: string, env: Record<string, string>, sentence: RegExp][] = [
    ['a port out of range', { CARDEA_HTTP_PORT: '70000' }, /CARDEA_HTTP_PORT must be .*65,?535.*"70000"/],
    ['a port that is no number', { CARDEA_HTTP_PORT: 'http' }, /CARDEA_HTTP_PORT must be .*"http"/],
    ['a name that no option has', { CARDEA_HTTP_PROT: '80' }, /CARDEA_HTTP_PROT is not an option .*help config/],
    ['an open address', { CARDEA_HOST: '0.0.0.0' }, /CARDEA_HOST may be 0\.0\.0\.0 only when CARDEA_TRUSTED_PROXIES/],
    ['hashes below the floor (AUT-03)', { CARDEA_PASSWORD_MEMORY_KIB: '1024' }, /CARDEA_PASSWORD_MEMORY_KIB must be/],
    ['one pass of the hash (AUT-03)', { CARDEA_PASSWORD_PASSES: '1' }, /CARDEA_PASSWORD_PASSES must be/],
    ['a log level of another product', { CARDEA_LOG_LEVEL: 'verbose' }, /CARDEA_LOG_LEVEL must be .*debug.*"verbose"/],
    ['a file that is not there', { CARDEA_CONFIG: '/nowhere/cardea.json' }, /CARDEA_CONFIG names .*ENOENT/],
  ];
  test.each(settings)('for %s, in one sentence', async (_fault, env, sentence) => {
    await expectRefused(sentence, env);
    expect(existsSync(join(ground.directory, 'cardea.db'))).toBe(false);
  });

  test('P04, TR3: while a variable would open a debugger or load foreign code into the process', async () => {
    for (const name of ['BUN_INSPECT', 'BUN_INSPECT_CONNECT_TO']) {
      await expectRefused(new RegExp(`${name} is set`), { [name]: '' });
    }
    await expectRefused(/BUN_OPTIONS is set/, { BUN_OPTIONS: '--smol' });
  });

  test('P02, TOK-12: for a data directory or key file that others can read', async () => {
    await fillGround(ground);
    const keys = join(ground.directory, 'signing-keys.json');
    for (const mode of [0o750, 0o705, 0o710]) {
      chmodSync(ground.directory, mode);
      await expectRefused(/is open to other users of this machine; close it with: chmod 700 /);
    }
    chmodSync(ground.directory, 0o700);
    for (const mode of [0o640, 0o604, 0o620]) {
      chmodSync(keys, mode);
      await expectRefused(/signing-keys\.json is open to other users of this machine; close it with: chmod 600 /);
    }
  });

  const exampleKey = Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64url');
  const soundKey = 'q5Yb0Tn3cE8wJx2LrVd7uKf1oZs6hPaMi9gRtBkXyDQ';
  const badKeys: [fault: string, text: string, reason: RegExp][] = [
    ['of 31 bytes', JSON.stringify({ current: soundKey.slice(0, 41), previous: null }), /at least 32 bytes/],
    ['of the documents (T1)', JSON.stringify({ current: exampleKey, previous: null }), /printed in the documents/],
    ['of the documents as the previous one', JSON.stringify({ current: soundKey, previous: exampleKey }), /printed/],
    ['of one repeated byte', JSON.stringify({ current: 'A'.repeat(43), previous: null }), /repeated byte/],
    ['cut in the middle', `{"current":"${soundKey.slice(0, 20)}`, /it is damaged/],
    ['without a current key', '{"previous":null}', /it is damaged/],
    ['emptied', '', /it is damaged/],
    ['that is a list', '[]', /it is damaged/],
    ['with a number for a key', '{"current":5,"previous":null}', /it is damaged/],
  ];
  test.each(badKeys)('TOK-06, P01: for a signing key %s, without quoting it', async (_fault, text, reason) => {
    writeFileSync(join(ground.directory, 'signing-keys.json'), text, { mode: 0o600 });
    await expectRefused(reason);
    const { errors } = await runProgram(['doctor'], { env: ground.env });
    for (const secret of [soundKey.slice(0, 20), exampleKey]) expect(errors).not.toContain(secret);
    expect(readFileSync(join(ground.directory, 'signing-keys.json'), 'utf8')).toBe(text);
  });

  test('when the port is taken, and the directory is free again at once', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    await fillGround(ground);
    await expectRefused(/the port is in use; choose another with CARDEA_HTTP_PORT/, { CARDEA_HTTP_PORT: String(port) });
    await new Promise((resolve) => other.close(resolve));
    const server = await startServing({ ...ground.env, CARDEA_HTTP_PORT: String(port) });
    expect(server.url).toBe(`http://127.0.0.1:${port}`);
  });

  test('F31, P07: of a second server on the same data directory, while the first goes on', async () => {
    await fillGround(ground);
    const first = await startServing(ground.env);
    await expectRefused(/Another Cardea server is using /);
    expect((await doorsOf(first.url).restLogin(john.login, john.password)).status).toBe(200);
    first.signal('SIGKILL');
    await first.exited;
    const second = await startServing(ground.env);
    expect((await doorsOf(second.url).restLogin(john.login, john.password)).status).toBe(200);
  });
});

describe('P04, TR3: files of the working directory', () => {
  /** A folder as an attacker would leave it: whoever starts the program here runs the attacker's code or settings. */
  function hostileFolder(): { folder: string; proof: string } {
    const folder = join(ground.directory, 'downloads');
    const proof = join(ground.directory, 'was-loaded');
    mkdirSync(folder);
    const evil = `require('node:fs').writeFileSync(${JSON.stringify(proof)}, 'loaded');`;
    writeFileSync(join(folder, 'evil.js'), evil);
    writeFileSync(join(folder, 'bunfig.toml'), 'preload = ["./evil.js"]\n[run]\npreload = ["./evil.js"]\n');
    for (const name of ['.env', '.env.local', '.env.production', '.env.development']) {
      writeFileSync(join(folder, name), 'CARDEA_HOST=0.0.0.0\nCARDEA_LOG_LEVEL=nonsense\nBUN_INSPECT=\n');
    }
    return { folder, proof };
  }

  test.each([
    ['the project’s own command line', programCommand],
    ['bin/cardea.js under Node', ['node', join(projectRoot, 'bin/cardea.js')]],
  ])('have no effect on %s', async (_way, command) => {
    const { folder, proof } = hostileFolder();
    await fillGround(ground);
    const server = startProgram(['serve'], { env: ground.env, cwd: folder, command });
    const [, url = ''] = await server.waitFor(/"event":"server\.started","url":"([^"]+)"/);
    const login = await doorsOf(url).webLogin(john.login, john.password);
    expect(login.status).toBe(200);
    expect((await doorsOf(url).restSession(tokenOf(login))).status).toBe(200);
    server.signal('SIGTERM');
    expect(await server.exited).toBe(0);
    expect(existsSync(proof)).toBe(false);
  });

  test('would have been loaded by the bare runtime, so the folder is truly hostile', async () => {
    const { folder, proof } = hostileFolder();
    const bare = [process.execPath, join(projectRoot, 'src/main.ts')];
    const { code } = await runProgram(['doctor'], { env: ground.env, cwd: folder, command: bare });
    expect(code).toBe(1);
    expect(existsSync(proof)).toBe(true);
  });
});
