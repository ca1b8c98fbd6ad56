import { randomUUID } from 'node:crypto';
import { type Core, nameFailure } from '../../core/index.ts';
import { after, type Soon, settle } from '../../soon.ts';
import { drainBody, readBody, readSingle } from '../../http/body.ts';
import type { Door, Exchange, Route } from '../../http/door.ts';
import { HttpFault } from '../../http/faults.ts';
import { type Answer, prepareAnswers } from '../../http/headers.ts';
import { parseJsonObject } from '../../http/json.ts';
import { errorTable, type HcxDetail, HcxError, type HcxWord } from './errors.ts';
import { adminOperations, type HcxSettings, hybridityOperations, type Operation, type Outcome } from './operations.ts';
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
    // Each request has a UUID of ours, which headers, bodies and log call its transaction; one sent along is not adopted.
    nameRequest: () => randomUUID(),
    answerFault: (fault, exchange, detail) => failure(exchange, fault, detail, core.clock()),
  };
}

function routeOf(core: Core, settings: HcxSettings, operation: Operation): Route {
  const answer = (exchange: Exchange) => answerOperation(core, settings, operation, exchange);
  return { method: operation.method, path: operation.path, answer };
}

function optionsRoute(path: string, operations: readonly Operation[]): Route {
  const methods = operations.filter((operation) => operation.path === path).map(({ method }) => method);
  const allow = [...methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])), 'OPTIONS'].join(', ');
  return { method: 'OPTIONS', path, answer: (exchange) => sendEmpty(exchange, 204, null, { Allow: allow }) };
}

function answerOperation(core: Core, settings: HcxSettings, operation: Operation, exchange: Exchange): Soon<Response> {
  const { request, caller } = exchange;
  const run = () => {
    const presented = {
      authorization: readSingle(request, 'authorization'),
      token: readSingle(request, tokenHeader) ?? '',
    };
    const body = operation.readsBody
      ? readLoginMembers(request)
      : after(drainBody(request, bodyLimit), () => noMembers);
    return after(body, (members) => operation.run({ core, settings, caller, presented, body: members }));
  };
  return settle(
    run,
    (outcome) => sendSuccess(exchange, outcome, core.clock()),
    (error) => answerError(core, operation, exchange, error),
  );
}

function sendSuccess(exchange: Exchange, { writeData, token }: Outcome, time: number): Response {
  const data = writeData === undefined ? '' : `,"data":${writeData(exchange.requestId)}`;
  const text = `{"success":true,"completed":true,"time":${time},"version":"1.0"${data}}`;
  const tokenHeaders = token === undefined ? undefined : { [tokenHeader]: token, auth_token_name: tokenHeader };
  return sendJson(exchange, 200, text, tokenHeaders);
}

/**
 * The members of a login's body. Clients of this contract send JSON under any type or none, so what begins like an object is read
 * as one; only what does not is judged by its type.
 * @throws HttpFault `body_too_large`, `unsupported_media_type`, `bad_json`; HcxError `not_an_object`
 */
function readLoginMembers(request: Request): Soon<Members> {
  return after(readBody(request, bodyLimit), (bytes) => judgeMembers(request, bytes));
}

type Members = Readonly<Record<string, unknown>>;
const noMembers: Members = {};

function judgeMembers(request: Request, bytes: Uint8Array): Members {
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

function answerError(core: Core, operation: Operation, exchange: Exchange, error: unknown): Response {
  const answer = (word: HcxWord, detail: HcxDetail) => failure(exchange, word, detail, core.clock(), operation);
  // The server has this door's `answerFault` answer it, and closes the connection where the fault calls for that.
  if (error instanceof HttpFault) throw error;
  if (error instanceof HcxError) return answer(error.word, error.detail);
  const { code, detail } = nameFailure(core, exchange.requestId, error);
  return answer(code, detail);
}

function failure(exchange: Exchange, word: HcxWord, detail: HcxDetail, time: number, operation?: Operation): Response {
  const row: { status: number; errorCode?: string; error: string | ((detail: HcxDetail) => string) } = errorTable[word];
  const { status, errorCode, error } = row;
  const text = typeof error === 'string' ? error : error(detail);
  const code = errorCode === undefined ? {} : { errorCode };
  const members = { success: false, completed: false, time, version: '1.0', ...code, error: text };
  const asXml = exchange.path.startsWith(hybridity) && prefersXml(exchange.request.headers.get('accept'));
  const headers = {
    ...(asXml && { 'content-type': 'application/xml;charset=UTF-8' }),
    ...failureHeaders(status, detail, operation),
  };
  return sendJson(exchange, status, asXml ? writeErrorMap(members) : JSON.stringify(members), headers);
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

/** Header names of this contract stand in lower case on the wire: scripts search for them letter by letter. */
function varyingOnHybridity(own: Readonly<Record<string, string>>): Answer {
  const send = prepareAnswers(own, 'x-transaction-id');
  const sendVarying = prepareAnswers({ ...own, vary: 'Accept' }, 'x-transaction-id');
  return (exchange, ...rest) => (exchange.path.startsWith(hybridity) ? sendVarying : send)(exchange, ...rest);
}

const sendJson = varyingOnHybridity({ 'content-type': 'application/json;charset=UTF-8' });
const sendEmpty = varyingOnHybridity({});
