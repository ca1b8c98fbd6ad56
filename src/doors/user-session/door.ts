import { type Core, nameFailure } from '../../core/index.ts';
import { refuseRepeated } from '../../http/body.ts';
import { type CorsRule, corsHeaders, preflightHeaders } from '../../http/cors.ts';
import type { Door, Exchange, Route } from '../../http/door.ts';
import { HttpFault } from '../../http/faults.ts';
import { answerHeaders, jsonAnswer } from '../../http/headers.ts';
import { endedCookie, type Presented, readCredential } from './credentials.ts';
import { errorTable, reasonPhrases, type UserSessionDetail, UserSessionError, type UserSessionWord } from './errors.ts';
import { type Operation, operations, type UserSessionSettings } from './operations.ts';

/** A refused request may come again this soon when the store or the hashing lane was the reason. */
const unavailableRetrySeconds = 2;
const nothingPresented: Presented = { credential: null, presented: false, byCookie: false };

/** The UserSession contract: who is signed in, in which accounts, with which roles and permissions. */
export function createUserSession(core: Core, settings: UserSessionSettings): Door {
  const cors: CorsRule = {
    origins: settings.corsOrigins,
    allowMethods: 'GET, HEAD, POST',
    allowHeaders: 'content-type, authorization, x-account-id',
  };
  return {
    name: 'user-session',
    owns: ['/auth/', '/api/'],
    routes: operations.flatMap((operation) => routesOf(core, settings, cors, operation)),
    answerFault: (fault, exchange, detail) => failure(cors, exchange, fault, detail, nothingPresented),
  };
}

/** One leading `/api` is dropped and one trailing slash is tolerated; nothing else is. */
function routesOf(core: Core, settings: UserSessionSettings, cors: CorsRule, operation: Operation): Route[] {
  const { method, path } = operation;
  const allow = method === 'GET' ? 'GET, HEAD, OPTIONS' : `${method}, OPTIONS`;
  return [path, `${path}/`, `/api${path}`, `/api${path}/`].flatMap((spelling): Route[] => [
    { method, path: spelling, answer: (exchange) => answerOperation(core, settings, cors, operation, exchange) },
    { method: 'OPTIONS', path: spelling, answer: (exchange) => answerPreflight(cors, allow, exchange) },
  ]);
}

async function answerOperation(
  core: Core,
  settings: UserSessionSettings,
  cors: CorsRule,
  operation: Operation,
  exchange: Exchange,
): Promise<Response> {
  const { request } = exchange;
  const caller = { ...exchange.caller, requestId: exchange.requestId };
  const isPublic = operation.access === 'public';
  const found = isPublic ? nothingPresented : readCredential(request, settings.cookieMode);
  try {
    refuseRepeated(request, ['authorization']);
    const { body, cookie } = await operation.run({ core, settings, caller, request, found });
    return jsonAnswer(exchange, 200, body, { ...originHeaders(cors, exchange), ...setCookie(cookie) });
  } catch (error) {
    return answerError(core, cors, exchange, found, error);
  }
}

function answerPreflight(cors: CorsRule, allow: string, exchange: Exchange): Response {
  const headers = { Vary: 'Origin', Allow: allow, ...preflightHeaders(cors, exchange.request) };
  return new Response(null, { status: 204, headers: { ...answerHeaders(exchange), ...headers } });
}

function answerError(core: Core, cors: CorsRule, exchange: Exchange, found: Presented, error: unknown): Response {
  // The server has this door's `answerFault` answer it, and closes the connection where the fault calls for that.
  if (error instanceof HttpFault) throw error;
  if (error instanceof UserSessionError) return failure(cors, exchange, error.word, {}, found);
  const { code, detail } = nameFailure(core, exchange.requestId, error);
  return failure(cors, exchange, code, detail, found);
}

function failure(
  cors: CorsRule,
  exchange: Exchange,
  word: UserSessionWord,
  detail: UserSessionDetail,
  found: Presented,
): Response {
  const { status, message } = errorTable[word];
  const text = typeof message === 'string' ? message : message(detail);
  const cookie = status === 401 && found.byCookie ? endedCookie : undefined;
  const headers = {
    ...originHeaders(cors, exchange),
    ...failureHeaders(word, status, detail, found),
    ...setCookie(cookie),
  };
  return jsonAnswer(exchange, status, { error: reasonPhrases[status], status, message: text }, headers);
}

function failureHeaders(
  word: UserSessionWord,
  status: number,
  detail: UserSessionDetail,
  found: Presented,
): Record<string, string> {
  const refused = word === 'session_invalid' && found.presented;
  const retryAfter = detail.retryAfterSeconds ?? unavailableRetrySeconds;
  return {
    ...(status === 401 && { 'WWW-Authenticate': `Bearer realm="Cardea"${refused ? ', error="invalid_token"' : ''}` }),
    ...((status === 429 || status === 503) && { 'Retry-After': String(retryAfter) }),
    ...(detail.allow !== undefined && { Allow: detail.allow }),
  };
}

function originHeaders(cors: CorsRule, exchange: Exchange): Record<string, string> {
  return { Vary: 'Origin', ...corsHeaders(cors, exchange.request) };
}

function setCookie(cookie: string | undefined): Record<string, string> {
  return cookie === undefined ? {} : { 'Set-Cookie': cookie };
}
