import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import * as option from './option.ts';

/** Every option of Cardea, once. Types, environment names, `cardea help config` and the documentation follow from it. */
const options = {
  host: option.host('127.0.0.1', 'Address to listen on'),
  httpPort: option.int(8080, 0, 65_535, 'Port for plain HTTP; 0 takes any free port'),
  httpsPort: option.int(9443, 0, 65_535, 'Port for HTTPS; 0 takes any free port'),
  listen: option.listeners(
    'Restricts listeners to doors, e.g. https:hcx-sessions,http:ecgrid-rest; a listener that is not named serves all',
  ),
  data: option.path('./data', 'Directory of the embedded database, the keys and all else Cardea keeps'),
  databaseUrl: option.databaseUrl('PostgreSQL to use; empty: SQLite in the data directory'),
  publicUrl: option.origin('Where clients reach Cardea; empty: http:// with host and port'),
  trustedProxies: option.networks('Proxies whose forwarding headers count'),
  'log.level': option.oneOf('info', ['debug', 'info', 'warn', 'error'], 'Least severe records that are written'),
  'token.issuer': option.optionalWord('Issuer named in access tokens; empty: the public URL'),
  'token.audience': option.word('cardea', 'Audience named in access tokens'),
  'ecgrid.enabled': option.flag(true, 'Answer the ECGrid REST contract'),
  'ecgrid.tokenMinutes': option.int(60, 1, 720, 'Life of an access token of this contract'),
  'ecgrid.refreshGraceSeconds': option.int(10, 0, 60, 'A second refresh within this time gets the same new token'),
  'ecgrid.keepSessionsOnPasswordChange': option.flag(false, 'A changed password leaves other sessions open'),
  'ecgrid.passwordComposition': option.flag(false, 'New passwords need lower and upper case, a digit and a sign'),
  'ecgridos.enabled': option.flag(true, 'Answer the ECGridOS SOAP contract'),
  'ecgridos.idleMinutes': option.int(60, 5, 720, 'A session of this contract ends after so long without a call'),
  'ecgridos.httpGet': option.oneOf(
    'read',
    ['read', 'open', 'off'],
    'Form operations on GET: those that change nothing, those without a session, or none',
  ),
  'ecgridos.helpPages': option.flag(true, 'Show the list and the pages of the SOAP operations'),
  allowedHosts: option.hosts(
    'Host names that may be printed as the SOAP address when publicUrl is empty; empty: loopback and host',
  ),
  'hcx.enabled': option.flag(true, 'Answer the appliance session contract'),
  'hcx.onMain': option.flag(true, 'Answer /api/admin/v1/sessions on the plain listener too'),
  'hcx.idleMinutes': option.int(
    60,
    1,
    720,
    'A session opened on the appliance path ends after so long without a request',
  ),
  'hcx.hybridityIdleMinutes': option.int(15, 1, 720, 'The same for one opened on the web path'),
  'hcx.cloudName': option.word('Cardea', 'Name of this installation, told to clients of the contract'),
  'hcx.cloudType': option.word('vsphere', 'Type of cloud, told to clients of the contract'),
  'hcx.hostNames': option.hosts(
    'Host names in the self-signed certificate, beside localhost and the loopback addresses',
  ),
  'tls.cert': option.optionalPath(
    'PEM file of the certificate for HTTPS, read again on SIGHUP; empty: a self-signed one, kept',
  ),
  'tls.key': option.optionalPath("PEM file of the certificate's key"),
  'userSession.enabled': option.flag(true, 'Answer the UserSession contract'),
  'userSession.idleMinutes': option.int(60, 1, 720, 'A session of this contract ends after so long without a request'),
  'userSession.cookie': option.flag(false, 'Allow logins that keep their secret in a cookie'),
  'session.absoluteHours': option.int(12, 1, 720, 'A session ends so long after its login, whatever happens'),
  'session.maxPerUser': option.int(100, 1, 10_000, 'Sessions that a user may have open at once'),
  'password.minLength': option.int(12, 8, 128, 'Characters a new password has at least'),
  'password.blocklistFile': option.optionalPath('File of further refused passwords, one per line'),
  'password.memoryKib': option.int(19_456, 19_456, 262_144, 'Memory of one password hash, in KiB'),
  'password.passes': option.int(2, 2, 10, 'Passes of one password hash over its memory'),
  'password.workers': option.int(0, 0, 256, 'Processes that hash passwords; 0: one per core'),
  'throttle.freeTries': option.int(5, 1, 100, 'Wrong passwords for a name before each further try has to wait'),
  'throttle.addressPerMinute': option.int(20, 1, 1_000_000, 'Wrong passwords a minute from one client address'),
  'throttle.addressPerHour': option.int(200, 1, 1_000_000, 'Wrong passwords an hour from one client address'),
  'cors.origins': option.origins('Origins whose scripts may call Cardea'),
  'limits.checksPerSecond': option.int(
    200,
    1,
    1_000_000,
    'Requests a second per session or key; twice that in a burst',
  ),
  'limits.refusedPerSecond': option.int(100, 1, 1_000_000, 'Refused credentials a second per client address'),
  'limits.contexts': option.int(
    50_000,
    0,
    10_000_000,
    'Credentials whose checks are answered from memory, where the store is a file; 0: every check reads the store',
  ),
  'shutdown.drainMs': option.int(3_000, 0, 60_000, 'Time from "not ready" to the last accepted connection'),
  'shutdown.graceMs': option.int(10_000, 0, 60_000, 'Time that running requests have to finish when stopping'),
  'store.allowUnsafeDurability': option.flag(false, 'Start although a power cut may lose acknowledged changes'),
};

