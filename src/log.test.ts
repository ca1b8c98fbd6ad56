import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, type LogLevel } from './log.ts';

type Row = Record<string, unknown>;

/** What one call writes, as the raw text and as the parsed record. */
async function written(fields: Row, event = 'tried'): Promise<{ text: string; row: Row }> {
  let text = '';
  const log = createLog('debug', async (chunk) => {
    text += chunk;
  });
  log.info(event, fields);
  await log.flush();
  return { text, row: JSON.parse(text) as Row };
}

describe('a record', () => {
  test('is one JSON line with time, level and event', async () => {
    const { text, row } = await written({ user: 4821, login: 'jsmith' });
    expect(text).toEndWith('\n');
    expect(Object.keys(row)).toEqual(['time', 'level', 'event', 'user', 'login']);
    expect(row).toMatchObject({ level: 'info', event: 'tried', user: 4821, login: 'jsmith' });
    expect(new Date(String(row['time'])).toISOString()).toBe(String(row['time']));
  });

  test('keeps its head whatever the fields are called', async () => {
    const { row } = await written({ event: 'forged', level: 'error', time: 0 });
    expect(row).toMatchObject({ event: 'tried', level: 'info' });
    expect(row['time']).not.toBe(0);
  });

  test('stays one line of harmless characters, and loses none', async () => {
    const naughty = [
      'a\nb\r\nc',
      '\u0000\u0007\u001b[31m',
      '\u007f\u0085\u009b31m',
      '\u2028\u2029',
      '\u202a\u202b\u202c\u202d\u202e',
      '\u2066\u2067\u2068\u2069\u200e\u200f\u061c',
      '\ufeff\ud800',
    ];
    for (const value of naughty) {
      const { text, row } = await written({ value, [value]: 'as a key' }, value);
      expect(text.trimEnd()).not.toMatch(/[\p{Cc}\u2028-\u202e\u2066-\u2069\u200e\u200f\u061c\ufeff]/u);
      expect(text.split('\n').length).toBe(2);
      expect(row['value']).toBe(value);
      expect(row['event']).toBe(value);
    }
  });

  test('cuts long text at 256 characters', async () => {
    const { row } = await written({ value: 'x'.repeat(10_000), list: ['y'.repeat(300)] });
    expect(row['value']).toBe(`${'x'.repeat(255)}…`);
    expect(row['list']).toEqual([`${'y'.repeat(255)}…`]);
  });

  test('hides values whose key sounds secret, at any depth', async () => {
    const secrets = [
      'password',
      'newPassword',
      'client_secret',
      'accessToken',
      'Authorization',
      'set-cookie',
      'apiKey',
      'x-api-key',
      'API_KEY',
    ];
    const fields = Object.fromEntries(secrets.map((key) => [key, 'hush']));
    const { text } = await written({ ...fields, headers: { inner: [fields] }, Password: { value: 'hush' } });
    expect(text).not.toContain('hush');
    expect(text).toContain('"newPassword":"[redacted]"');
  });

  test('masks the credentials of database URLs inside text', async () => {
    const url = 'postgres://cardea:hu@sh@db.example.com:5432/cardea';
    const error = new Error(`cannot reach ${url}`, { cause: new Error(url.replace('postgres:', 'PostgreSQL:')) });
    const { text, row } = await written({
      url,
      error,
      padded: `${' '.repeat(230)}${url}`,
      query: 'postgres://h/d?password=hush',
    });
    expect(text).not.toContain('hu@sh');
    expect(text).not.toContain('hush');
    expect(text).not.toContain('cardea:');
    expect(row['url']).toBe('postgres://[redacted]@db.example.com:5432/cardea');
  });

  test('shows an error as name, message, code and stack on the one line', async () => {
    const error = Object.assign(new TypeError('broken\nin two'), { code: 'EBROKEN' });
    const { text, row } = await written({ error });
    expect(text.split('\n').length).toBe(2);
    expect(row['error']).toMatchObject({ name: 'TypeError', message: 'broken\nin two', code: 'EBROKEN' });
    expect(JSON.stringify(row['error'])).toContain('log.test.ts');
  });

  test('survives values that JSON cannot hold', async () => {
    const circle: Row = { big: 10n, bytes: new Uint8Array(3), when: new Date(Number.NaN), sign: Symbol('s') };
    circle['self'] = circle;
    expect((await written({ circle })).row['circle']).toMatchObject({
      big: '10',
      bytes: '[3 bytes]',
      when: 'invalid date',
    });
    const trap = {
      get value(): never {
        throw new Error('trapped');
      },
    };
    expect((await written({ trap })).row).toMatchObject({ event: 'tried', unprintable: true });
  });

  test('is written at its level and above only', async () => {
    const levels: LogLevel[] = ['debug', 'info', 'warn', 'error'];
    for (const [index, level] of levels.entries()) {
      const events: string[] = [];
      const log = createLog(level, async (text) => {
        for (const line of text.trim().split('\n')) events.push(String((JSON.parse(line) as Row)['event']));
      });
      for (const own of levels) log[own](own);
      await log.flush();
      expect(events).toEqual(levels.slice(index));
    }
  });
});

