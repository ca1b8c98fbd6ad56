import { type Core, CoreError, type SessionContext, nameFailure } from '../../core/index.ts';
import { after, type Soon, settle } from '../../soon.ts';
import { drainBody, readBody, readSingle, requireJsonType } from '../../http/body.ts';
import { type CorsRule, corsHeaders, preflightHeaders } from '../../http/cors.ts';
import type { Door, Exchange, Route } from '../../http/door.ts';
import { HttpFault } from '../../http/faults.ts';
import { type Answer, prepareAnswers } from '../../http/headers.ts';
import { parseJsonObject } from '../../http/json.ts';
import { remember } from '../../http/remember.ts';
import { type Presented, requireContext } from './credentials.ts';
import { EcgridError, type EcgridDetail, type EcgridWord, errorTable } from './errors.ts';
import { type EcgridSettings, type Operation, type Outcome, operations, type SignedInCall } from './operations.ts';
import { pathIdReason, readPathId } from './wire.ts';

const bodyLimit = 16_384;
/** A refused request may come again this soon when the store or the hashing lane was the reason. */
const unavailableRetrySeconds = 2;

/** The door as its settings made it. */
type Settled = {
  readonly core: Core;
  readonly settings: EcgridSettings;
  readonly cors: CorsRule | null;
  readonly send: Answer;
  /** The refusals of a credential, which never vary, written once: guesses are to cost little more than good credentials. */
  readonly refusals: ReadonlyMap<EcgridWord, Refusal>;
};

type Refusal = { readonly send: Answer; readonly text: string };

const nothing = new Uint8Array();

/** The ECGrid REST v2 contract: session, authentication and the part of user administration that these need. */
export function createEcgridRest(core: Core, settings: EcgridSettings): Door {
  const cors = corsRule(settings);
  const vary = cors === null ? undefined : { Vary: 'Origin' };
  const own = { 'Content-Type': 'application/json; charset=utf-8', ...vary };
  const door = { core, settings, cors, send: prepareAnswers(own), refusals: prepareRefusals(own) };
  const routes = operations.map((operation): Route => {
    const answer = (exchange: Exchange) => answerOperation(door, operation, exchange);
    return { method: operation.method, path: operation.path, answer };
  });
  return {
    name: 'ecgrid-rest',
    // Paths count letter by letter, but a client that errs in them still reads this contract's answer.
    owns: ['/v2/', '/V2/'],
    routes: [...routes, ...unknownRoutes(), ...(cors === null ? [] : preflightRoutes(cors))],
    answerFault: (fault, exchange, detail) => failure(door, exchange, fault, detail),
  };
}

/** Vendor paths outside the contract that would otherwise pass for a user with a strange id. */
function unknownRoutes(): Route[] {
  const answer = (): never => {
    throw new HttpFault('not_found');
  };
  const paths = ['/v2/users/update-config', '/v2/users/send-sms'];
  const methods = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'] as const;
  return paths.flatMap((path) => methods.map((method): Route => ({ method, path, answer })));
}

function answerOperation(door: Settled, operation: Operation, exchange: Exchange): Soon<Response> {
  return settle(
    () => runOperation(door, operation, exchange),
    (outcome) => door.send(exchange, 200, writeSuccess(outcome), corsOf(door.cors, exchange)),
    (error) => answerError(door, exchange, error),
  );
}

/** The order of work is that of the contract, section 4; path, method and admission were judged before. */
function runOperation(door: Settled, operation: Operation, exchange: Exchange): Soon<Outcome> {
  const { core, settings } = door;
  const { request, caller } = exchange;
  const presented = {
    authorization: readSingle(request, 'authorization'),
    key: readSingle(request, 'x-api-key'),
  };
  return after(takeBody(operation, request), (bytes) =>
    after(judgeAccess(core, operation, presented, caller), (context) => {
      const body = judgeBody(operation, bytes);
      const call = { core, settings, caller, presented, context, body, id: judgeId(exchange) };
      return operation.run(call as SignedInCall<unknown>);
    }),
  );
}

const writeSuccess = remember(({ data, message }: Outcome) =>
  JSON.stringify({ success: true, data, errorCode: '', message: message ?? '' }),
);

function takeBody(operation: Operation, request: Request): Soon<Uint8Array> {
  if (operation.body === 'ignored') return after(drainBody(request, bodyLimit), () => nothing);
  return after(readBody(request, bodyLimit), (bytes) => {
    if (bytes.length > 0) requireJsonType(request);
    return bytes;
  });
}

