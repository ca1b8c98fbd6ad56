import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endPrograms, type Program, projectRoot, runProgram, startProgram } from '../support/program.ts';

let temporary: string;
let env: Record<string, string>;
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'cardea-demo-test-'));
  env = { CARDEA_HTTP_PORT: '0', CARDEA_HTTPS_PORT: '0', TMPDIR: temporary };
});
afterEach(async () => {
  await endPrograms();
  rmSync(temporary, { recursive: true, force: true });
});

async function startDemo(): Promise<Program & { readonly url: string }> {
  const program = startProgram(['demo'], { env });
  const [, url = ''] = await program.waitFor(/^ *Listening on (http:\/\/127\.0\.0\.1:\d+)$/m);
  return { ...program, url };
}

/** The lines a newcomer pastes, as printed, under the heading of one contract. */
function linesToPaste(output: string, heading: string): string[] {
  const [, section = ''] = output.split(new RegExp(`^--- ${heading} ?-+$`, 'm'));
  const [own = ''] = section.split(/^--- /m);
  return own.split('\n').filter((line) => /^(curl |[A-Z]+=\$\()/.test(line));
}

/** Pastes the lines into one shell, so that variables live on. @returns what came back for each line */
async function paste(lines: readonly string[]): Promise<string[]> {
  const mark = '\u0001';
  const shell = await runProgram([], {
    command: ['bash', '-s'],
    // bash runs the trap before each command that it reads, and the lines stay as they are.
    input: `trap "printf '${mark}'" DEBUG\n${lines.join('\n')}\n`,
  });
  return shell.output.split(mark).slice(1);
}

describe('cardea demo', () => {
  test('listens within 2 s (generously 5), on loopback only', async () => {
    const startedMs = performance.now();
    const demo = await startDemo();
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect((await fetch(`${demo.url}/readyz`)).status).toBe(200);
    expect(demo.output()).toContain('PUBLISHED passwords');
  });

  test('prints REST lines that answer as the contract says, as they stand', async () => {
    const demo = await startDemo();
    const lines = linesToPaste(demo.output(), 'ECGrid REST v2');
    expect(lines).toHaveLength(7);
    const [key, login, , session, , logout, after] = await paste(lines);
    expect(key).toBe(
      '{"success":true,"data":{"userId":4821,"login":"jsmith@example.com","networkId":1,"mailboxId":101,"authLevel":"MailboxAdmin","expiresAt":"9999-01-01T00:00:00Z"},"errorCode":"","message":""}',
    );
    expect(login).toMatch(/^\{"success":true,"data":\{"token":"eyJ[^"]+","expiresAt":"[^"]+","userId":4821\}/);
    expect(session).toMatch(/^\{"success":true,"data":\{"userId":4821,/);
    expect(logout).toBe('{"success":true,"data":null,"errorCode":"","message":"Session terminated."}');
    expect(after).toBe(
      '{"success":false,"data":null,"errorCode":"InvalidSession","message":"The session token is not valid or has expired."}',
    );
  });

  test('prints UserSession lines that answer as the contract says, as they stand', async () => {
    const demo = await startDemo();
    const lines = linesToPaste(demo.output(), 'UserSession');
    expect(lines).toHaveLength(6);
    const [login, , session, overRest, logout, after] = await paste(lines);
    for (const answer of [login, session]) {
      expect(JSON.parse(answer ?? '')).toMatchObject({ id: 4821, email: 'jsmith@example.com', active: true });
    }
    expect(overRest).toMatch(/^\{"success":true,"data":\{"userId":4821,/);
    expect(JSON.parse(logout ?? '')).toEqual({ success: true });
    expect(JSON.parse(after ?? '')).toMatchObject({ status: 401 });
  });

  test('prints SOAP lines that answer as the contract says, as they stand', async () => {
    const demo = await startDemo();
    const [key, , session, logout, after] = await paste(linesToPaste(demo.output(), 'ECGridOS SOAP'));
    expect(key).toContain('<UserID>4821</UserID>');
    expect(session).toContain('<UserID>12345</UserID>');
    expect(logout).not.toMatch(/fault|error/i);
    expect(after).not.toContain('<UserID>12345</UserID>');
  });

  test('prints appliance lines that answer as the contract says, as they stand', async () => {
    const demo = await startDemo();
    const lines = linesToPaste(demo.output(), 'Appliance sessions .*');
    expect(lines).toHaveLength(5);
    const [basic, , session, , after] = await paste(lines);
    for (const answer of [basic, session]) {
      expect(JSON.parse(answer ?? '')).toMatchObject({ data: { user: { username: 'admin@example.com' } } });
    }
    expect(after).not.toContain('"username"');
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s ends it with exit code 0, and its data is gone',
    async (signal) => {
      const demo = await startDemo();
      expect(readdirSync(temporary)).toHaveLength(1);
      demo.signal(signal);
      expect(await demo.exited).toBe(0);
      expect(demo.output()).toMatch(/Stopped; the demo data is gone\.\n$/);
      expect(demo.errors()).toBe('');
      expect(readdirSync(temporary)).toEqual([]);
    },
  );

  test('Ctrl-C reaches a wrapper and the program, and is one signal all the same', async () => {
    const command = ['node', join(projectRoot, 'bin/cardea.js')];
    const demo = startProgram(['demo'], { env, command });
    await demo.waitFor(/Listening on/);
    process.kill(-demo.pid, 'SIGINT');
    expect(await demo.exited).toBe(0);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('refuses every address but loopback, whatever proxies are declared', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'localhost.example.com']) {
      const settings = { ...env, CARDEA_HOST: host, CARDEA_TRUSTED_PROXIES: '192.0.2.9' };
      const { code, output, errors } = await runProgram(['demo'], { env: settings });
      expect({ code, output }).toEqual({ code: 1, output: '' });
      expect(errors).toMatch(/^cardea: The demo has published passwords, so it listens on loopback only; [^\n]+\n$/);
    }
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('leaves nothing behind when it cannot start', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    const { code, errors } = await runProgram(['demo'], { env: { ...env, CARDEA_HTTP_PORT: String(port) } });
    expect({ code, errors }).toEqual({
      code: 1,
      errors: 'cardea: the port is in use; choose another with CARDEA_HTTP_PORT (0 takes any free one).\n',
    });
    expect(readdirSync(temporary)).toEqual([]);
    other.close();
  });

  test('never touches the configured database or directory', async () => {
    const data = join(temporary, 'real');
    const CARDEA_DATABASE_URL = 'postgres://nobody:x@127.0.0.1:1/real';
    const demo = startProgram(['demo'], { env: { ...env, CARDEA_DATA: data, CARDEA_DATABASE_URL } });
    await demo.waitFor(/Listening on/);
    expect(readdirSync(temporary).map((name) => name.replace(/[^-]+$/, ''))).toEqual(['cardea-demo-']);
    demo.signal('SIGTERM');
    expect(await demo.exited).toBe(0);
  });
});
