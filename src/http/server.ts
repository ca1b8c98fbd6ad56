import type { Server } from 'bun';
import type { Soon } from '../soon.ts';
import { adoptRequestId, Caller, type ListenerFacts, trustProxies } from './caller.ts';
import { createDeadline, type Deadline } from './deadline.ts';
import { type Door, Exchange, splitTarget } from './door.ts';
import { type Fault, type FaultDetail, HttpFault } from './faults.ts';
import { compileRoutes, type Endpoint, findOwner, findPath, type RouteTable } from './route-table.ts';

export type ServerOptions = {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly doors: readonly Door[];
  /** Answers paths no door owns. */
  readonly fallback: Door;
  /** Addresses and networks whose forwarded headers are believed. */
  readonly trustedProxies: readonly string[];
  /** How long an answer may take, for tests; the default is what the server promises. */
  readonly deadlineMs?: number;
  /** PEM texts; with them the listener speaks TLS only. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Told of everything unforeseen, with the id that the answer carries. */
  readonly reportError: (error: unknown, requestId: string) => void;
  /** Told of every answer. */
  readonly countAnswer?: (door: string, status: number) => void;
};

export type RunningServer = {
  /** Origin without a trailing slash, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly port: number;
  /** Refuses new requests, finishes what is in flight, and cuts what has not finished after `graceMs`. */
  readonly stop: (graceMs: number) => Promise<void>;
  /** Gives the port to a successor: kept connections are answered once more and closed. Resolves when the last is gone. */
  readonly retire: (graceMs: number) => Promise<void>;
};

/** What every request needs of the server it came to. */
type House = ListenerFacts & {
  readonly options: ServerOptions;
  readonly table: RouteTable;
  /** The last Host that was found sound: clients send the same one again and again. */
  soundHost: string | undefined;
  readonly deadline: Deadline;
  /** `stopping` refuses what comes; both let every connection go after its next answer. */
  phase: 'serving' | 'retiring' | 'stopping';
};

type Listener = Server<undefined>;

// Far above every door's own limit, whose 413 has a body; the runtime's has none (reliability TH4). It costs nothing: what a
// door does not read the runtime does not keep, and the connection closes with the answer.
const runtimeBodyLimit = 1024 * 1024 * 1024;
const idleTimeoutSeconds = 20;
/** Well before the runtime cuts a connection whose handler is slow, without an answer (TH6). */
const answerDeadlineMs = 5_000;
// TLS 1.2 and 1.3 with forward secrecy; the runtime's own list of 1.2 has an old CBC suite (TH12).
const tlsRules = {
  minVersion: 0x0303,
  ciphers: ['ECDSA', 'RSA']
    .flatMap((kind) =>
      ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].map((suite) => `ECDHE-${kind}-${suite}`),
    )
    .join(':'),
};
// A name of 253 characters, a colon and a port of 5, and the root's dot.
const hostLimit = 260;
const unknownAddress = '0.0.0.0';

/** After these the rest of a body may still be on its way, or the connection has no future. */
const closingFaults: ReadonlySet<Fault> = new Set<Fault>(['body_too_large', 'too_slow', 'stopping']);

/**
 * Compiles the doors' routes and listens.
 *
 * @throws Error when two doors claim the same method and path, a trusted proxy is no address, or the port is taken
 */
export function startServer(options: ServerOptions): RunningServer {
  const house: House = {
    options,
    table: compileRoutes(options.doors, options.fallback),
    tls: options.tls !== undefined,
    proxies: trustProxies(options.trustedProxies),
    socketAddress: (request) => listener.requestIP(request)?.address ?? unknownAddress,
    soundHost: undefined,
    deadline: createDeadline(options.deadlineMs ?? answerDeadlineMs),
    phase: 'serving',
  };
  const listener: Listener = Bun.serve({
    hostname: options.host,
    port: options.port,
    // Development mode shows source text to whoever provokes an error (TH1).
    development: false,
    // Outside development the runtime shares ports unless told not to: a second server would take half of our requests (TH11).
    reusePort: false,
    idleTimeout: idleTimeoutSeconds,
    maxRequestBodySize: runtimeBodyLimit,
    ...(options.tls !== undefined && { tls: { ...options.tls, ...tlsRules } }),
    routes: nativeRoutes(house),
    fetch: (request) => answerRequest(house, request),
    // Only for what fails outside our own catch, such as a Response that cannot be sent.
    error: (error) => answerBare(house, error, '-'),
  });
  return {
    url: listener.url.origin,
    port: listener.port as number,
    stop: (graceMs) => endListener(house, listener, 'stopping', graceMs),
    retire: (graceMs) => endListener(house, listener, 'retiring', graceMs),
  };
}

async function endListener(house: House, listener: Listener, phase: House['phase'], graceMs: number): Promise<void> {
  house.phase = phase;
  const graceOver = Promise.withResolvers<void>();
  const timer = setTimeout(graceOver.resolve, graceMs);
  await Promise.race([listener.stop(), graceOver.promise]);
  clearTimeout(timer);
  await listener.stop(true);
  house.deadline.stop();
}

/**
 * The paths without parameters as the runtime's own table, which costs a request least: it matches the target letter by letter, and
 * what it does not match comes by `answerRequest`.
 */
function nativeRoutes(house: House): Record<string, Record<string, (request: Request) => Soon<Response>>> {
  const routes: Record<string, Record<string, (request: Request) => Soon<Response>>> = {};
  for (const [path, { entry, params }] of house.table.literal) {
    const handlers = [...entry.endpoints].map(([method, endpoint]) => [
      method,
      (request: Request) => answerEndpoint(house, endpoint, open(house, endpoint.door, request, path, params)),
    ]);
    routes[path] = Object.fromEntries(handlers);
  }
  return routes;
}