function judgeAccess(
  core: Core,
  operation: Operation,
  presented: Presented,
  caller: Exchange['caller'],
): Soon<SessionContext | null> {
  if (operation.access === 'public') return null;
  return after(requireContext(core, presented, caller), (context) => {
    if (context.stepDue && operation.access !== 'signed_in_step_due') throw new CoreError('step_due');
    return context;
  });
}

function judgeBody(operation: Operation, bytes: Uint8Array): unknown {
  if (operation.body === 'ignored') return null;
  const empty = bytes.length === 0 && operation.body.mayBeEmpty === true;
  const result = operation.body.schema.safeParse(empty ? {} : parseJsonObject(bytes));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new CoreError('input_invalid', { field: String(issue?.path[0] ?? 'body'), reason: issue?.message ?? '' });
}

function judgeId(exchange: Exchange): number {
  const segment = exchange.params['id'];
  if (segment === undefined) return 0;
  const id = readPathId(segment);
  if (id === null) throw new CoreError('input_invalid', { field: 'id', reason: pathIdReason });
  return id;
}

function answerError(door: Settled, exchange: Exchange, error: unknown): Response {
  // The server has this door's `answerFault` answer it, and closes the connection where the fault calls for that.
  if (error instanceof HttpFault) throw error;
  if (error instanceof EcgridError) return failure(door, exchange, error.word, {});
  const { code, detail } = nameFailure(door.core, exchange.requestId, error);
  return failure(door, exchange, code, detail);
}

function prepareRefusals(own: Readonly<Record<string, string>>): Settled['refusals'] {
  const words = Object.keys(errorTable) as EcgridWord[];
  return new Map(
    words
      .filter((word) => errorTable[word].status === 401)
      .map((word) => [
        word,
        { send: prepareAnswers({ ...own, 'WWW-Authenticate': challenge(word) }), text: writeFailure(word, {}) },
      ]),
  );
}

function failure(door: Settled, exchange: Exchange, word: EcgridWord, detail: EcgridDetail): Response {
  const { status } = errorTable[word];
  const allowed = corsOf(door.cors, exchange);
  const refusal = door.refusals.get(word);
  if (refusal !== undefined) return refusal.send(exchange, status, refusal.text, allowed);
  return door.send(exchange, status, writeFailure(word, detail), { ...allowed, ...failureHeaders(status, detail) });
}

function writeFailure(word: EcgridWord, detail: EcgridDetail): string {
  const { errorCode, message } = errorTable[word];
  const text = typeof message === 'string' ? message : message(detail);
  return JSON.stringify({ success: false, data: null, errorCode, message: text });
}

function failureHeaders(status: number, detail: EcgridDetail): Record<string, string> {
  const retryAfter = detail.retryAfterSeconds ?? unavailableRetrySeconds;
  return {
    ...((status === 429 || status === 503) && { 'Retry-After': String(retryAfter) }),
    ...(detail.allow !== undefined && { Allow: detail.allow }),
  };
}

function challenge(word: EcgridWord): string {
  return word === 'session_invalid' ? 'Bearer realm="ecgrid", error="invalid_token"' : 'Bearer realm="ecgrid"';
}

/** Without a configured origin this door knows no CORS at all, and `OPTIONS` is a wrong method. */
function corsRule(settings: EcgridSettings): CorsRule | null {
  if (settings.corsOrigins.length === 0) return null;
  return {
    origins: settings.corsOrigins,
    allowMethods: 'GET, HEAD, POST, PUT, DELETE',
    allowHeaders: 'content-type, authorization, x-api-key',
  };
}

function corsOf(cors: CorsRule | null, exchange: Exchange): Readonly<Record<string, string>> | undefined {
  return cors === null ? undefined : corsHeaders(cors, exchange.request);
}

function preflightRoutes(cors: CorsRule): Route[] {
  const sendEmpty = prepareAnswers({ Vary: 'Origin' });
  return [...new Set(operations.map((operation) => operation.path))].map((path) => {
    const allow = allowedMethods(path);
    const answer = (exchange: Exchange) => {
      return sendEmpty(exchange, 204, null, { Allow: allow, ...preflightHeaders(cors, exchange.request) });
    };
    return { method: 'OPTIONS', path, answer };
  });
}

function allowedMethods(path: string): string {
  const methods = operations.filter((operation) => operation.path === path).map(({ method }) => method);
  return [...methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])), 'OPTIONS'].join(', ');
}
