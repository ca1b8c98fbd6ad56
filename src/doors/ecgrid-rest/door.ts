import { type CallerFacts, type Core, CoreError, type SessionContext, nameFailure } from '../../core/index.ts';
import { drainBody, readBody, refuseRepeated, requireJsonType } from '../../http/body.ts';
import { type CorsRule, corsHeaders, preflightHeaders } from '../../http/cors.ts';
import type { Door, Exchange, Route } from '../../http/door.ts';
import { HttpFault } from '../../http/faults.ts';
import { answerHeaders, jsonAnswer } from '../../http/headers.ts';
import { parseJsonObject } from '../../http/json.ts';
import { requireContext } from './credentials.ts';
import { EcgridError, type EcgridDetail, type EcgridWord, errorTable } from './errors.ts';
import { type EcgridSettings, type Operation, operations, type SignedInCall } from './operations.ts';
import { pathIdReason, readPathId } from './wire.ts';

const bodyLimit = 16_384;
const credentialHeaders = ['authorization', 'x-api-key'];
/** A refused request may come again this soon when the store or the hashing lane was the reason. */
const unavailableRetrySeconds = 2;

/** The ECGrid REST v2 contract: session, authentication and the part of user administration that these need. */
export function createEcgridRest(core: Core, settings: EcgridSettings): Door {
  const cors = corsRule(settings);
  const routes = operations.map((operation): Route => {
    const answer = (exchange: Exchange) => answerOperation(core, settings, cors, operation, exchange);
    return { method: operation.method, path: operation.path, answer };
  });
  return {
    name: 'ecgrid-rest',
    // Paths count letter by letter, but a client that errs in them still reads this contract's answer.
    owns: ['/v2/', '/V2/'],
    routes: [...routes, ...unknownRoutes(), ...(cors === null ? [] : preflightRoutes(cors))],
    answerFault: (fault, exchange, detail) => failure(exchange, cors, fault, detail),
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

/** The order of work is that of the contract, section 4; path, method and admission were judged before. */
async function answerOperation(
  core: Core,
  settings: EcgridSettings,
  cors: CorsRule | null,
  operation: Operation,
  exchange: Exchange,
): Promise<Response> {
  const caller = { ...exchange.caller, requestId: exchange.requestId };
  try {
    const { request } = exchange;
    refuseRepeated(request, credentialHeaders);
    const bytes = await takeBody(operation, request);
    const context = await judgeAccess(core, operation, request, caller);
    const call = { core, settings, caller, request, context, body: judgeBody(operation, bytes), id: judgeId(exchange) };
    const { data, message } = await operation.run(call as SignedInCall<unknown>);
    return jsonAnswer(
      exchange,
      200,
      { success: true, data, errorCode: '', message: message ?? '' },
      corsOf(cors, exchange),
    );
  } catch (error) {
    return answerError(core, cors, exchange, error);
  }
}

async function takeBody(operation: Operation, request: Request): Promise<Uint8Array> {
  if (operation.body === 'ignored') {
    await drainBody(request, bodyLimit);
    return new Uint8Array();
  }
  const bytes = await readBody(request, bodyLimit);
  if (bytes.length > 0) requireJsonType(request);
  return bytes;
}

async function judgeAccess(
  core: Core,
  operation: Operation,
  request: Request,
  caller: CallerFacts,
): Promise<SessionContext | null> {
  if (operation.access === 'public') return null;
  const context = await requireContext(core, request, caller);
  if (context.stepDue && operation.access !== 'signed_in_step_due') throw new CoreError('step_due');
  return context;
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

function answerError(core: Core, cors: CorsRule | null, exchange: Exchange, error: unknown): Response {
  // The server has this door's `answerFault` answer it, and closes the connection where the fault calls for that.
  if (error instanceof HttpFault) throw error;
  if (error instanceof EcgridError) return failure(exchange, cors, error.word, {});
  const { code, detail } = nameFailure(core, exchange.requestId, error);
  return failure(exchange, cors, code, detail);
}

function failure(exchange: Exchange, cors: CorsRule | null, word: EcgridWord, detail: EcgridDetail): Response {
  const { status, errorCode, message } = errorTable[word];
  const headers = { ...corsOf(cors, exchange), ...failureHeaders(word, status, detail) };
  const text = typeof message === 'string' ? message : message(detail);
  return jsonAnswer(exchange, status, { success: false, data: null, errorCode, message: text }, headers);
}

function failureHeaders(word: EcgridWord, status: number, detail: EcgridDetail): Record<string, string> {
  const retryAfter = detail.retryAfterSeconds ?? unavailableRetrySeconds;
  return {
    ...(status === 401 && { 'WWW-Authenticate': challenge(word) }),
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

function corsOf(cors: CorsRule | null, exchange: Exchange): Record<string, string> {
  return cors === null ? {} : { Vary: 'Origin', ...corsHeaders(cors, exchange.request) };
}

function preflightRoutes(cors: CorsRule): Route[] {
  return [...new Set(operations.map((operation) => operation.path))].map((path) => {
    const allow = allowedMethods(path);
    const answer = (exchange: Exchange) => {
      const headers = { Vary: 'Origin', Allow: allow, ...preflightHeaders(cors, exchange.request) };
      return new Response(null, { status: 204, headers: { ...answerHeaders(exchange), ...headers } });
    };
    return { method: 'OPTIONS', path, answer };
  });
}

function allowedMethods(path: string): string {
  const methods = operations.filter((operation) => operation.path === path).map(({ method }) => method);
  return [...methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])), 'OPTIONS'].join(', ');
}