/** Path and method are judged before the door is asked, so that these faults need no credential. */
function answerRequest(house: House, request: Request): Soon<Response> {
  const { path } = splitTarget(request.url);
  const match = findPath(house.table, path);
  const door = match?.entry.door ?? findOwner(house.table, path);
  const endpoint = match?.entry.endpoints.get(request.method);
  const exchange = open(house, endpoint?.door ?? door, request, path, match?.params ?? {});
  if (endpoint !== undefined) return answerEndpoint(house, endpoint, exchange);
  if (!hasSoundHost(house, request)) return answerFault(house, door, exchange, 'bad_host', { header: 'Host' });
  if (match === undefined) return answerFault(house, door, exchange, 'not_found');
  return answerFault(house, door, exchange, 'method_not_allowed', { allow: match.entry.allow });
}

function answerEndpoint(house: House, endpoint: Endpoint, exchange: Exchange): Soon<Response> {
  const { door } = endpoint;
  if (!hasSoundHost(house, exchange.request)) return answerFault(house, door, exchange, 'bad_host', { header: 'Host' });
  if (house.phase === 'stopping') return answerFault(house, door, exchange, 'stopping');
  return callEndpoint(house, endpoint, exchange);
}

/** False for a Host that is missing, sent twice, over-long, or such that the runtime made no address of it. */
function hasSoundHost(house: House, request: Request): boolean {
  const host = request.headers.get('host');
  if (host === house.soundHost) return true;
  if (host === null || host.length > hostLimit || host.includes(',') || request.url.startsWith('/')) return false;
  house.soundHost = host;
  return true;
}

function open(house: House, door: Door, request: Request, path: string, params: Exchange['params']): Exchange {
  const requestId = door.nameRequest === undefined ? adoptRequestId(request) : door.nameRequest(request);
  return new Exchange(request, path, params, new Caller(request, house, requestId));
}

/** The one catch around every operation. */
function callEndpoint(house: House, { answer, door, holdsCaller }: Endpoint, exchange: Exchange): Soon<Response> {
  try {
    const answering: unknown = answer(exchange);
    if (!(answering instanceof Promise)) return sendAnswer(house, door, exchange, answering);
    // Now, not later: when the client has hung up, its address is gone, and with it who sent a login (TH9).
    if (holdsCaller !== false) exchange.caller.hold();
    return answerInTime(house, door, exchange, answering);
  } catch (error) {
    return answerError(house, door, exchange, error);
  }
}

/**
 * Waits for the answer until the deadline; then the door says that it is busy. The handler runs on: a change that it is making is made
 * or not as if nobody had hung up, and its outcome is unknown to the caller.
 */
function answerInTime(house: House, door: Door, exchange: Exchange, answer: Promise<unknown>): Promise<Response> {
  return new Promise((resolve) => {
    const end = house.deadline.watch(() => resolve(answerFault(house, door, exchange, 'too_slow')));
    answer.then(
      (settled) => {
        if (end()) resolve(sendAnswer(house, door, exchange, settled));
      },
      (error: unknown) => {
        if (end()) resolve(answerError(house, door, exchange, error));
        else if (!(error instanceof HttpFault)) report(house, error, exchange.requestId);
      },
    );
  });
}

/** A handler that returns nothing would otherwise answer 204 (TH1). */
function sendAnswer(house: House, door: Door, exchange: Exchange, answer: unknown): Response {
  if (answer instanceof Response) {
    house.options.countAnswer?.(door.name, answer.status);
    return closeWhereNeeded(house, exchange, answer);
  }
  return answerError(house, door, exchange, new TypeError(`${door.name} gave no Response for ${exchange.path}`));
}

function answerError(house: House, door: Door, exchange: Exchange, error: unknown): Response {
  if (error instanceof HttpFault) return answerFault(house, door, exchange, error.fault, error.detail);
  report(house, error, exchange.requestId);
  return answerFault(house, door, exchange, 'internal');
}

function answerFault(house: House, door: Door, exchange: Exchange, fault: Fault, detail: FaultDetail = {}): Response {
  try {
    const response: unknown = door.answerFault(fault, exchange, detail);
    if (!(response instanceof Response)) throw new TypeError(`${door.name} gave no Response for the fault ${fault}`);
    house.options.countAnswer?.(door.name, response.status);
    if (closingFaults.has(fault)) response.headers.set('Connection', 'close');
    return closeWhereNeeded(house, exchange, response);
  } catch (error) {
    return answerBare(house, error, exchange.requestId);
  }
}

/**
 * Closes after a chunked request, whose trailers draw a stray second answer (stack trap 7), and when the listener goes away. Not after
 * a chunked GET: clients of a contract send one and go on, and what its trailers draw reads no body that anybody judged.
 */
function closeWhereNeeded(house: House, { request }: Exchange, response: Response): Response {
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  const closes = house.phase !== 'serving' || (!isRead && request.headers.has('transfer-encoding'));
  if (closes) response.headers.set('Connection', 'close');
  return response;
}

/** The last resort: tells the caller nothing at all. */
function answerBare(house: House, error: unknown, requestId: string): Response {
  report(house, error, requestId);
  return new Response(null, { status: 500, headers: { 'Cache-Control': 'no-store', Connection: 'close' } });
}

function report(house: House, error: unknown, requestId: string): void {
  try {
    house.options.reportError(error, requestId);
  } catch {
    // A log that fails must not cost the caller the answer.
  }
}
