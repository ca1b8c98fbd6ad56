import { randomUUID } from 'node:crypto';
import { type Core, nameFailure } from '../../core/index.ts';
import { drainBody, readBody, refuseRepeated } from '../../http/body.ts';
import type { Door, Exchange, Route } from '../../http/door.ts';
import { HttpFault } from '../../http/faults.ts';
import { securityHeaders } from '../../http/headers.ts';
import { parseJsonObject } from '../../http/json.ts';
import { errorTable, type HcxDetail, HcxError, type HcxWord } from './errors.ts';
import { adminOperations, type HcxSettings, hybridityOperations, type Operation } from './operations.ts';
import { prefersXml, writeErrorMap } from './xml.ts';

const bodyLimit = 16_384;
const tokenHeader = 'x-hm-authorization';
const hybridity = '/hybridity/';
/** A refused request may come again this soon when the store or the hashing lane was the reason. */
const unavailableRetrySeconds = 2;

/** The HCX session contract, on the paths that its settings leave to the listener. */
export function createHcxSessions(core: Core, settings: HcxSettings): Door {
  const operations = [
    ...(settings.servesAdmin ? adminOperations : []),
    ...(settings.servesHybridity ? hybridityOperations : []),
  ];
  const paths = [...new Set(operations.map(({ path }) => path))];
  return {
    name: 'hcx-sessions',
    owns: [hybridity, '/api/admin/'],
    routes: [
      ...operations.map((operation) => routeOf(core, settings, operation)),
      ...paths.map((path) => optionsRoute(path, operations)),
    ],
    answerFault: (fault, exchange, detail) => failure(exchange, randomUUID(), fault, detail, core.clock()),
  };
}

function routeOf(core: Core, settings: HcxSettings, operation: Operation): Route {
  const answer = (exchange: Exchange) => answerOperation(core, settings, operation, exchange);
  return { method: operation.method, path: operation.path, answer };
}

function optionsRoute(path: string, operations: readonly Operation[]): Route {
  const methods = operations.filter((operation) => operation.path === path).map(({ method }) => method);
  const allow = [...methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])), 'OPTIONS'].join(', ');
  const answer = (exchange: Exchange) => {
    const headers = { ...headersOf(exchange, randomUUID()), Allow: allow };
    return new Response(null, { status: 204, headers });
  };
  return { method: 'OPTIONS', path, answer };
}

async function answerOperation(
  core: Core,
  settings: HcxSettings,
  operation: Operation,
  exchange: Exchange,
): Promise<Response> {
  const { request } = exchange;
  const transactionId = randomUUID();
  const caller = { ...exchange.caller, requestId: transactionId };
  try {
    refuseRepeated(request, ['authorization', tokenHeader]);
    if (!operation.readsBody) await drainBody(request, bodyLimit);
    const body = operation.readsBody ? await readLoginMembers(request) : {};
    const { data, token } = await operation.run({ core, settings, caller, request, body, transactionId });
    const envelope = {
      success: true,
      completed: true,
      time: core.clock(),
      version: '1.0',
      ...(data !== undefined && { data }),
    };
    const tokenHeaders = token === undefined ? {} : { [tokenHeader]: token, auth_token_name: tokenHeader };
    const headers = { ...jsonHeaders(exchange, transactionId), ...tokenHeaders };
    return new Response(JSON.stringify(envelope), { status: 200, headers });
  } catch (error) {
    return answerError(core, operation, exchange, transactionId, error);
  }
}

/**
 * The members of a login's body. Clients of this contract send JSON under any type or none, so what begins like an object is read
 * as one; only what does not is judged by its type.
 * @throws HttpFault `body_too_large`, `unsupported_media_type`, `bad_json`; HcxError `not_an_object`
 */
async function readLoginMembers(request: Request): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readBody(request, bodyLimit);
  const type = request.headers.get('content-type')?.toLowerCase() ?? '';
  const charsets = [...type.matchAll(/;\s*charset\s*=\s*"?([^";,\s]*)"?/g)].map((match) => match[1]);
  const coding = request.headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (charsets.some((charset) => charset !== 'utf-8') || coding !== 'identity')
    throw new HttpFault('unsupported_media_type');
  const first = bytes.find((byte) => ![0x20, 0x09, 0x0a, 0x0d].includes(byte));
  if (first === 0x7b) return parseJsonObject(bytes);
  const isJson = type === '' || /^application\/json\s*(;|$)/.test(type);
  if (first === undefined || isJson) throw new HcxError('not_an_object');
  throw new HttpFault('unsupported_media_type');
}

function answerError(
  core: Core,
  operation: Operation,
  exchange: Exchange,
  transactionId: string,
  error: unknown,
): Response {
  const answer = (word: HcxWord, detail: HcxDetail) =>
    failure(exchange, transactionId, word, detail, core.clock(), operation);
  // The server has this door's `answerFault` answer it, and closes the connection where the fault calls for that.
  if (error instanceof HttpFault) throw error;
  if (error instanceof HcxError) return answer(error.word, error.detail);
  const { code, detail } = nameFailure(core, transactionId, error);
  return answer(code, detail);
}

function failure(
  exchange: Exchange,
  transactionId: string,
  word: HcxWord,
  detail: HcxDetail,
  time: number,
  operation?: Operation,
): Response {
  const row: { status: number; errorCode?: string; error: string | ((detail: HcxDetail) => string) } = errorTable[word];
  const { status, errorCode, error } = row;
  const text = typeof error === 'string' ? error : error(detail);
  const code = errorCode === undefined ? {} : { errorCode };
  const members = { success: false, completed: false, time, version: '1.0', ...code, error: text };
  const asXml = exchange.path.startsWith(hybridity) && prefersXml(exchange.request.headers.get('accept'));
  const headers = {
    ...jsonHeaders(exchange, transactionId),
    ...(asXml && { 'content-type': 'application/xml;charset=UTF-8' }),
    ...failureHeaders(status, detail, operation),
  };
  return new Response(asXml ? writeErrorMap(members) : JSON.stringify(members), { status, headers });
}

function failureHeaders(status: number, detail: HcxDetail, operation?: Operation): Record<string, string> {
  // Some clients send a password only after being asked for it in this way.
  const challenge = operation?.method === 'GET' ? 'Basic realm="Cardea", charset="UTF-8"' : 'Bearer realm="Cardea"';
  return {
    ...(status === 401 && { 'www-authenticate': challenge }),
    ...((status === 429 || status === 503) && {
      'retry-after': String(detail.retryAfterSeconds ?? unavailableRetrySeconds),
    }),
    ...(detail.allow !== undefined && { allow: detail.allow }),
  };
}

function jsonHeaders(exchange: Exchange, transactionId: string): Record<string, string> {
  return { 'content-type': 'application/json;charset=UTF-8', ...headersOf(exchange, transactionId) };
}

/** Header names of this contract stand in lower case on the wire: scripts search for them letter by letter. */
function headersOf(exchange: Exchange, transactionId: string): Record<string, string> {
  const vary = exchange.path.startsWith(hybridity) ? { vary: 'Accept' } : {};
  return { ...securityHeaders(exchange), ...vary, 'x-transaction-id': transactionId };
}