describe('the queue', () => {
  test('keeps order over many records', async () => {
    const numbers: unknown[] = [];
    const log = createLog('info', async (text) => {
      await Promise.resolve();
      for (const line of text.trim().split('\n')) numbers.push((JSON.parse(line) as Row)['number']);
    });
    for (let number = 0; number < 2_000; number += 1) log.info('counted', { number });
    await log.flush();
    expect(numbers).toEqual(Array.from({ length: 2_000 }, (_, number) => number));
    expect(log.dropped()).toBe(0);
  });

  test('drops and counts beyond 4 MB while the reader stalls, and tells how many afterwards', async () => {
    const gate = Promise.withResolvers<void>();
    let bytes = 0;
    const lines: string[] = [];
    const log = createLog('info', async (text) => {
      await gate.promise;
      bytes += Buffer.byteLength(text);
      lines.push(...text.trim().split('\n'));
    });
    const total = 30_000;
    for (let number = 0; number < total; number += 1) log.info('flood', { number, text: 'x'.repeat(200) });
    const dropped = log.dropped();
    expect(dropped).toBeGreaterThan(0);
    gate.resolve();
    await log.flush();
    expect(bytes).toBeLessThanOrEqual(4 * 1024 * 1024 + 200);
    const told = lines.map((line) => JSON.parse(line) as Row).filter((row) => row['event'] === 'log_dropped');
    expect(told).toMatchObject([{ level: 'warn', records: dropped }]);
    expect(lines.length - 1 + dropped).toBe(total);
  });

  test('counts what failed to be written and goes on', async () => {
    let broken = true;
    const events: unknown[] = [];
    const log = createLog('info', async (text) => {
      if (broken) throw new Error('disk full');
      for (const line of text.trim().split('\n')) events.push((JSON.parse(line) as Row)['event']);
    });
    log.info('lost');
    await log.flush();
    broken = false;
    log.info('kept');
    await log.flush();
    expect(events).toEqual(['kept', 'log_dropped']);
    expect(log.dropped()).toBe(1);
  });
});

describe('a real process', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cardea-log-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  // Floods its log for some 300 ms, then tells on stderr how its event loop fared.
  const flood = `
    const { createLog } = await import(${JSON.stringify(new URL('./log.ts', import.meta.url).href)});
    const log = createLog('info');
    const start = process.memoryUsage().rss;
    let last = performance.now(), worst = 0, rounds = 0;
    const timer = setInterval(async () => {
      const now = performance.now();
      worst = Math.max(worst, now - last);
      last = now;
      for (let i = 0; i < 2000; i += 1) log.info('flood', { text: 'x'.repeat(250) });
      if ((rounds += 1) < 30) return;
      clearInterval(timer);
      await log.flush();
      const grown = Math.round((process.memoryUsage().rss - start) / 1048576);
      process.stderr.write(JSON.stringify({ dropped: log.dropped(), worst, grown }), () => process.exit(7));
    }, 10);
  `;
  const bun = [process.execPath, '--no-env-file', '--config=/dev/null', '--no-install', '-e', flood];

  async function report(child: Bun.Subprocess<'ignore', number | 'pipe' | 'ignore', 'pipe'>): Promise<Row> {
    const text = await new Response(child.stderr).text();
    expect(await child.exited).toBe(7);
    return JSON.parse(text) as Row;
  }

  test('neither stalls nor grows when nobody reads its pipe', async () => {
    const path = join(folder, 'stalled');
    expect(await Bun.spawn(['mkfifo', path]).exited).toBe(0);
    const pipe = openSync(path, 'r+');
    try {
      const row = await report(Bun.spawn(bun, { stdin: 'ignore', stdout: pipe, stderr: 'pipe' }));
      expect(row['dropped']).toBeGreaterThan(30_000);
      expect(row['worst']).toBeLessThan(1_000);
      expect(row['grown']).toBeLessThan(100);
    } finally {
      closeSync(pipe);
    }
  });

  test('outlives the reader of its pipe', async () => {
    const path = join(folder, 'closed');
    expect(await Bun.spawn(['mkfifo', path]).exited).toBe(0);
    // The writing end stays open in the child alone: opened while a reader exists, which then goes away.
    const reader = openSync(path, 'r+');
    const writer = openSync(path, 'w');
    const child = Bun.spawn(bun, { stdin: 'ignore', stdout: writer, stderr: 'pipe' });
    closeSync(reader);
    closeSync(writer);
    expect((await report(child))['dropped']).toBeGreaterThan(30_000);
  });

  test.skipIf(process.platform !== 'linux')('outlives a full disk', async () => {
    const full = openSync('/dev/full', 'w');
    const row = await report(Bun.spawn(bun, { stdin: 'ignore', stdout: full, stderr: 'pipe' }));
    closeSync(full);
    expect(row['dropped']).toBe(60_000);
  });
});
