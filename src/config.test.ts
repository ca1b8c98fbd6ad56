import { describe, expect, test } from 'bun:test';
import { type Config, ConfigError, describeOptions, loadConfig, publicUrl } from './config.ts';

type Env = Record<string, string>;

/** Loads a configuration whose file `cardea.json` holds the given text. */
function loadFile(text: string, env: Env = {}): Config {
  return loadConfig({ ...env, CARDEA_CONFIG: 'cardea.json' }, () => text);
}

/** The one sentence that a refused start ends with. */
function refusal(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('configuration', () => {
  test('stands complete on defaults alone', () => {
    expect(loadConfig({})).toEqual({
      host: '127.0.0.1',
      httpPort: 8080,
      httpsPort: 9443,
      data: './data',
      databaseUrl: '',
      publicUrl: '',
      trustedProxies: [],
      log: { level: 'info' },
      metrics: { listen: '' },
      token: { issuer: '', audience: 'cardea' },
      ecgrid: {
        enabled: true,
        tokenMinutes: 60,
        refreshGraceSeconds: 10,
        keepSessionsOnPasswordChange: false,
        passwordComposition: false,
      },
      ecgridos: { enabled: true, idleMinutes: 60, httpGet: 'read', helpPages: true },
      allowedHosts: [],
      hcx: {
        enabled: true,
        onMain: true,
        idleMinutes: 60,
        hybridityIdleMinutes: 15,
        cloudName: 'Cardea',
        cloudType: 'vsphere',
        hostNames: [],
      },
      tls: { cert: '', key: '' },
      listen: [],
      userSession: { enabled: true, idleMinutes: 60, cookie: false },
      session: { absoluteHours: 12, maxPerUser: 100 },
      password: { minLength: 12, blocklistFile: '', memoryKib: 19_456, passes: 2, workers: 0 },
      throttle: { freeTries: 5, addressPerMinute: 20, addressPerHour: 200 },
      cors: { origins: [] },
      limits: { checksPerSecond: 200, refusedPerSecond: 100, contexts: 50_000 },
      shutdown: { drainMs: 3_000, graceMs: 10_000 },
      store: { allowUnsafeDurability: false },
    });
  });

  test('derives the environment name from the dotted name', () => {
    const rows = describeOptions();
    const environmentOf = (name: string) => rows.find((row) => row.name === name)?.environment;
    expect(environmentOf('host')).toBe('CARDEA_HOST');
    expect(environmentOf('ecgrid.tokenMinutes')).toBe('CARDEA_ECGRID_TOKEN_MINUTES');
    expect(environmentOf('userSession.idleMinutes')).toBe('CARDEA_USER_SESSION_IDLE_MINUTES');
    expect(new Set(rows.map((row) => row.environment)).size).toBe(rows.length);
  });

  test('has types that follow from the table', () => {
    const config = loadConfig({});
    const minutes: number = config.ecgrid.tokenMinutes;
    const origins: readonly string[] = config.cors.origins;
    const level: 'debug' | 'info' | 'warn' | 'error' = config.log.level;
    expect([minutes, origins.length, level]).toEqual([60, 0, 'info']);
  });

  test('is frozen to the last list', () => {
    const config = loadConfig({ CARDEA_CORS_ORIGINS: 'https://app.example.com' });
    for (const part of [config, config.ecgrid, config.cors, config.cors.origins, config.trustedProxies]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(Object.isFrozen(loadConfig({}).cors.origins)).toBe(true);
  });

  test('reads every type from the environment', () => {
    const config = loadConfig({
      CARDEA_HTTP_PORT: '0',
      CARDEA_USER_SESSION_COOKIE: 'true',
      CARDEA_LOG_LEVEL: 'debug',
      CARDEA_TRUSTED_PROXIES: '10.0.0.0/8, ::1',
      CARDEA_DATABASE_URL: 'postgres://cardea:pw@db/cardea',
    });
    expect(config.httpPort).toBe(0);
    expect(config.userSession.cookie).toBe(true);
    expect(config.log.level).toBe('debug');
    expect(config.trustedProxies).toEqual(['10.0.0.0/8', '::1']);
    expect(config.databaseUrl).toBe('postgres://cardea:pw@db/cardea');
  });

  test('takes an address to listen on only with its port', () => {
    const read = (text: string) => loadConfig({ CARDEA_METRICS_LISTEN: text }).metrics.listen;
    for (const text of ['', '127.0.0.1:9464', '[::1]:0', '10.0.0.7:65535']) expect(read(text)).toBe(text);
    for (const text of [
      '9464',
      ':9464',
      '127.0.0.1',
      '::1:9464',
      '[::1]',
      'localhost:9464',
      '127.0.0.1:65536',
      '[127.0.0.1]:1',
    ])
      expect(refusal(() => read(text))).toMatch(/^CARDEA_METRICS_LISTEN must be empty or an IP address and a port/);
  });

  test('ignores what is not its own, and the names of the tests', () => {
    expect(loadConfig({ PATH: '/bin', CARDEA_TEST_POSTGRES_URL: 'x' })).toEqual(loadConfig({}));
  });

  test('tells the public URL from host and port unless it is set', () => {
    expect(publicUrl(loadConfig({}), 8080)).toBe('http://127.0.0.1:8080');
    expect(publicUrl(loadConfig({ CARDEA_HOST: '::1' }), 1234)).toBe('http://[::1]:1234');
    expect(publicUrl(loadConfig({ CARDEA_PUBLIC_URL: 'https://id.example.com' }), 1)).toBe('https://id.example.com');
  });
});

describe('configuration file', () => {
  test('may nest its keys or write them with dots', () => {
    const nested = loadFile(
      '{"httpPort": 81, "ecgrid": {"tokenMinutes": 5}, "cors": {"origins": ["http://localhost:3000"]}}',
    );
    const dotted = loadFile('{"httpPort": 81, "ecgrid.tokenMinutes": 5, "cors.origins": ["http://localhost:3000"]}');
    expect(nested).toEqual(dotted);
    expect(nested.ecgrid.tokenMinutes).toBe(5);
    expect(nested.cors.origins).toEqual(['http://localhost:3000']);
  });

  test('gives way to the environment', () => {
    const config = loadFile('{"ecgrid": {"tokenMinutes": 5}, "httpPort": 81}', { CARDEA_ECGRID_TOKEN_MINUTES: '7' });
    expect([config.ecgrid.tokenMinutes, config.httpPort]).toEqual([7, 81]);
  });

  test('is read from the path that CARDEA_CONFIG names', () => {
    const paths: string[] = [];
    loadConfig({ CARDEA_CONFIG: 'some/where.json' }, (path) => {
      paths.push(path);
      return '{}';
    });
    expect(paths).toEqual(['some/where.json']);
  });

  const unusable: [string, string, string][] = [
    [
      'is broken',
      '{"databaseUrl": "postgres://u:hush@h/d"',
      'CARDEA_CONFIG names cardea.json, which is not valid JSON.',
    ],
    ['is a list', '[]', 'CARDEA_CONFIG names cardea.json, which must hold one JSON object.'],
    ['is null', 'null', 'CARDEA_CONFIG names cardea.json, which must hold one JSON object.'],
    ['is text', '"host"', 'CARDEA_CONFIG names cardea.json, which must hold one JSON object.'],
    [
      'has an unknown key',
      '{"hots": 1}',
      '"hots" in cardea.json is not an option of Cardea; "cardea help config" lists them all.',
    ],
    [
      'has an unknown key in a section',
      '{"ecgrid": {"tokens": 1}}',
      '"ecgrid.tokens" in cardea.json is not an option of Cardea; "cardea help config" lists them all.',
    ],
    [
      'has a section of another name',
      '{"__proto__": {"host": "::1"}}',
      '"__proto__" in cardea.json is not an option of Cardea; "cardea help config" lists them all.',
    ],
    [
      'gives an option twice',
      '{"ecgrid.tokenMinutes": 1, "ecgrid": {"tokenMinutes": 2}}',
      'ecgrid.tokenMinutes is given twice in cardea.json.',
    ],
    [
      'has a wrong value',
      '{"ecgrid": {"tokenMinutes": 0}}',
      'ecgrid.tokenMinutes in cardea.json must be a whole number from 1 to 720, not 0.',
    ],
    [
      'has a wrong type',
      '{"cors": {"origins": [1]}}',
      'cors.origins in cardea.json must be empty or a list of exact origins such as https://app.example.com, not [1].',
    ],
    [
      'puts a value where a section belongs',
      '{"ecgrid": true}',
      '"ecgrid" in cardea.json is not an option of Cardea; "cardea help config" lists them all.',
    ],
  ];
  for (const [how, text, sentence] of unusable) {
    test(`stops the start when it ${how}`, () => {
      expect(refusal(() => loadFile(text))).toBe(sentence);
    });
  }

  test('stops the start when it cannot be read', () => {
    const sentence = refusal(() => loadConfig({ CARDEA_CONFIG: '/nowhere/cardea.json' }));
    expect(sentence).toBe('CARDEA_CONFIG names /nowhere/cardea.json, which cannot be read (ENOENT).');
  });
});

describe('a wrong value stops the start', () => {
  const wrong: [string, string[]][] = [
    ['CARDEA_HOST', ['', '127.0.0.256', '[::1]', 'a b', 'http://x', '-a']],
    ['CARDEA_HTTP_PORT', ['', '-1', '65536', '80.5', '8e3', ' 80', '0x50', 'http']],
    ['CARDEA_DATA', ['', 'a\nb']],
    ['CARDEA_PUBLIC_URL', ['id.example.com', 'https://id.example.com/', 'https://id.example.com/x', 'ftp://x']],
    ['CARDEA_TRUSTED_PROXIES', ['10.0.0.0/33', '::/129', 'proxy', '10.0.0.1,', '10.0.0.0/8/8']],
    ['CARDEA_LOG_LEVEL', ['INFO', 'trace', '']],
    ['CARDEA_TOKEN_AUDIENCE', ['', 'a b']],
    ['CARDEA_ECGRID_ENABLED', ['yes', '1', 'TRUE', '']],
    ['CARDEA_ECGRID_TOKEN_MINUTES', ['0', '721']],
    ['CARDEA_ECGRID_REFRESH_GRACE_SECONDS', ['61']],
    ['CARDEA_USER_SESSION_IDLE_MINUTES', ['0', '721']],
    ['CARDEA_SESSION_ABSOLUTE_HOURS', ['0', '721']],
    ['CARDEA_SESSION_MAX_PER_USER', ['0', '10001']],
    ['CARDEA_PASSWORD_MIN_LENGTH', ['7', '129']],
    ['CARDEA_PASSWORD_MEMORY_KIB', ['19455', '262145']],
    ['CARDEA_PASSWORD_PASSES', ['1', '11']],
    ['CARDEA_SHUTDOWN_DRAIN_MS', ['60001']],
    [
      'CARDEA_CORS_ORIGINS',
      [
        '*',
        'null',
        'https://*.example.com',
        'https://App.example.com',
        'https://app.example.com/',
        'https://app.example.com/x',
        'https://app.example.com:443',
        'https://u@app.example.com',
        'app.example.com',
        'chrome-extension://abc',
        'https://a.example.com,,https://b.example.com',
      ],
    ],
  ];
  for (const [variable, values] of wrong) {
    test(variable, () => {
      for (const value of values) {
        const sentence = refusal(() => loadConfig({ [variable]: value }));
        expect(sentence).toStartWith(`${variable} must be `);
        expect(sentence).toEndWith(`, not ${JSON.stringify(value)}.`);
      }
    });
  }

  test('with one whole sentence', () => {
    expect(refusal(() => loadConfig({ CARDEA_HTTP_PORT: '99999' }))).toBe(
      'CARDEA_HTTP_PORT must be a whole number from 0 to 65535, not "99999".',
    );
  });

  test('without repeating a secret', () => {
    const sentence = refusal(() => loadConfig({ CARDEA_DATABASE_URL: 'mysql://cardea:hush@db/cardea' }));
    expect(sentence).toBe('CARDEA_DATABASE_URL must be empty or a postgres:// URL.');
    expect(refusal(() => loadFile('{"databaseUrl": ["hush"]}'))).not.toContain('hush');
  });

  test('without filling the screen', () => {
    expect(refusal(() => loadConfig({ CARDEA_HTTP_PORT: '9'.repeat(5_000) })).length).toBeLessThan(200);
  });

  test('and so does an unknown name', () => {
    expect(refusal(() => loadConfig({ CARDEA_HTPP_PORT: 'hush' }))).toBe(
      'CARDEA_HTPP_PORT is not an option of Cardea; "cardea help config" lists them all.',
    );
  });
});

describe('listening beyond loopback', () => {
  test('is refused without a declared proxy', () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'id.example.com', '127.example.com', 'localhost.example.com']) {
      expect(refusal(() => loadConfig({ CARDEA_HOST: host }))).toBe(
        `CARDEA_HOST may be ${host} only when CARDEA_TRUSTED_PROXIES is set, because plain HTTP is only for loopback or for a proxy in front.`,
      );
    }
  });

  test('is allowed behind one, and loopback always', () => {
    expect(loadConfig({ CARDEA_HOST: '0.0.0.0', CARDEA_TRUSTED_PROXIES: '192.0.2.7' }).host).toBe('0.0.0.0');
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost'])
      expect(loadConfig({ CARDEA_HOST: host }).host).toBe(host);
  });
});