type Options = typeof options;
type Name = keyof Options;
type Value<N extends Name> = Options[N] extends option.Option<infer T> ? T : never;
type Section<N extends string> = N extends `${infer S}.${string}` ? S : never;
type Inside<S extends string> = { readonly [N in Name as N extends `${S}.${infer R}` ? R : never]: Value<N> };

/** Every option at its dotted name, e.g. `config.ecgrid.tokenMinutes`; frozen to the last list. */
export type Config = { readonly [N in Exclude<Name, `${string}.${string}`>]: Value<N> } & {
  readonly [S in Section<Name>]: Inside<S>;
};

/** One option as a row of `cardea help config` and of the documentation. */
export type OptionRow = {
  readonly name: string;
  readonly environment: string;
  readonly allowed: string;
  readonly fallback: string;
  readonly meaning: string;
};

/** The start must not go on; the message is one sentence for the operator, without any secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * The configuration from environment and defaults, and from the JSON file that `CARDEA_CONFIG` names; the environment wins.
 * Throws `ConfigError` for a wrong value, an unknown name or key, and for a file that cannot be used.
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): Config {
  const given = new Map([...fromFile(env['CARDEA_CONFIG'], readFile), ...fromEnvironment(env)]);
  const values = new Map<Name, unknown>();
  for (const name of names()) values.set(name, given.has(name) ? given.get(name) : options[name].fallback);
  const config = nest(values);
  refuseOpenHost(config);
  return config;
}

/** Where clients reach this server: the configured origin, or the plain listener at the port it really got. */
export function publicUrl(config: Config, port: number): string {
  if (config.publicUrl !== '') return config.publicUrl;
  return `http://${isIP(config.host) === 6 ? `[${config.host}]` : config.host}:${port}`;
}

/** The whole table, in its order. */
export function describeOptions(): readonly OptionRow[] {
  return names().map((name) => {
    const { allowed, fallback, meaning } = options[name];
    return { name, environment: environmentName(name), allowed, fallback: String(fallback), meaning };
  });
}

function names(): Name[] {
  return Object.keys(options) as Name[];
}

function isName(text: string): text is Name {
  return Object.hasOwn(options, text);
}

/** `ecgrid.tokenMinutes` → `CARDEA_ECGRID_TOKEN_MINUTES` */
function environmentName(name: Name): string {
  return `CARDEA_${name.replaceAll('.', '_').replace(/[A-Z]/g, '_$&').toUpperCase()}`;
}

function fromEnvironment(env: Readonly<Record<string, string | undefined>>): Map<Name, unknown> {
  const known = new Map(names().map((name) => [environmentName(name), name]));
  const given = new Map<Name, unknown>();
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined || !variable.startsWith('CARDEA_')) continue;
    if (variable === 'CARDEA_CONFIG' || variable.startsWith('CARDEA_TEST_')) continue;
    const name = known.get(variable);
    if (name === undefined) throw unknownOption(variable);
    given.set(name, readValue(name, text, variable));
  }
  return given;
}

function fromFile(path: string | undefined, readFile: (path: string) => string): Map<Name, unknown> {
  const given = new Map<Name, unknown>();
  if (path === undefined || path === '') return given;
  for (const [key, value] of leaves(parseFile(path, readFile))) {
    if (!isName(key)) throw unknownOption(`${quote(key)} in ${path}`);
    if (given.has(key)) throw new ConfigError(`${key} is given twice in ${path}.`);
    given.set(key, readValue(key, value, `${key} in ${path}`));
  }
  return given;
}

function parseFile(path: string, readFile: (path: string) => string): object {
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new ConfigError(`CARDEA_CONFIG names ${path}, which cannot be read${code}.`);
  }
  // The parser's own message quotes the text, which may hold the database password.
  const parsed = parseJson(text);
  if (parsed === undefined) throw new ConfigError(`CARDEA_CONFIG names ${path}, which is not valid JSON.`);
  if (isRecord(parsed)) return parsed;
  throw new ConfigError(`CARDEA_CONFIG names ${path}, which must hold one JSON object.`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Nested objects as dotted names; what lies below an option's own name is that option's value. */
function leaves(object: object, prefix = ''): [string, unknown][] {
  return Object.entries(object).flatMap(([key, value]: [string, unknown]) => {
    const name = prefix + key;
    const isSection = isRecord(value) && names().some((known) => known.startsWith(`${name}.`));
    return isSection ? leaves(value, `${name}.`) : [[name, value] as [string, unknown]];
  });
}

function readValue(name: Name, value: unknown, place: string): unknown {
  const { read, allowed, secret } = options[name];
  const result = read(value);
  if (result !== undefined) return result;
  throw new ConfigError(`${place} must be ${allowed}${secret ? '' : `, not ${quote(value)}`}.`);
}

function unknownOption(place: string): ConfigError {
  return new ConfigError(`${place} is not an option of Cardea; "cardea help config" lists them all.`);
}

function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function nest(values: ReadonlyMap<Name, unknown>): Config {
  const config: Record<string, unknown> = {};
  for (const [name, value] of values) {
    const [section, key] = name.split('.') as [string, string?];
    if (key === undefined) config[section] = value;
    else config[section] = { ...(config[section] as object | undefined), [key]: value };
  }
  for (const value of Object.values(config)) freeze(value);
  return Object.freeze(config) as Config;
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const inner of Object.values(value)) freeze(inner);
  Object.freeze(value);
}

/** Plain HTTP never leaves the machine unless a declared proxy in front of it speaks TLS. */
function refuseOpenHost({ host, trustedProxies }: Config): void {
  if (trustedProxies.length > 0 || /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host)) return;
  const why = 'because plain HTTP is only for loopback or for a proxy in front';
  throw new ConfigError(`CARDEA_HOST may be ${host} only when CARDEA_TRUSTED_PROXIES is set, ${why}.`);
}
